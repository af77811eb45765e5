"""How attached objects of Python and numpy are captured, and restored in place.

Frameworks bring their own adapters (`checkpoint.plugin`); the ones here come
after those. `adapter_for` finds the one for a thing, or refuses it.

Layer: run. Imports checkpoint and core.
"""

import dataclasses
import random
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from evertrain.checkpoint.plugin import Adapter, Mismatch, Tree, active
from evertrain.core.errors import StateError

_IMMUTABLE: Final = (int, float, complex, str, bytes, tuple, frozenset, type(None), range)


class StateDictAdapter:
    """Anything with `state_dict` and `load_state_dict`."""

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`."""
        has_both = hasattr(thing, "state_dict") and hasattr(thing, "load_state_dict")
        return has_both and not isinstance(thing, type)

    def capture(self, thing: Any) -> Tree:
        """See `Adapter.capture`."""
        return thing.state_dict()

    def mismatches(self, thing: Any, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`. Only the object itself can judge its state."""
        del thing, tree
        return ()

    def restore(self, thing: Any, tree: Tree) -> None:
        """See `Adapter.restore`."""
        thing.load_state_dict(tree)


class ArrayAdapter:
    """numpy arrays, filled in place."""

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`."""
        numpy = sys.modules.get("numpy")
        return numpy is not None and isinstance(thing, numpy.ndarray)

    def capture(self, thing: Any) -> Tree:
        """See `Adapter.capture`."""
        return thing

    def mismatches(self, thing: Any, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`."""
        return array_mismatch(thing, tree)

    def restore(self, thing: Any, tree: Tree) -> None:
        """See `Adapter.restore`."""
        thing[...] = tree


class GeneratorAdapter:
    """numpy generators and bit generators, and `random.Random`."""

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`."""
        if isinstance(thing, random.Random):
            return True
        numpy = sys.modules.get("numpy")
        if numpy is None:
            return False
        kinds = (numpy.random.Generator, numpy.random.BitGenerator, numpy.random.RandomState)
        return isinstance(thing, kinds)

    def capture(self, thing: Any) -> Tree:
        """See `Adapter.capture`."""
        if isinstance(thing, random.Random):
            return {"kind": "random.Random", "state": thing.getstate()}
        if hasattr(thing, "get_state"):
            return {"kind": "RandomState", "state": thing.get_state(legacy=False)}
        bits = getattr(thing, "bit_generator", thing)
        return {"kind": type(bits).__name__, "state": bits.state}

    def mismatches(self, thing: Any, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`."""
        mine = self.capture(thing)["kind"]
        stored = tree.get("kind") if isinstance(tree, dict) else tree
        return () if mine == stored else (Mismatch("", f"{stored} there, {mine} here"),)

    def restore(self, thing: Any, tree: Tree) -> None:
        """See `Adapter.restore`."""
        state = tree["state"]
        if isinstance(thing, random.Random):
            version, words, gauss = state
            thing.setstate((version, tuple(words), gauss))
        elif hasattr(thing, "set_state"):
            thing.set_state(state)
        else:
            getattr(thing, "bit_generator", thing).state = state


class DictAdapter:
    """Dicts: known things inside are restored in place, the rest is replaced."""

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`."""
        return isinstance(thing, dict)

    def capture(self, thing: Any) -> Tree:
        """See `Adapter.capture`."""
        return _capture_items(thing)

    def mismatches(self, thing: Any, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`."""
        return _item_mismatches(thing, tree)

    def restore(self, thing: Any, tree: Tree) -> None:
        """See `Adapter.restore`."""
        items = _restore_items(thing, tree)
        thing.clear()
        thing.update(items)


class DataclassAdapter:
    """Instances of dataclasses, field by field."""

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`. A frozen one cannot be restored in place."""
        if not dataclasses.is_dataclass(thing) or isinstance(thing, type):
            return False
        return not type(thing).__dataclass_params__.frozen  # type: ignore[attr-defined]

    def capture(self, thing: Any) -> Tree:
        """See `Adapter.capture`."""
        return _capture_items(_fields(thing))

    def mismatches(self, thing: Any, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`."""
        here, there = _fields(thing), tree["items"]
        lost = [Mismatch(str(key), "not in the program") for key in there if key not in here]
        new = [Mismatch(str(key), "missing in the checkpoint") for key in here if key not in there]
        return [*lost, *new, *_item_mismatches(here, tree)]

    def restore(self, thing: Any, tree: Tree) -> None:
        """See `Adapter.restore`."""
        for name, value in _restore_items(_fields(thing), tree).items():
            setattr(thing, name, value)


class SequenceAdapter:
    """Lists, deques, sets and bytearrays, refilled in place."""

    _fill: Final[dict[type, Callable[[Any, Any], object]]] = {
        list: lambda thing, tree: thing.__setitem__(slice(None), tree),
        bytearray: lambda thing, tree: thing.__setitem__(slice(None), tree),
        deque: lambda thing, tree: (thing.clear(), thing.extend(tree)),
        set: lambda thing, tree: (thing.clear(), thing.update(tree)),
    }

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`."""
        return type(thing) in self._fill

    def capture(self, thing: Any) -> Tree:
        """See `Adapter.capture`."""
        if isinstance(thing, list) and any(_is_adaptable(each) for each in thing):
            return _capture_items(dict(enumerate(thing)))
        return thing

    def mismatches(self, thing: Any, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`."""
        if isinstance(thing, list) and isinstance(tree, dict):
            return _item_mismatches(dict(enumerate(thing)), tree)
        return ()

    def restore(self, thing: Any, tree: Tree) -> None:
        """See `Adapter.restore`."""
        if isinstance(thing, list) and isinstance(tree, dict):
            tree = list(_restore_items(dict(enumerate(thing)), tree).values())
        self._fill[type(thing)](thing, tree)


_BUILT_IN: Final[tuple[Adapter, ...]] = (
    ArrayAdapter(),
    GeneratorAdapter(),
    StateDictAdapter(),
    DataclassAdapter(),
    DictAdapter(),
    SequenceAdapter(),
)


def find_adapter(thing: object) -> Adapter | None:
    """Return the adapter that knows `thing`, or None. Plugins are asked first."""
    for each in (*(a for plugin in active() for a in plugin.adapters), *_BUILT_IN):
        if each.accepts(thing):
            return each
    return None


def adapter_for(name: str, thing: object) -> Adapter:
    """Return the adapter for what is attached as `name`.

    Raises:
        StateError: It cannot be restored in place.
    """
    if isinstance(thing, _IMMUTABLE):
        raise StateError(
            f"attach({name}={_short(thing)}): {type(thing).__name__} cannot be restored in place.",
            "your variable would keep its fresh value after a resume.",
            f"Keep it in the run's state, and read it there: run.state.{name} = {_short(thing)}",
        )
    adapter = find_adapter(thing)
    if adapter is None:
        raise StateError(
            f"attach({name}=...): evertrain does not know how to save a {_type_name(thing)}.",
            "it has no state_dict and load_state_dict, and no integration knows it.",
            "Give it these two methods, or attach the parts of it that change.",
        )
    return adapter


def array_mismatch(here: Any, there: Any) -> tuple[Mismatch, ...]:
    """Compare two arrays' shapes and dtypes."""
    found = (getattr(there, "shape", None), getattr(there, "dtype", None))
    if found == (here.shape, here.dtype):
        return ()
    return (Mismatch("", f"{_kind(there)} there, {_kind(here)} here"),)


def _kind(value: Any) -> str:
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    return type(value).__name__ if shape is None else f"{dtype} {tuple(shape)}"


def _fields(thing: Any) -> dict[Any, Any]:
    return {each.name: getattr(thing, each.name) for each in dataclasses.fields(thing)}


def _is_adaptable(value: object) -> bool:
    return not isinstance(value, _IMMUTABLE) and find_adapter(value) is not None


def _capture_items(items: dict[Any, Any]) -> Tree:
    adapted = [key for key, value in items.items() if _is_adaptable(value)]
    trees = dict(items)
    for key in adapted:
        trees[key] = adapter_for(str(key), items[key]).capture(items[key])
    return {"items": trees, "in_place": adapted}


def _item_mismatches(here: dict[Any, Any], tree: Tree) -> list[Mismatch]:
    found: list[Mismatch] = []
    for key in tree["in_place"]:
        if key in here and _is_adaptable(here[key]):
            adapter = adapter_for(str(key), here[key])
            inner = adapter.mismatches(here[key], tree["items"][key])
            found += [Mismatch(f"{key}.{each.path}".rstrip("."), each.problem) for each in inner]
    return found


def _restore_items(here: dict[Any, Any], tree: Tree) -> dict[Any, Any]:
    restored = dict(tree["items"])
    for key in tree["in_place"]:
        thing = here.get(key)
        if thing is not None and _is_adaptable(thing):
            adapter = adapter_for(str(key), thing)
            if all(each.path for each in adapter.mismatches(thing, restored[key])):
                adapter.restore(thing, restored[key])
            restored[key] = thing  # fresh, where it may differ as a whole
        else:
            restored[key] = _plain(restored[key])
    return restored


def _plain(tree: Tree) -> Tree:
    """Rebuild what an adapter took apart, where the program has no object to fill."""
    if isinstance(tree, dict) and set(tree) == {"items", "in_place"}:
        return {key: _plain(value) for key, value in tree["items"].items()}
    return tree


def _type_name(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def _short(thing: object) -> str:
    text = repr(thing)
    return text if len(text) <= 40 else text[:37] + "..."  # noqa: PLR2004
