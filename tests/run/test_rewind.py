"""Going back: the abandoned branch is set aside and never resumed."""

import shutil
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evertrain import Run, Store, every, keep_all
from evertrain.core.errors import FormatError, NotFoundError, SaveError, StateError, UsageError
from evertrain.core.journal import Journal
from evertrain.testing import CutFs, FakeClock, PowerCut, everything_on
from support import FAST, OpenRun, another_process, walk


def test_a_crash_after_a_rewind_goes_on_from_the_new_branch(open_run: OpenRun) -> None:
    """From 4 again, a crash at 6: it goes on behind 6 of the new branch, not behind 9."""
    run = open_run(keep=keep_all())
    for step in run:
        run.log(x=step)
        if step == 9:
            run.end_step()
            break

    run = open_run(keep=keep_all(), resume=4)
    for step in run:
        run.log(x=-step)
        if step == 6:
            run.end_step()
            break

    run = open_run(keep=keep_all())

    assert run.step == 6
    rows = [(row["step"], row["x"]) for row in run.metrics]
    assert rows == [(1, 1), (2, 2), (3, 3), (4, 4), (5, -5), (6, -6)]
    assert sorted(each.name[:9] for each in (run.store.path / "superseded").iterdir()) == [
        f"{step:09d}" for step in (5, 6, 7, 8, 9)
    ]


def test_nothing_is_set_aside_before_the_first_step(open_run: OpenRun) -> None:
    """A program that fails in its set-up has abandoned nothing."""
    walk(open_run(), until=5)

    open_run(resume=2).close()

    assert open_run().step == 5


def test_never_starts_anew_and_keeps_the_past(open_run: OpenRun) -> None:
    """A fresh start sets every checkpoint aside; a crash then resumes the fresh run."""
    walk(open_run(), until=5)

    run = open_run(resume="never")
    assert walk(run, until=2) == [1, 2]

    run = open_run()
    assert run.step == 2
    assert len(list((run.store.path / "superseded").iterdir())) == 5


def test_moving_the_checkpoints_away_starts_anew(open_run: OpenRun) -> None:
    """`mv checkpoints elsewhere` is a fresh start, with a notice, and with live rows only."""
    run = open_run()
    for step in run:
        run.log(x=step)
        if step == 5:
            run.end_step()
            break
    run.store.path.rename(run.path.parent / "elsewhere")

    run = open_run()

    assert run.step == 0
    for step in run:
        run.log(x=-step)
        if step == 2:
            run.end_step()
            break
    assert [row["x"] for row in run.metrics] == [-1, -2]


@pytest.mark.parametrize("name", ["a.safetensors", "manifest.json"])
def test_a_damaged_newest_checkpoint_is_set_aside(open_run: OpenRun, name: str) -> None:
    """Whichever file of it is damaged, the next older whole one is used, and training goes on."""
    run = open_run()
    run.attach(a=np.arange(100))
    walk(run, until=5)
    newest = run.store.path / "000000005"
    (newest / name).chmod(0o644)
    (newest / name).write_bytes((newest / name).read_bytes()[:-1] + b"\x01")

    run = open_run()
    run.attach(a=np.arange(100))

    assert run.step == 4
    event = Journal(run.path / "journal.jsonl").last("quarantined")
    assert event is not None
    assert event["step"] == 5
    assert not newest.exists()
    assert any((run.store.path / "quarantine").iterdir())
    assert walk(run) == [5, 6, 7, 8, 9, 10]


def test_a_checkpoint_of_a_newer_version_is_not_passed_over(open_run: OpenRun) -> None:
    """It is no damage: going on from an older one would throw good work away."""
    walk(open_run(), until=5)
    run = open_run()
    manifest = run.store.path / "000000005" / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_bytes(manifest.read_bytes().replace(b'"format":1', b'"format":2'))

    with pytest.raises(FormatError):
        open_run()

    assert manifest.exists()


def test_going_back_sets_damaged_later_ones_aside_too(open_run: OpenRun) -> None:
    """A later checkpoint that cannot be read is not left in the new branch's way."""
    run = open_run(keep=keep_all())
    walk(run, until=5)
    (run.store.path / "000000005" / "manifest.json").chmod(0o644)
    (run.store.path / "000000005" / "manifest.json").write_bytes(b"")

    assert walk(open_run(keep=keep_all(), resume=3)) == [4, 5, 6, 7, 8, 9, 10]


def test_a_checkpoint_from_elsewhere_begins_a_branch_of_its_own(
    open_run: OpenRun, tmp_path: Path
) -> None:
    """Imported from another run, it is this run's newest at once, whatever was here before."""
    with Run(tmp_path / "other", total=50, save=every(steps=50)) as other:
        other.attach(a=np.zeros(1))
        walk(other)
    run = open_run(total=100)
    run.attach(a=np.ones(1))
    walk(run, until=20)

    run = open_run(total=100, resume=tmp_path / "other" / "checkpoints" / "000000050")
    run.attach(a=np.ones(1))
    run.restore()
    run = open_run(total=100)

    assert run.step == 50


