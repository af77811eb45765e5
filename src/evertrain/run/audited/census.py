"""Everything that a program can name, and what it is like at this moment.

The audit takes a census at each save and behind each restore. What was one thing at a
save and is another behind the resume from it was forgotten, whatever it is.

The walk begins at what is attached and at the program's own variables, and goes through
attributes, items and closures, nearest first. It stops at modules and at code.

Layer: run. Imports checkpoint and core.
"""

import sys
import sysconfig
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

from evertrain.run.audited.likeness import Likeness, likeness

MAX_DEPTH: Final = 8
# Of what is attached, of the running functions, and of the modules each.
MAX_LOOKED_AT: Final = 50_000
MAX_VALUES: Final = 1_000  # plain ones: what usually matters is not among so many
_MAX_ITEMS: Final = 1_000
_COMMON: Final = frozenset({"value", "array"})
# How torch keeps the parts of a module; nobody calls them so.
_UNSAID: Final = frozenset({"_parameters", "_buffers", "_modules"})
_STRANGERS: Final = ("evertrain.", "importlib", "runpy", "threading", "multiprocessing")


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that the program can name.

    Attributes:
        name: How, e.g. "env.rng".
        kind: See `Likeness.kind`.
        type: Its class, e.g. "numpy.random.Generator".
        text: What its state is, for people.
        digest: Its state.
        within: Name of the attached thing that holds it, or None.
    """

    name: str
    kind: str
    type: str
    text: str
    digest: str
    within: str | None


@dataclass(frozen=True, slots=True)
class _Place:
    name: str
    value: object
    depth: int
    within: str | None


def census(attached: Mapping[str, Any], state: Mapping[str, Any]) -> list[Found]:
    """Return what the program's variables lead to, nearest first.

    Args:
        attached: What is attached, by name.
        state: What `run.state` holds: it is restored, and not looked at.
    """
    seen = {id(each) for each in state.values() if not _is_plain(each)}
    found = _walk([_Place(name, each, 0, name) for name, each in attached.items()], seen)
    for variables in (locals_of_program(), globals_of_program()):
        found += _walk([_Place(name, each, 0, None) for name, each in variables], seen)
    return found


def _walk(beginning: Iterable[_Place], seen: set[int]) -> list[Found]:
    """Return what is found from some places on; an object that was `seen` is not found again."""
    found: list[Found] = []
    waiting = deque(beginning)
    looked_at = values = 0
    while waiting and looked_at < MAX_LOOKED_AT:
        place = waiting.popleft()
        looked_at += 1
        if not _is_plain(place.value):
            if id(place.value) in seen:
                continue
            seen.add(id(place.value))
        like = likeness(place.value)
        if like is not None:
            is_common = like.kind in _COMMON
            values += is_common
            if not is_common or values <= MAX_VALUES:
                found.append(_found(place, like))
        elif place.depth < MAX_DEPTH:
            inner = parts_of(place.name, place.value)
            waiting.extend(
                _Place(name, each, place.depth + 1, place.within) for name, each in inner
            )
    return found


def _found(place: _Place, like: Likeness) -> Found:
    kind = type_name(type(place.value))
    return Found(place.name, like.kind, kind, like.text, like.digest, place.within)


def locals_of_program() -> Iterator[tuple[str, object]]:
    """Yield the variables of the program's running functions, outermost first."""
    for each in frames_of_program():
        if each.f_code.co_name != "<module>":
            yield from _named(f"{each.f_code.co_name}(): ", each.f_locals)


def frames_of_program() -> list[types.FrameType]:
    """Return what runs of the program in this thread, outermost first."""
    frames = []
    frame: types.FrameType | None = sys._getframe()  # noqa: SLF001  (the stack of this thread)
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return [each for each in reversed(frames) if _is_ours(each.f_globals)]


def globals_of_program() -> Iterator[tuple[str, object]]:
    """Yield the variables of the program's modules."""
    for module in modules():
        prefix = "" if module.__name__ == "__main__" else f"{module.__name__}."
        yield from _named(prefix, vars(module))


def modules() -> list[types.ModuleType]:
    """Return the program's own modules: not Python's, not evertrain's, not installed ones."""
    return [each for each in list(sys.modules.values()) if _is_program(each)]


