"""Stored values become what the program shows: its classes, dtypes and devices.

What is set before the loop is a template, so named tuples, dataclasses and
tensors return as what they were. `differences` decides and changes nothing;
`fill` acts. Both take stored and live values: a save asks whether what it
writes could come back.

Layer: run. Imports checkpoint and core.
"""

import dataclasses
import enum
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from evertrain.checkpoint.plugin import Adapter, Mismatch, Tree, active
from evertrain.checkpoint.tree import EnumName, Record
from evertrain.run.adapters import array_mismatch
from evertrain.run.rebuild import as_stored, class_names, is_plain

_SEQUENCES: Final = (list, tuple, deque)


def differences(template: Any, tree: Tree, at: str = "") -> Iterator[Mismatch]:
    """Yield what of `tree` cannot become the kind of value that `template` is.

    Args:
        template: What the program set before the loop; None fits everything but
            classes, which only the program can bring.
        tree: What the checkpoint holds, or will hold.
        at: Path of the value.
    """
    tree = as_stored(tree)
    if isinstance(tree, Record):
        yield from _record_differences(template, tree, at)
    elif isinstance(tree, EnumName):
        if not _shows(template, tree):
            yield Mismatch(at, f"{tree.class_name}.{tree.name} there, {_short(template)} here")
    elif _is_array(template):
        yield from _array_differences(template, tree, at)
    elif isinstance(tree, dict):
        yield from _dict_differences(template, tree, at)
    elif isinstance(tree, _SEQUENCES):
        if is_plain(tree):
            return
        for index, (inner, value) in enumerate(_pairs(template, tree)):
            yield from differences(inner, value, f"{at}[{index}]")
    else:
        yield from (Mismatch(at, problem) for problem in class_names(tree))


def fill(template: Any, tree: Tree) -> Any:
    """Return `tree` as the kind of value that `template` is.

    What does not fit (see `differences`) stays as it is in the program. Tensors
    are filled in place.
    """
    if isinstance(tree, Record):
        return _fill_record(template, tree)
    if isinstance(tree, EnumName):
        return type(template)[tree.name] if _shows(template, tree) else template
    if _is_array(template):
        return _fill_array(template, tree)
    if isinstance(tree, dict):
        return _fill_dict(template, tree)
    if isinstance(tree, _SEQUENCES) and not is_plain(tree):
        filled = [fill(inner, value) for inner, value in _pairs(template, tree)]
        return deque(filled, tree.maxlen) if isinstance(tree, deque) else type(tree)(filled)
    return tree


def _pairs(template: Any, tree: Sequence[Tree]) -> Iterator[tuple[Any, Tree]]:
    """Yield each member with the one that the program has in its place, or None."""
    known = list(template) if type(template) is type(tree) else []
    for index, value in enumerate(tree):
        yield (known[index] if index < len(known) else None), value


def _array_differences(template: Any, tree: Tree, at: str) -> Iterator[Mismatch]:
    if not hasattr(tree, "shape") and template.shape == ():
        return
    adapter = _adapter(template)
    inner = adapter.mismatches(template, tree) if adapter else array_mismatch(template, tree)
    yield from (Mismatch(at, each.problem) for each in inner)


def _fill_array(template: Any, tree: Tree) -> Any:
    if any(True for _ in _array_differences(template, tree, "")):
        return template
    adapter = _adapter(template)
    if adapter is None or not hasattr(tree, "shape"):
        return tree
    adapter.restore(template, tree)
    return template


def _adapter(template: Any) -> Adapter | None:
    """Return the framework's adapter for an array; numpy's are replaced as they are."""
    known = (adapter for plugin in active() for adapter in plugin.adapters)
    return next((adapter for adapter in known if adapter.accepts(template)), None)


def _dict_differences(template: Any, tree: Mapping[Any, Tree], at: str) -> Iterator[Mismatch]:
    here = template if isinstance(template, dict) else {}
    if any(hasattr(value, "shape") for value in here.values()):  # a pytree of parameters
        yield from _key_differences(tree, here, at)
    shown = _shown_keys(here)
    for key, value in tree.items():
        if next(class_names(key), None) and as_stored(key) not in shown:
            yield from (Mismatch(f"{at}.{key}", problem) for problem in class_names(key))
        yield from differences(here.get(_live_key(key, shown)), value, f"{at}.{key}")


def _key_differences(tree: Any, here: Any, at: str) -> Iterator[Mismatch]:
    yield from (Mismatch(f"{at}.{key}", "not in the program") for key in tree if key not in here)
    yield from (
        Mismatch(f"{at}.{key}", "missing in the checkpoint") for key in here if key not in tree
    )


def _fill_dict(template: Any, tree: Mapping[Any, Tree]) -> Any:
    here = template if isinstance(template, dict) else {}
    shown = _shown_keys(here)
    filled = {}
    for stored, value in tree.items():
        key = _live_key(stored, shown)
        filled[key] = fill(here.get(key), value)
    if type(tree) is not dict and type(template) is not type(tree):
        return tree
    if type(here) is dict:
        return filled
    result = here.copy()  # an OrderedDict, a defaultdict with its factory
    result.clear()
    result.update(filled)
    return result


def _shown_keys(here: Mapping[Any, Any]) -> dict[EnumName, Any]:
    """Return the program's keys that a file can only name."""
    return {as_stored(key): key for key in here if isinstance(key, enum.Enum)}


def _live_key(key: Any, shown: Mapping[EnumName, Any]) -> Any:
    return shown.get(key, key) if isinstance(key, EnumName) else key


def _record_differences(template: Any, tree: Record, at: str) -> Iterator[Mismatch]:
    if not _has_fields(template):
        yield Mismatch(at, f"a {tree.class_name} there, {type(template).__name__} here")
        return
    names = _field_names(template)
    yield from _key_differences(tree.fields, names, at)
    for name in names:
        if name in tree.fields:
            yield from differences(getattr(template, name), tree.fields[name], f"{at}.{name}")


def _fill_record(template: Any, tree: Record) -> Any:
    if not _has_fields(template):
        return template
    filled = {
        name: fill(getattr(template, name), tree.fields[name])
        for name in _field_names(template)
        if name in tree.fields
    }
    if isinstance(template, tuple):
        return template._replace(**filled)  # type: ignore[attr-defined]
    init = {each.name for each in dataclasses.fields(template) if each.init}
    value = dataclasses.replace(template, **{k: v for k, v in filled.items() if k in init})
    for name in filled.keys() - init:
        object.__setattr__(value, name, filled[name])
    return value


def _shows(template: Any, tree: EnumName) -> bool:
    return isinstance(template, enum.Enum) and tree.name in type(template).__members__


def _is_array(template: Any) -> bool:
    return hasattr(template, "shape") and hasattr(template, "dtype")


def _has_fields(template: Any) -> bool:
    if template is None or isinstance(template, type):
        return False
    return dataclasses.is_dataclass(template) or hasattr(template, "_fields")


def _field_names(template: Any) -> list[str]:
    if dataclasses.is_dataclass(template):
        return [each.name for each in dataclasses.fields(template)]
    return list(template._fields)


def _short(template: Any) -> str:
    text = repr(template)
    return text if len(text) <= 40 else text[:37] + "..."  # noqa: PLR2004
