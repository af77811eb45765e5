"""How far an attempt got, and whether that is progress: a table."""

import pytest

from evertrain.supervise.progress.trail import Trail, decode_trail, encode_trail


def trail(*steps: int | None) -> Trail:
    """Return the trail of one that was seen at `steps`; None is a file that grew."""
    found = Trail()
    for step in steps:
        found = found.moved(step)
    return found


@pytest.mark.parametrize(
    ("steps", "reached", "expected"),
    [
        ([], None, None),  # perhaps the expression finds nothing
        ([], 50, False),  # it does, but it did not come so far
        ([10], None, None),  # it may only have said where it begins
        ([10, 20], None, True),
        ([10, 20], 50, False),  # what it repeats is none
        ([10, 50], 50, False),
        ([10, 60], 50, True),
        ([10, 20, 1, 5], 50, None),  # it counts anew in each epoch
        ([10, 20, 1, 90], 50, None),
        ([None], None, None),  # a header
        ([None, None], None, True),
    ],
)
def test_what_is_progress(
    steps: list[int | None],
    reached: int | None,
    expected: bool | None,  # noqa: FBT001
) -> None:
    """In doubt nothing is said: a wrong "no" would end a training."""
    assert trail(*steps).is_progress(reached) is expected


@pytest.mark.parametrize(
    ("steps", "reached", "expected"),
    [([], 50, None), ([10, 20], 50, None), ([10, 60], 50, True), ([10, 20], None, True)],
)
def test_what_was_left_unread_may_have_been_progress(
    steps: list[int | None],
    reached: int | None,
    expected: bool | None,  # noqa: FBT001
) -> None:
    """It is never said to be none."""
    assert trail(*steps).left_behind().is_progress(reached) is expected


def test_who_is_seen_again_is_not_behind() -> None:
    """Further, or at the same step: then that is where it is."""
    behind = trail(10, 20).left_behind()
    assert behind.moved(21).is_progress(50) is False
    assert behind.caught_up() == trail(10, 20)


def test_a_trail_is_read_back() -> None:
    """From the wire, and nothing else that may stand there."""
    found = trail(3, 9, 4)
    assert found == Trail(first=3, last=4, moves=3, went_back=True)
    assert decode_trail(encode_trail(found)) == found
    assert decode_trail(encode_trail(found.left_behind())) == found.left_behind()
    row = encode_trail(found)
    odds: list[object] = [None, [], {}, row | {"last": -1}, row | {"x": 1}]
    for odd in odds:
        assert decode_trail(odd) is None
