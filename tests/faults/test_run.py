"""A disk that refuses any operation of a training: it goes on, or ends with a reason."""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evertrain import Run, every, keep_any, keep_best, keep_last
from evertrain.checkpoint.commit import Tools
from evertrain.checkpoint.store import Pending, Store
from evertrain.checkpoint.trash import discard
from evertrain.core.errors import EvertrainError, SaveError
from evertrain.core.journal import Journal, Row, read_lines
from evertrain.core.request import post
from evertrain.core.rundir import RunDir
from evertrain.monitor.metrics import read_metrics
from evertrain.run.emergency import Emergency
from evertrain.testing import FakeClock, FaultyFs
from faults.disks import FAULTS, FastFs, faulty

TOTAL = 6

pytestmark = pytest.mark.filterwarnings("ignore:.*could not be updated:RuntimeWarning")


def open_run(path: Path, disk: FaultyFs, clock: FakeClock, **options: Any) -> Run:
    """Open a run on a disk of the test's choice."""
    given: dict[str, Any] = {"total": TOTAL, "save": every(steps=1), "on_stop": "return"}
    given |= {"best": "max:x", "keep": keep_any(keep_last(2), keep_best(1))}
    return Run(
        path,
        clock=clock,
        fs=disk,
        **(given | options),
    )


def train(path: Path, disk: FaultyFs, **options: Any) -> float:
    """Train to the end, a minute a step, with whatever can happen on the way; return a result."""
    clock = FakeClock()
    with open_run(path, disk, clock, **options) as run:
        weights = np.zeros(200)
        run.attach(weights=weights)
        for step in run:
            weights += step
            run.log(x=float(-((step - 3) ** 2)))
            if step == 2:
                post(RunDir(path), "pin", step=1)
            run.wait()
            clock.advance(60.0)
    return float(weights.sum())


WHOLE = 200.0 * sum(range(1, TOTAL + 1))


def operations(path: Path, fault: str) -> int:
    """Count what a disk can refuse of a training."""
    disk = faulty(fault)
    assert train(path, disk) == WHOLE
    return disk.operations


def events(path: Path, *names: str) -> list[Row]:
    """Return what the journal of a run says."""
    return [row for row in read_lines(path / "journal.jsonl").rows if row["event"] in names]


def check_saves(path: Path) -> None:
    """Assert that the journal calls nothing saved that was not."""
    saved = [row["step"] for row in events(path, "saved") if row["kind"] != "error"]
    there = [info.step for info in Store(path).list()]
    assert saved == sorted(saved)  # one that could not be synced stands there twice
    assert not saved or saved[-1] in there


def check_failures(path: Path, said: str) -> None:
    """Assert that the journal knows of every save that people were told has failed."""
    told = [line.split()[5] for line in said.splitlines() if "the save after step" in line]
    failed = Journal(path / "journal.jsonl").events("save_failed")
    assert [str(row["step"]) for row in failed] == told


def check_end(path: Path, result: float) -> None:
    """Assert that a training came to its end, as if nothing had been refused."""
    store = Store(path)
    assert result == WHOLE
    assert store.verify() == []
    best = store.best()
    assert best is not None
    assert best.step == 3 or 3 in [row["step"] for row in events(path, "save_failed")]
    assert [row["x"] for row in read_metrics(RunDir(path))] == [-4, -1, 0, -1, -4, -9]
    assert Journal(path / "journal.jsonl").last("finished") is not None
    litter = [each for each in path.rglob(".*") if not each.name.endswith(".guard")]
    assert litter == []


@pytest.mark.parametrize("fault", FAULTS)
def test_every_refused_operation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    """One of ours ends the training, or nothing does; a start with a sound disk ends it whole.

    Here each tenth or fourth of them.
    """
    stride = 4 if fault in {"full once", "broken"} else 10
    check_refusals(tmp_path, capsys, fault, list(FAULTS).index(fault) % stride, stride)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_single_refused_operation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    """All of them."""
    check_refusals(tmp_path, capsys, fault, 0, 1)


