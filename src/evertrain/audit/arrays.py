"""How two arrays differ: how many elements, where first, and by how much.

The bytes are mapped and gone through piece by piece, whatever their size.

Layer: audit. Imports checkpoint.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from evertrain.audit.leaves import Leaf
from evertrain.checkpoint.plugin import RawArray
from evertrain.checkpoint.tree.arrays import NATIVE, raw_to_array

Array = npt.NDArray[Any]

_PIECE: Final = 1 << 20  # elements
_BRAIN: Final = "BF16"
_SHOWN: Final = frozenset({*NATIVE.values(), _BRAIN})  # what has an index of its own


@dataclass(frozen=True, slots=True)
class Unlike:
    """Two arrays of one dtype and shape whose bits differ.

    Attributes:
        index: Of the first element that differs.
        one: Its value in the first array.
        two: Its value in the second one.
        count: How many elements differ.
        size: How many there are.
        largest: Largest absolute difference; None where elements are no numbers.
    """

    index: tuple[int, ...]
    one: str
    two: str
    count: int
    size: int
    largest: float | None


def unlike(leaf: Leaf, one: RawArray, two: RawArray) -> Unlike | None:
    """Return how two arrays of the leaf's dtype and shape differ; None if they are equal."""
    a, b = _elements(leaf, one), _elements(leaf, two)
    as_numbers = _widened if one.dtype == _BRAIN else _as_they_are
    first, count = -1, 0
    largest = 0.0 if as_numbers(a[:0]).dtype.kind in "fiu" else None
    for start in range(0, a.size, _PIECE):
        mine, other = a[start : start + _PIECE], b[start : start + _PIECE]
        differs = np.flatnonzero((_bits(mine) != _bits(other)).any(axis=1))
        if not differs.size:
            continue
        count += differs.size
        first = start + int(differs[0]) if first < 0 else first
        if largest is not None:
            largest = max(largest, _distance(as_numbers(mine[differs]), as_numbers(other[differs])))
    if first < 0:
        return None
    at = slice(first, first + 1)
    return Unlike(
        _index(leaf, one, first),
        str(as_numbers(a[at])[0]),
        str(as_numbers(b[at])[0]),
        count,
        a.size,
        largest,
    )


def _index(leaf: Leaf, raw: RawArray, place: int) -> tuple[int, ...]:
    """Return where an element of the stored array is in the program's own."""
    shape = tuple(leaf.value.get("shape", raw.shape))
    if raw.dtype not in _SHOWN:
        return (place,)  # a byte
    index = tuple(int(each) for each in np.unravel_index(place, shape)) if shape else ()
    return index[::-1] if leaf.value.get("order") == "F" else index


def _elements(leaf: Leaf, raw: RawArray) -> Array:
    """Return the elements in a row; bytes where numpy has no such dtype, pairs for bfloat16."""
    if "descr" in leaf.value or raw.dtype in NATIVE.values():
        about = {name: leaf.value[name] for name in ("descr", "shape") if name in leaf.value}
        return np.ascontiguousarray(raw_to_array(raw, about)).reshape(-1)
    data = np.ascontiguousarray(raw.data)
    return data.view("<u2") if raw.dtype == _BRAIN else data


def _as_they_are(array: Array) -> Array:
    return array


def _widened(array: Array) -> Array:
    """Return numbers of bfloat16, given as integers, as what they stand for."""
    return (array.astype("<u4") << 16).view("<f4")


def _bits(array: Array) -> Array:
    """Return the bytes of each element: uint8, shape (elements, bytes)."""
    return array.view(np.uint8).reshape(array.size, array.dtype.itemsize)


def _distance(one: Array, two: Array) -> float:
    """Return the largest absolute difference; NaN does not count, for it has none."""
    found = np.abs(one.astype(np.float64) - two.astype(np.float64))
    found = found[~np.isnan(found)]
    return float(found.max()) if found.size else 0.0
