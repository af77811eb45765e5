"""The names that RLlib draws at random for episodes and metrics, replaced by numbers.

They only say which things belong together. Two trainings that are equal draw other
ones, so with them in a checkpoint no two trainings would ever be equal.

Layer: integrations. Imports checkpoint only.
"""

from collections.abc import Iterable
from typing import Any

from evertrain.checkpoint.plugin import Tree


def numbered(tree: Tree, ids: Iterable[str]) -> Tree:
    """Return `tree` with each id as "id-N", in the order in which they come.

    Args:
        tree: Holds the ids as values and as keys.
        ids: All of them; some may come more than once.
    """
    known = {name: f"id-{number}" for number, name in enumerate(dict.fromkeys(ids))}
    return _replace(tree, known)


def _replace(value: Any, known: dict[str, str]) -> Any:
    if type(value) is str:
        return known.get(value, value)
    if isinstance(value, dict):
        kept = {_replace(key, known): _replace(each, known) for key, each in value.items()}
        return kept if type(value) is dict else _like(value, kept)
    if type(value) in {list, tuple}:
        return type(value)(_replace(each, known) for each in value)
    return value


def _like(value: Any, kept: dict[Any, Any]) -> Any:
    """Return `kept` in the class of `value`, such as a `defaultdict`."""
    copy = value.copy()
    copy.clear()
    copy.update(kept)
    return copy