def check_refusals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str, first: int, stride: int
) -> None:
    """Refuse every `stride`-th operation of a training, each in a training of its own."""
    count = operations(tmp_path / "count", fault)
    ended = 0
    for at in range(first, count, stride):
        path, disk = tmp_path / str(at), faulty(fault)
        disk.fail(after=at)
        capsys.readouterr()
        try:
            result = train(path, disk)
        except EvertrainError as error:
            ended += 1
            assert str(tmp_path) in str(error)  # noqa: PT017  (most of them end with none)
        else:
            check_failures(path, capsys.readouterr().out)
            check_end(path, result)
        disk.heal()
        check_saves(path)
        check_end(path, train(path, disk))
    assert ended > 0


@pytest.mark.parametrize("fault", ["full", "broken", "read-only"])
def test_every_refused_operation_of_a_start_beside_damage(tmp_path: Path, fault: str) -> None:
    """A damaged newest checkpoint is set aside, or the start refused; it is never resumed."""

    def start(path: Path, disk: FaultyFs) -> None:
        with open_run(path, disk, FakeClock()) as run:
            assert run.step == 5

    whole = tmp_path / "whole"
    assert train(whole, faulty(fault)) == WHOLE
    manifest = whole / "checkpoints" / "000000006" / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_bytes(b"{}")
    shutil.copytree(whole, tmp_path / "count", symlinks=True)
    disk = faulty(fault)
    start(tmp_path / "count", disk)
    for at in range(disk.operations):
        path, disk = tmp_path / str(at), faulty(fault)
        shutil.copytree(whole, path, symlinks=True)
        disk.fail(after=at)
        with suppress(EvertrainError):
            start(path, disk)
        disk.heal()
        start(path, disk)
        assert (path / "checkpoints" / "quarantine" / "000000006").is_dir()


def refuse(monkeypatch: pytest.MonkeyPatch, error: BaseException, *steps: int) -> None:
    """Let the saves of some steps fail in the middle of their commit."""
    commit = Store.commit

    def refusing(store: Store, pending: Pending) -> Any:
        if pending.step in steps:
            raise error
        return commit(store, pending)

    monkeypatch.setattr(Store, "commit", refusing)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "MemoryError"),
        (OSError(), "OSError"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "Input/output"),
        (SaveError("", "", ""), "SaveError"),
    ],
)
def test_what_the_system_refuses_may_work_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    """Also where the error says nothing: it is told by its kind, and counted."""
    refuse(monkeypatch, error, 2)

    assert train(tmp_path / "run", faulty("full")) == WHOLE
    failed = events(tmp_path / "run", "save_failed")
    assert [row["step"] for row in failed] == [2]
    assert said in failed[0]["error"]
    assert failed[0]["needed"] > 1600
    assert failed[0]["free"] > 0


def test_no_memory_for_the_last_save_ends_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The save that the loop waits for is told like the others."""
    refuse(monkeypatch, MemoryError(), TOTAL)
    with pytest.raises(SaveError, match=f"after step {TOTAL} could not be saved: MemoryError"):
        train(tmp_path / "run", faulty("full"))

    assert [row["step"] for row in events(tmp_path / "run", "save_failed")] == [TOTAL]
    assert events(tmp_path / "run", "finished") == []


@pytest.mark.parametrize("step", [2, TOTAL])
def test_a_fault_of_the_program_ends_the_training_as_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """It would go wrong again: nobody waits for four more, and the journal knows."""
    refuse(monkeypatch, ZeroDivisionError("in a codec"), step)
    with pytest.raises(ZeroDivisionError, match="in a codec"):
        train(tmp_path / "run", faulty("full"))

    failed = events(tmp_path / "run", "save_failed")
    assert [row["error"] for row in failed] == ["ZeroDivisionError: in a codec"]
    assert list((tmp_path / "run" / "checkpoints" / "emergency").iterdir())


def test_a_fault_in_flight_does_not_hide_why_the_run_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of the loop comes out, and the run is given back."""
    refuse(monkeypatch, ZeroDivisionError("in a codec"), 2)
    disk, clock = faulty("full"), FakeClock()
    with pytest.raises(LookupError, match="mine"), open_run(tmp_path, disk, clock) as run:
        for step in run:
            if step == 3:
                raise LookupError("mine")
    open_run(tmp_path, disk, clock).close()


