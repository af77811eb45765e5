"""The trash keeps what may come back until its time is over, and nothing longer."""

from pathlib import Path

import pytest

from evertrain.checkpoint import Store, keep_last
from evertrain.checkpoint.commit import Tools
from evertrain.checkpoint.trash import (
    TRASH,
    bring_back,
    discard,
    discard_tree,
    discarded,
    empty,
)
from evertrain.testing import FakeClock

NOW_S = 1_700_000_000.0
DAY_S = 86_400.0


def filled(root: Path, *steps: int) -> Store:
    """Return a store with a checkpoint of each of `steps`."""
    store = Store(root)
    for step in steps:
        store.save(step, {"s": step})
    return store


def names(root: Path) -> list[str]:
    """Return what is in the trash."""
    return sorted(path.name for path in (root / TRASH).iterdir())


def test_the_name_says_until_when(tmp_path: Path) -> None:
    """A grace is written into the name, in UTC; without one there is only the step."""
    filled(tmp_path, 1, 2, 3)
    tools = Tools(clock=FakeClock(NOW_S))
    discard(tmp_path, [1], tools, grace_s=DAY_S)
    discard(tmp_path, [2], tools)

    assert names(tmp_path) == ["000000001-until-20231115T221320Z", "000000002"]


def test_whoever_only_asks_deletes_nothing(tmp_path: Path) -> None:
    """A dry run of retention leaves the trash as it is, too."""
    store = filled(tmp_path, 1, 2, 3)
    discard(tmp_path, [1], Tools())
    store.prune(keep_last(1), dry_run=True)

    assert names(tmp_path) == ["000000001"]
    assert [info.step for info in store.list()] == [2, 3]


def test_emptied_when_the_time_is_over(tmp_path: Path) -> None:
    """Not a second earlier; what has no grace goes at once."""
    filled(tmp_path, 1, 2, 3)
    clock = FakeClock(NOW_S)
    tools = Tools(clock=clock)
    discard(tmp_path, [1], tools, grace_s=DAY_S)
    discard(tmp_path, [2], tools)
    clock.advance(DAY_S - 1)
    assert empty(tmp_path / TRASH, tools) == 1
    assert len(names(tmp_path)) == 1
    clock.advance(1)
    assert empty(tmp_path / TRASH, tools) == 1
    assert names(tmp_path) == []
    assert empty(tmp_path / "nowhere", tools) == 0


def test_a_training_spares_what_may_come_back(tmp_path: Path) -> None:
    """Neither the start of an attempt nor its retention deletes it before its time."""
    clock = FakeClock(NOW_S)
    filled(tmp_path, 1, 2, 3)
    discard(tmp_path, [1], Tools(clock=clock), grace_s=DAY_S)
    store = Store(tmp_path, clock=clock)
    store.recover()
    store.prune(keep_last(1))
    assert names(tmp_path) == ["000000001-until-20231115T221320Z"]
    clock.advance(DAY_S)
    store.save(4, {"s": 4})
    store.prune(keep_last(1))
    assert names(tmp_path) == []


def test_a_full_disk_has_no_patience(tmp_path: Path) -> None:
    """`empty_trash` deletes all of it and says how much that was."""
    store = filled(tmp_path, 1, 2, 3)
    discard(tmp_path, [1, 2], Tools(), grace_s=DAY_S)
    assert store.empty_trash() == 2
    assert names(tmp_path) == []
    assert store.empty_trash() == 0


def test_back_again(tmp_path: Path) -> None:
    """The checkpoint gets its place back, unless that is taken; other things have none."""
    store = filled(tmp_path, 1, 2)
    tools = Tools()
    discard(tmp_path, [1], tools, grace_s=DAY_S)
    (tmp_path / TRASH / "notes-until-20990101T000000Z").mkdir()
    one, notes = discarded(tmp_path / TRASH)
    assert (one.name, notes.name) == ("000000001", "notes")
    assert bring_back(tmp_path, notes, tools) is None
    assert bring_back(tmp_path, one, tools) == 1
    assert bring_back(tmp_path, one, tools) is None
    assert [info.step for info in store.list()] == [1, 2]
    assert store.load(1).state == {"s": 1}


def test_the_same_step_twice(tmp_path: Path) -> None:
    """Two of one name lie side by side; the later one is the one to bring back."""
    clock = FakeClock(NOW_S)
    for _ in range(2):
        filled(tmp_path, 1)
        discard(tmp_path, [1], Tools(clock=clock), grace_s=DAY_S)
    assert names(tmp_path) == [
        "000000001-until-20231115T221320Z",
        "000000001-until-20231115T221320Z-2",
    ]
    assert [each.path.name[-2:] for each in discarded(tmp_path / TRASH)] == ["0Z", "-2"]


@pytest.mark.parametrize("name", ["000000001-until-99999999T999999Z", "x-until-", "-until-", "x"])
def test_names_that_lie(tmp_path: Path, name: str) -> None:
    """What only looks like a grace is none, and is no reason to fail."""
    (tmp_path / TRASH / name).mkdir(parents=True)
    assert discarded(tmp_path / TRASH) == []
    assert empty(tmp_path / TRASH, Tools()) == 1


def test_clocks_that_no_calendar_knows(tmp_path: Path) -> None:
    """A clock gone wild neither fails nor deletes what it should keep."""
    filled(tmp_path, 1)
    discard(tmp_path, [1], Tools(clock=FakeClock(1e300)), grace_s=DAY_S)
    assert len(discarded(tmp_path / TRASH)) == 1


def test_gone_already(tmp_path: Path) -> None:
    """Another process that was faster is no error, and takes nothing twice."""
    filled(tmp_path, 1, 2)
    assert [path.name for path in discard(tmp_path, [1, 5], Tools())] == ["000000001"]
    assert discard(tmp_path, [1], Tools()) == []
    assert discard(tmp_path, [], Tools()) == []


def test_a_whole_directory(tmp_path: Path) -> None:
    """A run goes the same way, to a trash of its own."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "f").write_bytes(b"x")
    target = discard_tree(tmp_path / "run", tmp_path / "t", Tools(), grace_s=DAY_S)
    assert (target / "f").read_bytes() == b"x"
    assert not (tmp_path / "run").exists()
    assert [each.name for each in discarded(tmp_path / "t")] == ["run"]