def _tally(path: Path, until: int, **options: Any) -> tuple[int, list[int]]:
    """Add up numbers; return the step that it went on from, and the state at the end."""
    with Run(path, total=until, save=every(steps=1), clock=FakeClock(), **options) as run:
        run.state.sums = [0]
        began = run.step
        for step in run:
            run.wait()
            run.state.sums = [*run.state.sums, run.state.sums[-1] + step]
        return began, run.state.sums


def test_a_death_at_any_operation_of_an_import(tmp_path: Path) -> None:
    """The old branch goes on, or the new one; never is nothing there, and all begun anew."""
    with everything_on(FAST):
        _tally(tmp_path / "other", 2)
        _tally(tmp_path / "before", 3)
    source, begins = tmp_path / "other" / "checkpoints" / "000000002", set()
    for cut_before in count():
        path = tmp_path / "run"
        shutil.copytree(tmp_path / "before", path, symlinks=True)
        disk = CutFs(FAST, cut_before=cut_before)
        with suppress(PowerCut), another_process(disk):
            _tally(path, 2, resume=source)
            break
        with everything_on(FAST):
            began, sums = _tally(path, 5)
        begins.add(began)
        assert sums == [0, 1, 3, 6, 10, 15]
        shutil.rmtree(path)

    assert begins == {2, 3}
    assert cut_before > 40


def test_an_import_that_was_begun_waits_for_its_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the run was there any more, and nothing of the other one yet."""
    _tally(tmp_path / "other", 2)
    source = tmp_path / "other" / "checkpoints" / "000000002"
    _tally(tmp_path / "run", 3)

    def refuse(*_: object) -> None:
        raise SaveError("the disk is full", "it is", "Free some")

    with monkeypatch.context() as full, pytest.raises(SaveError):
        full.setattr(Store, "commit", refuse)
        _tally(tmp_path / "run", 5, resume=source)

    source.parent.rename(tmp_path / "away")
    with pytest.raises(NotFoundError, match="attempt 2 was to go on from"):
        _tally(tmp_path / "run", 5)
    (tmp_path / "away").rename(source.parent)

    assert _tally(tmp_path / "run", 5)[0] == 2
    assert _tally(tmp_path / "run", 6)[0] == 5


def test_a_checkpoint_that_no_run_saved_is_refused(open_run: OpenRun, tmp_path: Path) -> None:
    """A bare store's checkpoint does not say where in its training it was; the run stays free."""
    Store(tmp_path / "bare").save(7, {"a": np.zeros(1)})

    with pytest.raises(StateError, match="was not saved by a Run"):
        open_run(resume=tmp_path / "bare" / "000000007")

    assert open_run().step == 0


def test_a_directory_called_like_a_keyword_changes_nothing(
    open_run: OpenRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`best` means the best checkpoint also where a directory has that name."""
    walk(open_run(), until=2)
    monkeypatch.chdir(tmp_path)
    for name in ("best", "latest", "last-stage", "1"):
        (tmp_path / name).mkdir()

    assert open_run(resume="latest").step == 2
    with pytest.raises(NotFoundError, match="no checkpoint 'best'"):
        open_run(resume="best")


def test_must_refuses_a_fresh_start(open_run: OpenRun) -> None:
    """Where resuming was demanded, having nothing to resume is an error."""
    with pytest.raises(NotFoundError, match="no checkpoint to resume from"):
        open_run(resume="must")


@pytest.mark.parametrize("resume", ["latest", "must", 5, "5", "best"])
def test_checkpoints_are_named_in_many_ways(open_run: OpenRun, resume: object) -> None:
    """Newest, step and best all find their checkpoint."""
    run = open_run(best="max:x")
    for step in run:
        run.log(x=step)
        if step == 5:
            run.end_step()
            break

    assert open_run(best="max:x", resume=resume).step == 5


def test_a_path_is_resumed_from_emergency_too(open_run: OpenRun) -> None:
    """What never resumes by itself can be resumed by hand, by its path."""
    with pytest.raises(RuntimeError), open_run() as run:
        for step in run:
            if step == 3:
                raise RuntimeError
    wreck = next((run.store.path / "emergency").iterdir())

    run = open_run(resume=wreck)

    assert run.step == 2
    assert walk(run)[0] == 3


@pytest.mark.parametrize(
    ("resume", "error"),
    [("77", NotFoundError), ("best", NotFoundError), ("stage:1", NotFoundError), ("x", UsageError)],
)
def test_what_is_not_there_is_told(open_run: OpenRun, resume: str, error: type[Exception]) -> None:
    """A step, best, stage or word that names nothing is an error, and nothing is changed."""
    walk(open_run(), until=2)

    with pytest.raises(error):
        open_run(resume=resume)

    assert open_run().step == 2
