"""What a fresh start takes over from elsewhere: weights, and nothing that learns or draws.

An adapter says with `weights` which parts of its tree those are (see
`checkpoint.plugin.Adapter`); containers are looked into.

Layer: run. Imports checkpoint and core.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from evertrain.checkpoint.plugin import Adapter, Mismatch, Tree
from evertrain.checkpoint.tree.arrays import is_array, is_scalar
from evertrain.core.errors import StateError
from evertrain.run.adapters import find_adapter
from evertrain.run.rebuild import is_wrapped, kinds_of

Things = Mapping[str, tuple[Any, Adapter]]
Leaves = dict[str, Any]

_NOTHING: Final = ()
_MAX_KEYS: Final = 100_000


def is_fresh(adapter: Adapter) -> bool:
    """Say whether what `adapter` knows has no weights: an optimizer, a generator."""
    return _keys(adapter) == _NOTHING


def places(things: Things) -> tuple[str, ...]:
    """Return where in a checkpoint the weights of `things` are: "name", or "name/part"."""
    found: list[str] = []
    for name, (_, adapter) in things.items():
        keys = _keys(adapter)
        found += [name] if keys is None else [f"{name}/{key}" for key in keys]
    return tuple(found)


def taken(thing: Any, adapter: Adapter, stored: Tree) -> Tree:
    """Return the tree to restore: the weights of `stored`, and all else as it is now."""
    keys = _keys(adapter)
    if keys is not None and isinstance(stored, dict):
        return {**adapter.capture(thing), **{key: stored[key] for key in keys if key in stored}}
    mine = adapter.capture(thing) if is_wrapped(stored) else None
    return _inside(thing, mine, stored) if is_wrapped(mine) else stored


def rigid_misfits(thing: Any, adapter: Adapter, tree: Tree, path: str = "") -> Iterator[Mismatch]:
    """Yield what does not fit. Weights in a list are no rows of data: their shapes count too."""
    if not path:
        yield from adapter.mismatches(thing, tree)
    if not is_wrapped(tree):
        return
    for key in kinds_of(tree):
        inner = _part(thing, key) if _has_part(thing, key) else None
        found = None if inner is None else find_adapter(inner)
        if found is None:
            continue
        at, stored = _join(path, str(key)), tree["items"][key]
        if isinstance(thing, list) and _is_leaf(inner):
            yield from (Mismatch(at, each.problem) for each in found.mismatches(inner, stored))
        yield from rigid_misfits(inner, found, stored, at)


def fit(
    flat: Mapping[str, Any], things: Things, where: str
) -> tuple[dict[str, Tree], list[Mismatch]]:
    """Return the arrays of a file as trees of the attached things that they are for.

    Args:
        flat: Arrays by key: "NAME.key", or "key" alone if one thing only has weights; or
            mappings of them by NAME.
        things: What is attached.
        where: Name of the file, for messages.

    Returns:
        Trees by name, and every key that is missing in the file or not in the program.

    Raises:
        StateError: Nothing attached is meant.
    """
    known = {name: dict(_weights_in(*each)) for name, each in things.items()}
    known = {name: leaves for name, leaves in known.items() if leaves}
    there, faults = _by_name(flat, known)
    if not there:
        shown = [f"{key!s:.60}" for key in list(flat)[:5]]
        raise StateError(
            f"init_from: {where} holds {', '.join(shown) or 'nothing'}"
            f"{', ...' if len(flat) > 5 else ''}.",  # noqa: PLR2004
            f"what is attached here with weights: {', '.join(known) or 'nothing'}.",
            "Attach the model; if several have weights, begin each key with NAME and a dot.",
        )
    trees: dict[str, Tree] = {}
    for name, leaves in there.items():
        (thing, adapter), here = things[name], known[name]
        faults += [Mismatch(_join(name, p), "missing in the file") for p in here if p not in leaves]
        faults += [Mismatch(_join(name, p), "not in the program") for p in leaves if p not in here]
        fitting = {path: leaf for path, leaf in leaves.items() if path in here}
        trees[name] = _overlaid(adapter.capture(thing), fitting)
    return trees, faults


def _keys(adapter: Adapter) -> Sequence[str] | None:
    """Return the parts of the adapter's tree that are weights; None is all of it."""
    found: Sequence[str] | None = getattr(adapter, "weights", None)
    return found


def _inside(thing: Any, mine: Tree, stored: Tree) -> Tree:
    """Return a container's stored tree, with what has no weights in it as it is now."""
    items, kinds = dict(stored["items"]), kinds_of(stored)
    for key, kind in kinds_of(mine).items():
        inner = _part(thing, key)
        adapter = find_adapter(inner)
        if adapter is None:
            continue
        if is_fresh(adapter):
            items[key], kinds[key] = mine["items"][key], kind
        elif key in items:
            items[key] = taken(inner, adapter, items[key])
    return {**stored, "items": items, "in_place": list(kinds), "kinds": list(kinds.values())}