def parts_of(name: str, value: Any) -> Iterator[tuple[str, object]]:
    """Yield what `value` holds, with names."""
    for kinds, look_inside in _INSIDE:
        if isinstance(value, kinds):
            return look_inside(name, value)
    return _attributes(name, value)


def type_name(cls: type) -> str:
    """Return a class as its users write it."""
    module = "" if cls.__module__ in {"builtins", "__main__"} else f"{cls.__module__}."
    parts = [each for each in module.split(".") if not each.startswith("_")]
    return ".".join(parts) + cls.__qualname__


def _attributes(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield the attributes of an object; not of evertrain's own, which know what to keep."""
    if type(value).__module__.startswith("evertrain.run"):
        return
    for key, each in list(getattr(value, "__dict__", {}).items()):
        if isinstance(key, str):
            yield (name if key in _UNSAID else f"{name}.{key}"), each
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for key in (slots,) if isinstance(slots, str) else slots:
            member = cls.__dict__.get(key)
            if isinstance(member, types.MemberDescriptorType):
                with suppress(AttributeError):  # not set yet
                    yield f"{name}.{key}", member.__get__(value)


def _members(name: str, value: Mapping[Any, object]) -> Iterator[tuple[str, object]]:
    for key, each in list(value.items())[:_MAX_ITEMS]:
        if type(key) in {str, int}:
            yield _part(name, key), each


def _items(name: str, value: Iterable[object]) -> Iterator[tuple[str, object]]:
    return ((f"{name}[{index}]", each) for index, each in enumerate(islice(value, _MAX_ITEMS)))


def _arguments(name: str, value: "partial[Any]") -> Iterator[tuple[str, object]]:
    yield name, value.func
    yield from _items(name, value.args)
    yield from _members(name, value.keywords)


def _class(name: str, value: type) -> Iterator[tuple[str, object]]:
    is_program = _is_ours(vars(sys.modules.get(value.__module__, sys)))
    return _named(f"{name}.", dict(vars(value)) if is_program else {})


def _closure(name: str, value: types.FunctionType) -> Iterator[tuple[str, object]]:
    if not _is_ours(value.__globals__):
        return
    for variable, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=False):
        with suppress(ValueError):  # not bound yet
            yield f"{name}(): {variable}", cell.cell_contents


def _named(prefix: str, values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, each in list(values.items()):
        if not name.startswith("__") and not isinstance(each, types.ModuleType):
            yield prefix + name, each


def _part(name: str, key: str | int) -> str:
    is_attribute = isinstance(key, str) and key.isidentifier()
    return f"{name}.{key}" if is_attribute else f"{name}[{key!r}]"


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (bool, int, float, complex, str, bytes))


def _is_program(module: types.ModuleType) -> bool:
    name = getattr(module, "__name__", "")
    return name == "__main__" or (_is_ours_by_name(name) and _is_ours(vars(module)))


def _is_ours(namespace: Mapping[str, Any]) -> bool:
    """Say whether code with these globals is the program's own."""
    name, path = namespace.get("__name__") or "", namespace.get("__file__")
    if name == "__main__":
        return not _is_installed(path) if isinstance(path, str) else True
    return _is_ours_by_name(name) and isinstance(path, str) and not _is_installed(path)


def _is_ours_by_name(name: object) -> bool:
    return isinstance(name, str) and name != "evertrain" and not name.startswith(_STRANGERS)


@cache
def _is_installed(path: str) -> bool:
    return any(Path(path).is_relative_to(each) for each in _INSTALLED)


def _nothing(name: str, value: object) -> Iterator[tuple[str, object]]:
    del name, value
    return iter(())


_INSIDE: Final[tuple[tuple[Any, Callable[[str, Any], Iterator[tuple[str, object]]]], ...]] = (
    (dict, _members),
    ((list, tuple, deque), _items),
    ((set, frozenset, types.ModuleType), _nothing),
    (types.MethodType, lambda name, value: iter([(name, value.__self__)])),
    (types.FunctionType, _closure),
    (partial, _arguments),
    (type, _class),
)
_INSTALLED: Final = tuple(
    Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")
)
