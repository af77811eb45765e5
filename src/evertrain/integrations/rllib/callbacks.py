"""Callbacks of the program: what they count goes on, if they say how.

RLlib makes one object of each class for the algorithm, and one for each runner.

Layer: integrations. Imports its siblings and checkpoint.
"""

from collections.abc import Collection
from typing import Any

from evertrain.checkpoint.plugin import Mismatch, Tree
from evertrain.integrations.envs.layers import pair_of


def take(callbacks: Any) -> Tree:
    """Return the class and the state of each that has methods for it.

    Args:
        callbacks: What RLlib keeps: one, a list of them, or one that holds others.
    """
    return [
        [type(each).__name__, getattr(each, pair[0])()]
        for each in _members(callbacks)
        if (pair := pair_of(each)) is not None
    ]


def put(callbacks: Any, tree: Tree) -> None:
    """Put the states back, into callbacks of the same classes."""
    for each, (_, state) in zip(_able(callbacks), tree, strict=True):
        pair = pair_of(each)
        if pair is not None:
            getattr(each, pair[1])(state)


def names(callbacks: Any) -> list[str]:
    """Return the classes of those that have methods for their state."""
    return [type(each).__name__ for each in _able(callbacks)]


def misfits(able: list[str], tree: Tree) -> list[Mismatch]:
    """Return how stored states do not fit callbacks of the classes `able`."""
    there = [name for name, _ in tree]
    if there == able:
        return []
    return [Mismatch("callbacks", f"{_listed(there)} with state there, {_listed(able)} here")]


def forgotten(callbacks: Any) -> list[str]:
    """Return those that hold something and cannot say it, e.g. "Counter (calls)"."""
    return [
        f"{type(each).__name__} ({', '.join(_attributes(each))})"
        for each in _members(callbacks)
        if pair_of(each) is None and _attributes(each)
    ]


def sentence(found: Collection[str]) -> str:
    """Return for people which callbacks are not kept."""
    return (
        f"callbacks hold what is not kept: {'; '.join(sorted(set(found)))}. Where a training"
        " depends on it, give their classes get_state and set_state"
    )


def _listed(found: list[str]) -> str:
    return ", ".join(found) or "none"


def _members(callbacks: Any) -> list[Any]:
    listed = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
    return [one for each in listed for one in getattr(each, "_callback_list", [each])]


def _able(callbacks: Any) -> list[Any]:
    return [each for each in _members(callbacks) if pair_of(each) is not None]


def _attributes(callback: Any) -> list[str]:
    """Return what it holds; nothing for one of RLlib's own."""
    is_theirs = type(callback).__module__.startswith("ray.")
    return [] if is_theirs else sorted(getattr(callback, "__dict__", ()))
