"""The owner of a ring counts its rows: what follows for each part, against doing it by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evertrain.checkpoint import cut
from evertrain.checkpoint.counts import is_untouched
from evertrain.checkpoint.group import groups_of
from evertrain.checkpoint.plugin import Rows
from evertrain.checkpoint.tree import flatten


@given(
    rows=st.integers(1, 40),
    row_bytes=st.integers(1, 100),
    before=st.integers(0, 200),
    more=st.integers(0, 90),
)
def test_exactly_the_parts_without_a_written_row_are_untouched(
    rows: int, row_bytes: int, before: int, more: int
) -> None:
    """Whole rows or rows cut through, not at all, once or many times around."""
    ring = np.zeros((rows, row_bytes), np.uint8)
    for number in range(before, before + more):
        ring[number % rows] = 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cut, "PART_BYTES", 64)
        flat = flatten({"ring": Rows(ring, written=before + more)})
        if not ring.nbytes > 64:
            return
        for each in groups_of({"a": flat}, ()):
            name = each.items[0].part._replace(start=0)
            untouched = is_untouched(each, {name: before}, {name: before + more})
            assert untouched == (not each.items[0].raw.data.any())
            assert not is_untouched(each, {}, {name: before})
            assert not is_untouched(each, {name: before}, {})
            assert not is_untouched(each, {name: before + 1}, {name: before})


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((8, 8), order="F"),
        np.zeros((8, 4), order="F"),
        np.zeros(8, "c16"),
        np.zeros(8, [("a", "f4"), ("b", "i8")]),
        np.zeros(8, ">f8"),
    ],
)
def test_a_count_does_not_count_where_a_row_is_not_stored_as_one(array: object) -> None:
    """In Fortran order a part holds columns; what is stored as bytes has no rows at all."""
    assert list(flatten({"ring": Rows(array, written=5)}).rows.values()) == [None]


def test_a_count_of_plain_rows_counts() -> None:
    """The other way round: it is not ignored for everything."""
    assert flatten({"ring": Rows(np.zeros((8, 4)), written=5)}).rows == {"ring": 5}
    assert flatten({"ring": Rows([np.zeros(3), np.zeros(3)], written=5)}).rows == {
        "ring/0": None,
        "ring/1": None,
    }
