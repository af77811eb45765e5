"""Where two states differ first, bit for bit.

Layer: integrations. Imports checkpoint only.
"""

from collections.abc import Collection
from typing import Any

from evertrain.checkpoint.plugin import Tree
from evertrain.checkpoint.tree import flatten


def first_difference(there: Tree, here: Tree, skip: Collection[str] = ()) -> str | None:
    """Return the path of the first leaf that differs, or None.

    Args:
        there: What was stored.
        here: What is now.
        skip: Names whose values do not count.
    """
    left, right = flatten(there), flatten(here)
    where = _walk(left.skeleton, right.skeleton, "", skip)
    if where is not None:
        return where or "the whole"
    for key in [*left.arrays, *(right.arrays.keys() - left.arrays)]:
        mine, other = left.arrays.get(key), right.arrays.get(key)
        if mine is None or other is None or (mine.dtype, mine.shape) != (other.dtype, other.shape):
            return key
        if mine.data.tobytes() != other.data.tobytes():
            return key
    return None


def _walk(left: Any, right: Any, path: str, skip: Collection[str]) -> str | None:
    if isinstance(left, dict) and isinstance(right, dict):
        if left.keys() != right.keys():
            odd = sorted(map(str, left.keys() ^ right.keys()))
            return f"{path}.{odd[0]}".lstrip(".")
        pairs = [(f"{path}.{key}", left[key], right[key]) for key in left if key not in skip]
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        pairs = [(f"{path}.{n}", *both) for n, both in enumerate(zip(left, right, strict=True))]
    else:
        return None if left == right and type(left) is type(right) else path.lstrip(".")
    found = (_walk(mine, other, at, skip) for at, mine, other in pairs)
    return next((each for each in found if each is not None), None)
