"""How attached objects of Python and numpy are captured, and restored in place.

Frameworks bring their own adapters (`checkpoint.plugin`); the ones here come
after those; containers have a file of their own. `adapter_for` finds the one
for a thing, or refuses it.

Layer: run. Imports checkpoint and core.
"""

import random
import sys
from collections.abc import Sequence
from typing import Any, Final

from evertrain.checkpoint.plugin import Adapter, Mismatch, Tree, active
from evertrain.checkpoint.tree.generators import MAX_SPAWNED, check_position
from evertrain.checkpoint.tree.registry import by_type as registered_type
from evertrain.core.errors import StateError
from evertrain.run.containers import DataclassAdapter, DictAdapter, SequenceAdapter
from evertrain.run.outline import Sketch
from evertrain.run.rebuild import is_wrapped

_IMMUTABLE: Final = (int, float, complex, str, bytes, tuple, frozenset, type(None), range)


class StateDictAdapter:
    """Anything with `state_dict` and `load_state_dict`."""

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`."""
        # A dict may answer any name with a key of its own, or with a KeyError.
        where = type(thing) if isinstance(thing, dict) else thing
        has_both = hasattr(where, "state_dict") and hasattr(where, "load_state_dict")
        return has_both and not isinstance(thing, type)

    def capture(self, thing: Any) -> Tree:
        """See `Adapter.capture`."""
        return thing.state_dict()

    def mismatches(self, thing: Any, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`. Only the object itself can judge its state.

        What a container left behind is refused: a lenient object would ignore it.
        """
        if is_wrapped(tree):
            return (Mismatch("", f"{tree['kind']} there, {type(thing).__name__} here"),)
        return ()

    def restore(self, thing: Any, tree: Tree) -> None:
        """See `Adapter.restore`."""
        thing.load_state_dict(tree)


class ArrayAdapter:
    """numpy arrays, filled in place."""

    copies = is_data = True

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

    def unfillable(self, thing: Any) -> Sequence[Mismatch]:
        """See `Adapter`."""
        return () if thing.flags.writeable else (Mismatch("", "a read-only array"),)

    def restore(self, thing: Any, tree: Tree) -> None:
        """See `Adapter.restore`."""
        thing[...] = tree


class GeneratorAdapter:
    """numpy generators and bit generators, and `random.Random`."""

    weights = ()

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`."""
        if isinstance(thing, random.Random):
            return not isinstance(thing, random.SystemRandom)  # the machine's, without a state
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
        spawned = getattr(bits.seed_seq, "n_children_spawned", 0)
        return {"kind": type(bits).__name__, "state": bits.state, "spawned": spawned}

    def mismatches(self, thing: Any, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`."""
        mine = self.capture(thing)["kind"]
        stored = tree.get("kind") if isinstance(tree, dict) else type(tree).__name__
        return () if mine == stored else (Mismatch("", f"{stored} there, {mine} here"),)

    def restore(self, thing: Any, tree: Tree) -> None:
        """See `Adapter.restore`."""
        state = tree["state"]
        if isinstance(thing, random.Random):
            version, words, gauss = state
            thing.setstate((version, tuple(words), gauss))
        elif hasattr(thing, "set_state"):
            check_position(state)
            thing.set_state(state)
        else:
            check_position(state)
            bits = getattr(thing, "bit_generator", thing)
            bits.state = state
            missing = tree.get("spawned", 0) - getattr(bits.seed_seq, "n_children_spawned", 0)
            if missing > MAX_SPAWNED:
                raise ValueError(f"it has spawned {missing} others")
            if missing > 0:  # so that the next `spawn` gives the next child, not the first again
                bits.seed_seq.spawn(missing)


class SketchAdapter:
    """What stands for an object in an outline: it is only compared."""

    def accepts(self, thing: object) -> bool:
        """See `Adapter.accepts`."""
        return isinstance(thing, Sketch)

    def capture(self, thing: Any) -> Tree:
        """See `Adapter.capture`. Never reached: outlines are not saved."""
        return thing

    def mismatches(self, thing: Any, tree: Tree) -> Sequence[Mismatch]:
        """See `Adapter.mismatches`."""
        found: Sequence[Mismatch] = thing.mismatches(tree)
        return found

    def restore(self, thing: Any, tree: Tree) -> None:
        """See `Adapter.restore`. Never reached: outlines are not restored."""


def find_adapter(thing: object) -> Adapter | None:
    """Return the adapter that knows `thing`, or None. Plugins are asked first."""
    for each in (*(a for plugin in active() for a in plugin.adapters), *_BUILT_IN):
        if each.accepts(thing):
            return each
    return None


def _find_inner(thing: object) -> Adapter | None:
    """Return the adapter for something inside a container; None for what is replaced there."""
    if isinstance(thing, _IMMUTABLE):
        return None
    found = find_adapter(thing)
    is_taught = isinstance(found, DataclassAdapter) and registered_type(type(thing)) is not None
    return None if is_taught else found


_BUILT_IN: Final[tuple[Adapter, ...]] = (
    SketchAdapter(),
    ArrayAdapter(),
    GeneratorAdapter(),
    StateDictAdapter(),
    DataclassAdapter(_find_inner),
    DictAdapter(_find_inner),
    SequenceAdapter(_find_inner),
)


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


def _type_name(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def _short(thing: object) -> str:
    text = repr(thing)
    return text if len(text) <= 40 else text[:37] + "..."  # noqa: PLR2004