def test_a_retention_rule_that_fails_costs_room_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The saves are safe; it is told that nothing is removed, and why."""

    def keep(_: object) -> frozenset[int]:
        raise KeyError("score")

    with Run(tmp_path, total=3, save=every(steps=1), keep=keep, fs=faulty("full")) as run:
        for _ in run:
            pass

    assert [info.step for info in run.store.list()] == [1, 2, 3]
    assert "could not be removed: KeyError: 'score'" in capsys.readouterr().out


def test_the_first_refusal_says_what_to_free(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once in a row; each names the file and the reason."""
    disk = FaultyFs(FastFs(), error=errno.ENOSPC, is_sticky=True, kinds={"write"})
    clock = FakeClock()
    with (
        pytest.raises(SaveError) as caught,
        open_run(tmp_path, disk, clock, keep=keep_last(3)) as run,
    ):
        for step in run:
            run.wait()
            if step == 4:
                disk.fail()
            clock.advance(60.0)

    out = capsys.readouterr().out
    assert "the save after step 4 failed: the checkpoint" in out
    assert "No space left on device" in out
    command = f"evertrain prune {tmp_path} --keep-last 1 --keep-best 1 --grace 0 frees"
    assert out.count(command) == 1
    assert command in caught.value.fix
    assert "older checkpoints are whole" in caught.value.why


def test_a_quota_is_named(tmp_path: Path) -> None:
    """The disk has room, and df would only puzzle."""
    disk = FaultyFs(FastFs(), error=errno.EDQUOT, is_sticky=True, kinds={"write"})
    clock = FakeClock()
    with (
        pytest.raises(SaveError, match="quota") as caught,
        open_run(tmp_path, disk, clock, total=1) as run,
    ):
        disk.fail()
        for _ in run:
            pass

    assert "quota -s" in caught.value.fix
    assert "claims room" not in caught.value.fix


def test_a_quota_empties_the_trash_and_prunes_ahead(tmp_path: Path) -> None:
    """No measure of the disk shows a quota; what it refuses makes the room all the same."""
    clock = FakeClock()

    class Quota(FastFs):
        """Has room for two checkpoints beside what is being written."""

        def write(self, path: Path, chunks: Any) -> int:
            here = path.parent.parent
            if path.suffix == ".safetensors" and len(list(here.glob("0*"))) > 2:
                raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), str(path))
            return super().write(path, chunks)

    with Run(
        tmp_path, total=6, save=every(steps=1), keep=keep_last(3), clock=clock, fs=Quota()
    ) as run:
        run.attach(weights=np.zeros(10))
        for _ in run:
            run.wait()

    assert events(tmp_path, "save_failed") == []
    assert [row["steps"] for row in events(tmp_path, "pruned")] == [[1], [2], [3]]
    assert [info.step for info in run.store.list()] == [4, 5, 6]


def test_a_wreck_that_finds_no_room_does_not_hide_the_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever goes wrong in keeping it, however odd."""

    def save(*_: Any) -> Any:
        raise KeyError("odd")

    journal = Journal(tmp_path / "journal.jsonl", fs=FastFs())
    Emergency(1, journal, save, print).after_error(ValueError("mine"), 3, has_state=True)

    assert "no emergency checkpoint: KeyError: 'odd'" in capsys.readouterr().out


def test_a_wreck_takes_the_room_of_the_trash(tmp_path: Path) -> None:
    """What a person threw away is worth less than the state of a training that dies."""
    disk = FaultyFs(FastFs(), error=errno.ENOSPC, kinds={"write"})
    with pytest.raises(LookupError), open_run(tmp_path, disk, FakeClock()) as run:
        for step in run:
            run.wait()
            if step == 3:
                discard(run.store.path, [1], Tools(disk), grace_s=86_400)
                disk.fail()
                raise LookupError

    assert len(list((tmp_path / "checkpoints" / "emergency").iterdir())) == 1
    assert not list((tmp_path / "checkpoints" / "trash").iterdir())


def test_a_start_takes_the_room_of_the_trash(tmp_path: Path) -> None:
    """Whoever prunes a run on a full disk and starts it again has made room."""
    clock = FakeClock()
    disk = FaultyFs(FastFs(), error=errno.ENOSPC, kinds={"append"})
    assert train(tmp_path, disk) == WHOLE
    discard(tmp_path / "checkpoints", [5], Tools(disk, clock), grace_s=86_400)
    disk.fail()
    with open_run(tmp_path, disk, clock, total=TOTAL + 1) as run:
        run.attach(weights=np.zeros(200))
        assert list(run) == [TOTAL + 1]

    assert len(disk.refused) == 1
    assert not list((tmp_path / "checkpoints" / "trash").iterdir())
