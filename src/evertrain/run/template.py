"""Stored values take the places of what the program shows: its shapes, names and devices.

What is set before the loop is a template. `differences` decides and changes
nothing; `fill` acts, and returns new values: nothing of the program's is filled
in place, for two of its names may share one tensor. Classes are settled before
(`classes.familiar`); what is still a `Record` or an `EnumName` here fits nothing.

Rows of lists and deques are data: their arrays may have any shape. Everywhere
else the arrays of a template say what the stored ones must look like.

Layer: run. Imports checkpoint and core.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from evertrain.checkpoint.plugin import Adapter, Mismatch, Tree, active
from evertrain.checkpoint.tree import EnumName, Record
from evertrain.checkpoint.tree.arrays import is_scalar
from evertrain.checkpoint.tree.kinds import class_name
from evertrain.checkpoint.tree.records import build, field_values
from evertrain.run.adapters import array_mismatch
from evertrain.run.classes import has_fields, refilled, same_class
from evertrain.run.rebuild import class_names, is_plain

_SEQUENCES: Final = frozenset({list, tuple, deque})


def differences(
    template: Any, tree: Tree, at: str = "", *, is_row: bool = False
) -> Iterator[Mismatch]:
    """Yield what of `tree` cannot take the place of `template`.

    Args:
        template: What the program set before the loop; None fits everything but
            classes that no value shows.
        tree: What the checkpoint holds, or will hold.
        at: Path of the value.
        is_row: Whether it is a member of a list or a deque.
    """
    if isinstance(tree, Record):
        yield from _record_differences(template, tree, at)
    elif _is_array(template) and not is_row:
        yield from _array_differences(template, tree, at)
    elif isinstance(tree, dict):
        yield from _dict_differences(template, tree, at)
    elif has_fields(tree):
        here = _fields_like(template, class_name(type(tree)))
        for name, value in field_values(tree).items():
            yield from differences(here.get(name), value, f"{at}.{name}")
    elif type(tree) in _SEQUENCES:
        if is_plain(tree):
            return
        for index, (inner, value) in enumerate(_pairs(template, tree)):
            yield from differences(inner, value, f"{at}[{index}]", is_row=type(tree) is not tuple)
    else:
        yield from class_names(tree, at)


def fill(  # noqa: PLR0911  (one line for each kind of value)
    template: Any, tree: Tree, *, is_row: bool = False
) -> Any:
    """Return `tree` in the place of `template`; what does not fit stays as the program has it."""
    if isinstance(tree, Record):
        return _fill_record(template, tree)
    if isinstance(tree, EnumName):
        return template
    if _is_array(template):
        return _fill_array(template, tree, is_row=is_row)
    if isinstance(tree, dict):
        return _fill_dict(template, tree)
    if has_fields(tree):
        return _fill_fields(template, tree)
    if type(tree) in _SEQUENCES and not is_plain(tree):
        pairs, is_data = _pairs(template, tree), type(tree) is not tuple
        filled = [fill(inner, value, is_row=is_data) for inner, value in pairs]
        return deque(filled, tree.maxlen) if isinstance(tree, deque) else type(tree)(filled)
    return tree


def _pairs(template: Any, tree: Sequence[Tree]) -> Iterator[tuple[Any, Tree]]:
    """Yield each member with the one that the program has in its place, or None.

    A deque moves on: what stands at a place now says nothing of what stood there first.
    """
    is_alike = type(template) is type(tree) and type(tree) is not deque
    known = list(template) if is_alike else []
    for index, value in enumerate(tree):
        yield (known[index] if index < len(known) else None), value


def _array_differences(template: Any, tree: Tree, at: str) -> Iterator[Mismatch]:
    if not hasattr(tree, "shape") and template.shape == ():
        return
    adapter = _adapter(template)
    inner = adapter.mismatches(template, tree) if adapter else array_mismatch(template, tree)
    yield from (Mismatch(at, each.problem) for each in inner)


def _fill_array(template: Any, tree: Tree, *, is_row: bool) -> Any:
    if not is_row and next(_array_differences(template, tree, ""), None) is not None:
        return template
    adapter = _adapter(template)
    renew = getattr(adapter, "renewed", None)
    return tree if renew is None else renew(template, tree)


def _adapter(template: Any) -> Adapter | None:
    """Return the framework's adapter for an array, if it is a framework's."""
    known = (adapter for plugin in active() for adapter in plugin.adapters)
    return next((adapter for adapter in known if adapter.accepts(template)), None)


def _dict_differences(template: Any, tree: Mapping[Any, Tree], at: str) -> Iterator[Mismatch]:
    here = template if isinstance(template, dict) else {}
    if any(map(_is_array, here.values())):  # a pytree of parameters
        yield from _key_differences(tree, here, at)
    for key, value in tree.items():
        yield from class_names(key, f"{at}.{key}")
        yield from differences(here.get(key), value, f"{at}.{key}")


def _key_differences(tree: Any, here: Any, at: str) -> Iterator[Mismatch]:
    yield from (Mismatch(f"{at}.{key}", "not in the program") for key in tree if key not in here)
    yield from (
        Mismatch(f"{at}.{key}", "missing in the checkpoint") for key in here if key not in tree
    )


def _fill_dict(template: Any, tree: Mapping[Any, Tree]) -> Any:
    here = template if isinstance(template, dict) else {}
    filled = {key: fill(here.get(key), value) for key, value in tree.items()}
    if type(tree) is dict:
        return filled
    return refilled(tree, filled)


def _record_differences(template: Any, tree: Record, at: str) -> Iterator[Mismatch]:
    """Yield why a record became no value: its class is unknown, or has other fields now."""
    here = _fields_like(template, tree.class_name)
    if not here:
        yield from class_names(tree, at)
        return
    yield from _key_differences(tree.fields, here, at)
    for name in here.keys() & tree.fields.keys():
        yield from differences(here[name], tree.fields[name], f"{at}.{name}")


def _fill_record(template: Any, tree: Record) -> Any:
    here = _fields_like(template, tree.class_name)
    if not here:
        return template
    there = {name: fill(here[name], x) for name, x in tree.fields.items() if name in here}
    return build(type(template), {**here, **there})


def _fill_fields(template: Any, tree: Any) -> Any:
    here, there = _fields_like(template, class_name(type(tree))), field_values(tree)
    filled = {name: fill(here.get(name), value) for name, value in there.items()}
    return build(type(tree), filled)


def _fields_like(template: Any, name: str) -> dict[str, Any]:
    """Return the fields of `template` if its class goes by `name`."""
    if has_fields(template) and same_class(class_name(type(template)), name):
        return field_values(template)
    return {}


def _is_array(template: Any) -> bool:
    """Say whether `template` is an array; numpy's scalars are numbers like others."""
    is_sized = hasattr(template, "shape") and hasattr(template, "dtype")
    return is_sized and not is_scalar(template)
