"""What comes back from the trash, and what must not."""

from pathlib import Path

import pytest

from evertrain.checkpoint import About, Store
from evertrain.checkpoint.care.prune import remove
from evertrain.checkpoint.care.undo import undo
from evertrain.checkpoint.commit import Tools
from evertrain.core import lock
from evertrain.core.errors import LockedError
from evertrain.core.rundir import RunDir
from evertrain.testing import FakeClock
from runs import new_run, tell


def a_run(path: Path, *steps: int, attempt: int = 1) -> RunDir:
    """Return a run with a checkpoint of each of `steps`."""
    run_dir = new_run(path)
    for step in steps:
        Store(run_dir.checkpoints).save(step, {"s": step}, about=About(attempt=attempt))
    return run_dir


def steps_of(run_dir: RunDir) -> list[int]:
    """Return what there is."""
    return [info.step for info in Store(run_dir.checkpoints).list()]


def test_back_in_their_places(tmp_path: Path) -> None:
    """All that were removed are listed again, the newest as the latest."""
    run_dir = a_run(tmp_path / "r", 1, 2, 3)
    remove(run_dir, [1, 3])
    done = undo(run_dir)

    assert (done.steps, done.refused) == ([1, 3], {})
    assert steps_of(run_dir) == [1, 2, 3]
    assert (run_dir.checkpoints / "latest").readlink() == Path("000000003")
    assert Store(run_dir.checkpoints).verify() == []
    assert undo(run_dir).steps == []


def test_an_abandoned_branch_stays_away(tmp_path: Path) -> None:
    """Where the run went back behind it, it would be resumed by mistake."""
    run_dir = a_run(tmp_path / "r", 10, 20, 30)
    remove(run_dir, [10, 30])
    tell(run_dir, {"event": "resumed", "attempt": 2, "step": 20})
    done = undo(run_dir)

    assert done.steps == [10]
    assert "went back" in done.refused["000000030"]
    assert steps_of(run_dir) == [10, 20]


def test_its_own_attempt_is_no_branch(tmp_path: Path) -> None:
    """The attempt that saved it resumed below it, of course."""
    run_dir = a_run(tmp_path / "r", 10, 20, 30, attempt=2)
    tell(run_dir, {"event": "resumed", "attempt": 2, "step": 5})
    remove(run_dir, [10])
    assert undo(run_dir).steps == [10]


def test_damaged_or_taken(tmp_path: Path) -> None:
    """What is not whole, of another step, or has lost its place to another, stays away."""
    run_dir = a_run(tmp_path / "r", 1, 2, 3, 4)
    remove(run_dir, [1, 2, 3])
    trash = sorted((run_dir.checkpoints / "trash").iterdir())
    (trash[0] / "metadata.json").unlink()
    trash[2].rename(trash[2].with_name(trash[2].name.replace("3-until", "7-until")))
    Store(run_dir.checkpoints).save(2, {"s": "another"})
    (run_dir.checkpoints / "trash" / "000000009-until-20990101T000000Z").mkdir()
    (run_dir.checkpoints / "trash" / "old-until-20990101T000000Z").mkdir()
    done = undo(run_dir)

    assert done.steps == []
    assert "it is damaged" in done.refused["000000001"]
    assert done.refused["000000002"] == "there is a checkpoint of that step"
    assert done.refused.keys() == {"000000001", "000000002", "000000007", "000000009", "old"}
    assert done.refused["old"] == "it is no checkpoint"
    assert steps_of(run_dir) == [2, 4]


def test_of_two_the_later_one(tmp_path: Path) -> None:
    """A step that was removed twice comes back as it was last."""
    run_dir = a_run(tmp_path / "r", 1, 2)
    clock = FakeClock(1_700_000_000.0)
    remove(run_dir, [1], tools=Tools(clock=clock))
    clock.advance(60)
    Store(run_dir.checkpoints).save(1, {"s": "later"})
    remove(run_dir, [1], tools=Tools(clock=clock))
    assert undo(run_dir).steps == [1]
    assert Store(run_dir.checkpoints).load(1).state == {"s": "later"}


def test_not_while_it_starts(tmp_path: Path) -> None:
    """A starting attempt is choosing among what is there."""
    run_dir = a_run(tmp_path / "r", 1, 2)
    remove(run_dir, [1])
    with lock.take(run_dir.lock), pytest.raises(LockedError):
        undo(run_dir)
