"""The rotation: every shared file is written afresh in time, and little at a save."""

from hypothesis import given
from hypothesis import strategies as st

from evertrain.checkpoint.refresh import SAVES, Shared, due

SIZES = st.lists(st.integers(1, 10**7), min_size=1, max_size=40)


def files(sizes: list[int], written: dict[str, float]) -> list[Shared]:
    """Return shared files of these sizes."""
    return [Shared(f"f{i}", each, written.get(f"f{i}", 0.0)) for i, each in enumerate(sizes)]


@given(sizes=SIZES)
def test_each_file_has_its_turn_within_two_hundred_saves(sizes: list[int]) -> None:
    """None is shared for longer, however large it is; one more round covers what credit is left."""
    written: dict[str, float] = {}
    credit = 0
    for save in range(1, SAVES + 1):
        stale, credit = due(files(sizes, written), credit)
        written |= dict.fromkeys(stale, float(save))
    assert len(written) == len(sizes)


@given(sizes=SIZES)
def test_one_save_writes_a_two_hundredth_and_one_file_at_most(sizes: list[int]) -> None:
    """What is refreshed is never more than that, and half a per cent of it all in the long run."""
    written: dict[str, float] = {}
    credit = total = 0
    for save in range(1, 3 * SAVES):
        stale, credit = due(files(sizes, written), credit)
        refreshed = sum(sizes[int(name[1:])] for name in stale)
        total += refreshed
        assert refreshed <= sum(sizes) / SAVES + 1 + max(sizes)
        assert total <= save * (sum(sizes) / SAVES + 1)
        written |= dict.fromkeys(stale, float(save))


def test_the_oldest_go_first() -> None:
    """By the time that they were written, then by name."""
    shared = [
        Shared("new", 1, 9.0),
        Shared("b", 1, 2.0),
        Shared("a", 1, 2.0),
        Shared("big", 397, 9),
    ]
    assert due(shared, 0) == (frozenset({"a", "b"}), 0)


def test_a_large_file_waits_for_its_turn_and_is_not_overtaken() -> None:
    """Younger files do not use up the credit that it waits for."""
    shared = [Shared("large", 900, 1.0), Shared("small", 100, 2.0)]
    assert due(shared, 0) == (frozenset(), 5)
    assert due(shared, 894) == (frozenset(), 899)
    assert due(shared, 895) == (frozenset({"large"}), 0)


def test_nothing_shared_needs_no_refresh() -> None:
    """Credit is not saved up for files that are not there yet."""
    assert due([], 12345) == (frozenset(), 0)
