"""`run.state`: values that are rebound each step, restored into the shape they had.

What is set before the loop is a template: its structure, dtypes and devices
decide how a stored value comes back, so named tuples, dataclasses and tensors
return as what they were.

Layer: run. Imports checkpoint and core.
"""

import dataclasses
import enum
from collections.abc import Iterator
from typing import Any

from evertrain.checkpoint.plugin import Mismatch, Tree, active
from evertrain.checkpoint.tree import EnumName, Record
from evertrain.core.errors import StateError
from evertrain.run.adapters import array_mismatch


class State:
    """A namespace for whatever the loop rebinds: numbers, observations, pytrees.

    Set a name before the loop and use it freely: `run.state.epsilon *= 0.99`.
    """

    def __init__(self) -> None:
        """Start empty."""
        object.__setattr__(self, "_values", {})

    def __setattr__(self, name: str, value: Any) -> None:
        """Bind `name`."""
        if name.startswith("_"):
            raise StateError(
                f"run.state.{name} starts with an underscore.",
                "such names are not saved.",
                f"Call it run.state.{name.lstrip('_')}",
            )
        self._values[name] = value

    def __getattr__(self, name: str) -> Any:
        """Return what `name` is bound to."""
        try:
            return object.__getattribute__(self, "_values")[name]
        except KeyError:
            raise AttributeError(f"run.state has no {name!r}; set it before the loop") from None

    def __delattr__(self, name: str) -> None:
        """Unbind `name`."""
        try:
            del self._values[name]
        except KeyError:
            raise AttributeError(f"run.state has no {name!r}") from None

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, in the order in which they were set."""
        return iter(self._values)

    def __contains__(self, name: object) -> bool:
        """Say whether `name` is bound."""
        return name in self._values

    def __repr__(self) -> str:
        """Return the names."""
        return f"State({', '.join(self._values)})"


def values_of(state: State) -> dict[str, Any]:
    """Return the live dict behind `state`."""
    found: dict[str, Any] = object.__getattribute__(state, "_values")
    return found


def fill(  # noqa: PLR0911  (one line for each kind of value)
    template: Any, tree: Tree, at: str, faults: list[Mismatch]
) -> Any:
    """Return `tree` as the kind of value that `template` is.

    Args:
        template: What the program set before the loop; None fits everything.
        tree: What the checkpoint holds.
        at: Path of the leaf, for `faults`.
        faults: Receives what does not fit.
    """
    if isinstance(tree, Record):
        return _fill_record(template, tree, at, faults)
    if isinstance(tree, EnumName):
        return _fill_enum(template, tree, at, faults)
    if hasattr(template, "shape") and hasattr(template, "dtype"):
        return _fill_array(template, tree, at, faults)
    if isinstance(template, dict) and isinstance(tree, dict):
        return _fill_dict(template, tree, at, faults)
    if isinstance(template, (list, tuple)) and type(template) is type(tree):
        known = zip(template, tree, strict=False)
        filled = [fill(*pair, f"{at}[{i}]", faults) for i, pair in enumerate(known)]
        rest = [fill(None, each, at, faults) for each in tree[len(filled) :]]
        return type(template)([*filled, *rest])
    if isinstance(tree, dict):
        return {key: fill(None, value, f"{at}.{key}", faults) for key, value in tree.items()}
    return tree


def _fill_array(template: Any, tree: Tree, at: str, faults: list[Mismatch]) -> Any:
    if not hasattr(tree, "shape") and template.shape == ():
        return tree
    for plugin in active():
        for adapter in plugin.adapters:
            if adapter.accepts(template):
                inner = adapter.mismatches(template, tree)
                faults += [Mismatch(at, each.problem) for each in inner]
                if not inner:
                    adapter.restore(template, tree)
                return template
    faults += [Mismatch(at, each.problem) for each in array_mismatch(template, tree)]
    return tree


def _fill_dict(template: Any, tree: Any, at: str, faults: list[Mismatch]) -> Any:
    if any(hasattr(value, "shape") for value in template.values()):  # a pytree of parameters
        faults += [
            Mismatch(f"{at}.{key}", "not in the program") for key in tree if key not in template
        ]
        faults += [
            Mismatch(f"{at}.{key}", "missing in the checkpoint")
            for key in template
            if key not in tree
        ]
    filled = {
        key: fill(template.get(key), value, f"{at}.{key}", faults) for key, value in tree.items()
    }
    return filled if type(template) is dict else type(template)(filled)


def _fill_record(template: Any, tree: Record, at: str, faults: list[Mismatch]) -> Any:
    if template is None or isinstance(template, type) or not _has_fields(template):
        faults.append(Mismatch(at, f"a {tree.class_name} there, {type(template).__name__} here"))
        return tree
    names = _field_names(template)
    faults += [
        Mismatch(f"{at}.{key}", "not in the program") for key in tree.fields if key not in names
    ]
    faults += [
        Mismatch(f"{at}.{key}", "missing in the checkpoint")
        for key in names
        if key not in tree.fields
    ]
    filled = {
        name: fill(getattr(template, name), tree.fields[name], f"{at}.{name}", faults)
        for name in names
        if name in tree.fields
    }
    if isinstance(template, tuple):
        return template._replace(**filled)  # type: ignore[attr-defined]
    return _rebuild(template, filled)


def _rebuild(template: Any, filled: dict[str, Any]) -> Any:
    init = {each.name for each in dataclasses.fields(template) if each.init}
    value = dataclasses.replace(template, **{k: v for k, v in filled.items() if k in init})
    for name in filled.keys() - init:
        object.__setattr__(value, name, filled[name])
    return value


def _fill_enum(template: Any, tree: EnumName, at: str, faults: list[Mismatch]) -> Any:
    if isinstance(template, enum.Enum) and tree.name in type(template).__members__:
        return type(template)[tree.name]
    faults.append(Mismatch(at, f"{tree.class_name}.{tree.name} there, {template!r} here"))
    return tree


def _has_fields(template: Any) -> bool:
    return dataclasses.is_dataclass(template) or hasattr(template, "_fields")


def _field_names(template: Any) -> list[str]:
    if dataclasses.is_dataclass(template):
        return [each.name for each in dataclasses.fields(template)]
    return list(template._fields)