def _part(thing: Any, key: Any) -> Any:
    return thing[key] if isinstance(thing, (dict, list)) else getattr(thing, key)


def _has_part(thing: Any, key: Any) -> bool:
    if isinstance(thing, dict):
        return key in thing
    return key < len(thing) if isinstance(thing, list) else hasattr(thing, str(key))


def _weights_in(thing: Any, adapter: Adapter, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the arrays that are weights of `thing` by their paths."""
    tree, keys = adapter.capture(thing), _keys(adapter)
    if keys is not None:
        tree = {key: tree[key] for key in keys}
    if not is_wrapped(tree):
        yield from _leaves(tree, path)
        return
    in_place = kinds_of(tree)
    for key, value in tree["items"].items():
        inner, part = _join(path, str(key)), _part(thing, key) if key in in_place else None
        found = None if part is None else find_adapter(part)
        yield from _leaves(value, inner) if found is None else _weights_in(part, found, inner)


def _leaves(tree: Tree, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the arrays of a tree by their paths."""
    if _is_leaf(tree):
        yield path, tree
    for key, value in _children(tree).items():
        yield from _leaves(value, _join(path, str(key)))


def _overlaid(tree: Tree, leaves: Leaves, path: str = "") -> Tree:
    """Return `tree` with the arrays of `leaves` in place of its own."""
    if _is_leaf(tree):
        return _as(tree, leaves[path]) if path in leaves else tree
    if is_wrapped(tree):
        return {**tree, "items": _overlaid(tree["items"], leaves, path)}
    if isinstance(tree, dict):
        return {key: _overlaid(x, leaves, _join(path, str(key))) for key, x in tree.items()}
    if type(tree) in {list, tuple}:
        return type(tree)(_overlaid(x, leaves, _join(path, str(i))) for i, x in enumerate(tree))
    return tree


def _children(tree: Tree) -> Mapping[Any, Tree]:
    if isinstance(tree, dict):
        return tree
    return dict(enumerate(tree)) if type(tree) in {list, tuple} else {}


def _is_leaf(tree: Tree) -> bool:
    return hasattr(tree, "shape") and hasattr(tree, "dtype") and not is_scalar(tree)


def _as(mine: Any, value: Any) -> Any:
    """Return a file's array as the kind that the program has there, if it can be."""
    if not is_array(mine) or is_array(value):
        return value
    import numpy as np

    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        return value  # its adapter says what does not fit


def _by_name(
    flat: Mapping[str, Any], known: Mapping[str, Leaves]
) -> tuple[dict[str, Leaves], list[Mismatch]]:
    """Sort a file's keys by the attached thing that they are for."""
    nested = {name: flat[name] for name in known if isinstance(flat.get(name), Mapping)}
    if nested:  # parts, as in a checkpoint: those that nobody asks for are left alone
        return {name: dict(_flattened(part)) for name, part in nested.items()}, []
    leaves = dict(_flattened(flat))
    there = {name: _after(name, leaves) for name in known}
    if len(known) == 1:
        (name, here), (prefixed,) = next(iter(known.items())), there.values()
        is_plain = len(here.keys() & leaves.keys()) >= len(here.keys() & prefixed.keys())
        there = {name: leaves if is_plain else prefixed}
    there = {name: found for name, found in there.items() if found}
    used = {_join(name, path) for name, found in there.items() for path in found}
    is_all = any(found is leaves for found in there.values())
    left = [] if is_all else [key for key in leaves if key not in used]
    return there, [Mismatch(key, "not in the program") for key in left] if there else []


def _after(name: str, leaves: Leaves) -> Leaves:
    """Return the leaves whose keys begin with `name`, under the rest of their keys."""
    begin = f"{name}."
    found = {key.removeprefix(begin): x for key, x in leaves.items() if key.startswith(begin)}
    return found | ({"": leaves[name]} if name in leaves else {})


def _flattened(
    tree: Mapping[Any, Any], path: str = "", left: Iterator[int] | None = None
) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of mappings by their paths.

    Raises:
        ValueError: They never end: a file can have a mapping hold another one many times.
    """
    left = iter(range(_MAX_KEYS)) if left is None else left
    for key, value in tree.items():
        if next(left, None) is None:
            raise ValueError(f"more than {_MAX_KEYS} names")
        inner = _join(path, str(key))
        if isinstance(value, Mapping):
            yield from _flattened(value, inner, left)
        else:
            yield inner, value


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path and key else path or key
