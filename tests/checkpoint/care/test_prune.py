"""Pruning from outside: what must stay stays, wherever it dies and whoever trains meanwhile."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evertrain.checkpoint import About, Store, keep_any, keep_best, keep_last, keep_stages
from evertrain.checkpoint.care import anchor as module
from evertrain.checkpoint.care.prune import prune, remove
from evertrain.checkpoint.commit import Tools
from evertrain.checkpoint.read import read_checkpoint
from evertrain.checkpoint.verify import faults_of
from evertrain.core import lock
from evertrain.core.errors import CorruptError, EvertrainError, LockedError, NotFoundError
from evertrain.core.fs import LocalFs
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir
from evertrain.core.standstill import standstill
from evertrain.testing import FakeClock, PowerDisk
from runs import new_run, tell

DAY_S = 86_400.0


class FastFs(LocalFs):
    """A disk that does not wait for the medium."""

    def sync_file(self, path: Path) -> None:
        """Do nothing."""

    def sync_dir(self, path: Path) -> None:
        """Do nothing."""


FAST = FastFs()


def a_run(path: Path, *steps: int, **about: Any) -> RunDir:
    """Return a run with a checkpoint of each of `steps`; the lower the step, the better."""
    run_dir = new_run(path)
    store = Store(run_dir.checkpoints, fs=FAST)
    for step in steps:
        state = {"s": step, "a": {"x": np.full(9, step)}}
        store.save(step, state, about=About(score=-float(step), attempt=1, **about))
    return run_dir


def steps_of(run_dir: RunDir) -> list[int]:
    """Return what there is."""
    return [info.step for info in Store(run_dir.checkpoints).list()]


def rot(path: Path) -> None:
    """Flip a bit in the arrays of a checkpoint: its size stays."""
    file = path / "a.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.chmod(0o644)
    file.write_bytes(data)


def resumed(run_dir: RunDir, attempt: int, step: int) -> None:
    """Write down that an attempt went on from `step`."""
    tell(run_dir, {"event": "resumed", "attempt": attempt, "step": step})


def reasons_of(run_dir: RunDir, keep: Any, **more: Any) -> dict[int, str]:
    """Return why each checkpoint stays; empty if it goes."""
    done = prune(run_dir, keep, is_dry=True, **more)
    return {each.step: ", ".join(each.reasons) for each in done.verdicts}


def test_rules_and_reasons(tmp_path: Path) -> None:
    """The union of the rules stays, each with its reasons; the rest goes to the trash."""
    run_dir = a_run(tmp_path / "r", 10, 20, 30, 40)
    Store(run_dir.checkpoints).pin(30)
    rule = keep_any(keep_last(1), keep_best(1))
    assert reasons_of(run_dir, rule) == {
        10: "best 1",
        20: "",
        30: "pinned",
        40: "last 1 of 1, newest, newest whole",
    }
    assert steps_of(run_dir) == [10, 20, 30, 40]

    done = prune(run_dir, rule, tools=Tools(clock=FakeClock(0.0)))

    assert [info.step for info in done.removed] == [20]
    assert done.freed_bytes == done.removed[0].size_bytes
    assert steps_of(run_dir) == [10, 30, 40]
    trash = run_dir.checkpoints / "trash" / "000000020-until-19700102T000000Z"
    assert read_checkpoint(trash).state["s"] == 20
    last = Journal(run_dir.journal).last("pruned")
    assert last is not None
    assert last["steps"] == [20]
    assert Store(run_dir.checkpoints).verify() == []


def test_without_grace_they_are_gone(tmp_path: Path) -> None:
    """Grace 0 deletes at once, and what is due in the trash goes with the next prune."""
    run_dir = a_run(tmp_path / "r", 1, 2, 3)
    clock = FakeClock(0.0)
    remove(run_dir, [1], grace_s=DAY_S, tools=Tools(clock=clock))
    clock.advance(DAY_S)
    prune(run_dir, keep_last(1), grace_s=0, tools=Tools(clock=clock))
    assert list((run_dir.checkpoints / "trash").iterdir()) == []
    assert steps_of(run_dir) == [3]


def test_the_newest_that_reads_back_whole_stays(tmp_path: Path) -> None:
    """A rotten newest one, of the right size, is not what protects the run."""
    run_dir = a_run(tmp_path / "r", 1, 2, 3, 4)
    for step in (3, 4):
        rot(run_dir.checkpoints / f"{step:09d}")
    assert reasons_of(run_dir, keep_last(1)) == {
        1: "",
        2: "newest whole",
        3: "not whole",
        4: "last 1 of 1, newest, not whole",
    }
    prune(run_dir, keep_last(1))
    assert steps_of(run_dir) == [2, 3, 4]


def test_nothing_whole_is_nothing_to_prune(tmp_path: Path) -> None:
    """Where no checkpoint is whole none may go; where there is none there is nothing to do."""
    run_dir = a_run(tmp_path / "r", 1, 2)
    for step in (1, 2):
        rot(run_dir.checkpoints / f"{step:09d}")
    with pytest.raises(CorruptError, match="no checkpoint"):
        prune(run_dir, keep_last(1))
    assert steps_of(run_dir) == [1, 2]
    assert prune(new_run(tmp_path / "new"), keep_last(1)).verdicts == []


def test_what_a_live_run_resumed_from_stays(tmp_path: Path) -> None:
    """While its owner lives; afterwards the rules decide."""
    run_dir = a_run(tmp_path / "r", 1, 2, 3)
    with lock.take(run_dir.lock, attempt=2):
        resumed(run_dir, 2, 1)
        assert reasons_of(run_dir, keep_last(1))[1] == "resumed from"
        prune(run_dir, keep_last(1))
        assert steps_of(run_dir) == [1, 3]
    prune(run_dir, keep_last(1))
    assert steps_of(run_dir) == [3]


def test_a_run_that_is_just_starting(tmp_path: Path) -> None:
    """Before an attempt has said where it goes on from, nothing is touched."""
    run_dir = a_run(tmp_path / "r", 1, 2, 3)
    resumed(run_dir, 1, 0)
    with lock.take(run_dir.lock, attempt=2):
        for call in (lambda: prune(run_dir, keep_last(1)), lambda: remove(run_dir, [1])):
            with pytest.raises(LockedError, match="just being started"):
                call()
    assert steps_of(run_dir) == [1, 2, 3]


def test_no_attempt_begins_meanwhile(tmp_path: Path) -> None:
    """Whoever takes the lease waits until the removing is over."""
    run_dir = a_run(tmp_path / "r", 1, 2, 3)
    code = "import sys; from pathlib import Path; from evertrain.core import lock\n"
    code += "print('go', flush=True); lock.take(Path(sys.argv[1])); print('mine', flush=True)"
    with standstill(run_dir.lock) as owner:
        assert owner is None
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(run_dir.lock)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "go\n"
        assert not run_dir.lock.exists()
    assert child.stdout.readline() == "mine\n"
    child.wait(60)
    child.stdout.close()


def test_pruned_under_our_feet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the trainer removes what was just read back, another one is read back."""
    run_dir = a_run(tmp_path / "r", 1, 2)
    trainer = Store(run_dir.checkpoints, fs=FAST)
    real, count = vars(module)["faults_of"], 0

    def meanwhile(path: Path, step: int) -> Any:
        nonlocal count
        found = real(path, step)
        if count < 2:
            count += 1
            trainer.save(step + 1, {"s": step + 1, "a": {"x": np.zeros(2)}})
            trainer.prune(keep_last(1))
        return found

    monkeypatch.setattr(module, "faults_of", meanwhile)
    prune(run_dir, keep_last(1))
    assert steps_of(run_dir) == [4]


def test_too_fast_to_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trainer that always removes it first keeps everything else, too."""
    run_dir = a_run(tmp_path / "r", 1, 2)
    trainer = Store(run_dir.checkpoints, fs=FAST)
    real = vars(module)["faults_of"]

    def meanwhile(path: Path, step: int) -> Any:
        found = real(path, step)
        trainer.save(step + 1, {"s": step + 1, "a": {"x": np.zeros(2)}})
        trainer.prune(keep_last(1))
        return found

    monkeypatch.setattr(module, "faults_of", meanwhile)
    with pytest.raises(EvertrainError, match="faster"):
        prune(run_dir, keep_last(1))
    assert len(steps_of(run_dir)) == 1


def test_the_trainers_prune_beside_ours(tmp_path: Path) -> None:
    """A checkpoint that another process has moved away meanwhile is no error for the trainer."""
    run_dir = a_run(tmp_path / "r", 1, 2, 3)
    trainer = Store(run_dir.checkpoints)

    def late(found: Any) -> frozenset[int]:
        remove(run_dir, [1])
        return keep_last(1)(found)

    done = trainer.prune(late)
    assert [each.step for each in done if not each.is_kept] == [1, 2]
    assert steps_of(run_dir) == [3]
    assert read_checkpoint(next((run_dir.checkpoints / "trash").iterdir())).state["s"] == 1


def test_listing_is_right_although_the_trainer_saved_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link to the latest ends at the latest."""
    run_dir = a_run(tmp_path / "r", 1, 2, 3)
    trainer = Store(run_dir.checkpoints, fs=FAST)
    real, is_first = vars(module)["Catalog"].refresh, True

    def meanwhile(self: Any, tools: Tools) -> None:
        nonlocal is_first
        real(self, tools)
        if is_first:
            is_first = False
            state = {"s": 4, "a": {"x": np.zeros(1)}}
            trainer.save(4, state)
            (run_dir.checkpoints / "latest").unlink()
            (run_dir.checkpoints / "latest").symlink_to("000000003")

    monkeypatch.setattr(vars(module)["Catalog"], "refresh", meanwhile)
    prune(run_dir, keep_last(2))
    assert (run_dir.checkpoints / "latest").readlink() == Path("000000004")


def test_remove(tmp_path: Path) -> None:
    """By step, also a damaged one; what is not there is named, and then nothing is removed."""
    run_dir = a_run(tmp_path / "r", 1, 2, 3, 4)
    (run_dir.checkpoints / "000000002" / "manifest.json").unlink()
    with pytest.raises(NotFoundError, match="step 7"):
        remove(run_dir, [1, 7])
    assert remove(run_dir, [1, 2], is_dry=True) == [1, 2]
    assert len(list(run_dir.checkpoints.glob("0*"))) == 4
    assert remove(run_dir, [1, 2]) == [1, 2]
    assert steps_of(run_dir) == [3, 4]
    last = Journal(run_dir.journal).last("removed")
    assert last is not None
    assert last["steps"] == [1, 2]


def test_remove_refuses_what_is_needed(tmp_path: Path) -> None:
    """The last whole one, a pinned one, and what the training resumed from need force."""
    run_dir = a_run(tmp_path / "r", 1, 2, 3)
    store = Store(run_dir.checkpoints)
    store.pin(1)
    rot(run_dir.checkpoints / "000000003")
    with pytest.raises(EvertrainError, match="is pinned"):
        remove(run_dir, [1])
    store.unpin(1)
    with pytest.raises(EvertrainError, match="without a checkpoint that is whole"):
        remove(run_dir, [1, 2])
    with lock.take(run_dir.lock, attempt=2):
        resumed(run_dir, 2, 1)
        with pytest.raises(EvertrainError, match="live training resumed from"):
            remove(run_dir, [1])
    assert steps_of(run_dir) == [1, 2, 3]
    store.pin(1)
    assert remove(run_dir, [1, 2, 3], is_forced=True) == [1, 2, 3]
    assert steps_of(run_dir) == []
    assert list((run_dir.checkpoints / "pins").iterdir()) == []


def whole_ones(root: Path) -> dict[int, str]:
    """Return each checkpoint that loads, in its place or in the trash, and where."""
    found = {}
    for manifest in sorted(root.rglob("manifest.json")):
        if not manifest.parent.parent.name.startswith("."):
            step = read_checkpoint(manifest.parent).state["s"]
            found[step] = manifest.parent.parent.name
    return found


def by_rule(run_dir: RunDir, tools: Tools) -> None:
    """Keep one of four."""
    prune(run_dir, keep_last(1), tools=tools)


def by_name(run_dir: RunDir, tools: Tools) -> None:
    """Remove three of four."""
    remove(run_dir, [10, 20, 30], tools=tools)


@pytest.mark.parametrize("action", [by_rule, by_name])
def test_a_death_at_any_operation(tmp_path: Path, action: Callable[[RunDir, Tools], None]) -> None:
    """Killed or without power, each checkpoint is whole, in its place or in the trash."""
    run_dir = a_run(tmp_path / "live", 10, 20, 30, 40)
    disk = PowerDisk(run_dir.path, FAST)
    action(run_dir, Tools(disk))
    after = RunDir(tmp_path / "after")
    count = 0
    for left in disk.deaths(limit=32):
        left.plant(after.path)
        found = whole_ones(after.checkpoints)
        assert found.keys() == {10, 20, 30, 40}, left
        assert found[40] == "checkpoints", left
        Store(after.checkpoints, fs=FAST).recover()
        assert whole_ones(after.checkpoints).keys() == {10, 20, 30, 40}, left
        with suppress(NotFoundError):
            action(after, Tools(FAST))
        assert 40 in steps_of(after), left
        shutil.rmtree(after.path)
        count += 1
    assert count > len(disk.operations)


@settings(deadline=None, max_examples=50)
@given(
    steps=st.lists(st.integers(0, 99), unique=True, min_size=1, max_size=6),
    data=st.data(),
)
def test_a_whole_one_is_always_left(steps: list[int], data: st.DataObject) -> None:
    """Whatever is rotten, pinned and ruled, the newest whole one and the pinned ones stay."""
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        run_dir = a_run(Path(place) / "r", *sorted(steps))
        rotten = data.draw(st.sets(st.sampled_from(steps)))
        pinned = data.draw(st.sets(st.sampled_from(steps)))
        kept = data.draw(st.frozensets(st.sampled_from(steps)))
        for step in rotten:
            rot(run_dir.checkpoints / f"{step:09d}")
        for step in pinned:
            Store(run_dir.checkpoints, fs=FAST).pin(step)
        whole = sorted(set(steps) - rotten)
        with suppress(CorruptError):
            prune(run_dir, lambda _: kept, grace_s=0, tools=Tools(FAST))
        left = set(steps_of(run_dir))
        assert left >= kept | pinned | set(whole[-1:])
        assert whole or left == set(steps)


@pytest.mark.parametrize("act", ["prune", "remove"])
def test_a_training_that_is_faster_than_the_reading_is_no_damage(
    act: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was listed is gone before it is read: that is looked at again."""
    run_dir = a_run(tmp_path / "r", 1, 2, 3)
    passed: list[int] = []

    def slowly(path: Path, step: int) -> Any:
        if not passed:
            passed.append(step)
            Store(run_dir.checkpoints, fs=FAST).save(9, {"s": 9})
            Store(run_dir.checkpoints, fs=FAST).save(10, {"s": 10})
            for old in ("000000001", "000000002", "000000003"):
                shutil.rmtree(run_dir.checkpoints / old)
            passed.append(0)
        return faults_of(path, step)

    monkeypatch.setattr(module, "faults_of", slowly)
    if act == "prune":
        prune(run_dir, keep_last(1), grace_s=0, tools=Tools(FAST))
        assert steps_of(run_dir) == [10]
    else:
        with pytest.raises(NotFoundError, match="no checkpoint of step 2"):
            remove(run_dir, [2], tools=Tools(FAST))


TRAINER = """
import sys
import numpy as np
from evertrain import Run, every, keep_last

with Run(sys.argv[1], save=every(steps=1), keep=keep_last(4), unit="step") as run:
    run.state.x = np.zeros(2000)
    for step in run:
        run.state.x = np.full(2000, float(step))
"""


@contextmanager
def killed_in_the_end(command: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Lend a process."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
def test_beside_a_live_training(tmp_path: Path) -> None:
    """While a run saves and prunes at every step, pruning from outside breaks neither."""
    path = tmp_path / "r"
    command = [sys.executable, "-c", TRAINER, str(path)]
    for attempt in (1, 2):
        with killed_in_the_end(command) as trainer:
            run_dir, store = RunDir(path), Store(path / "checkpoints")
            done = 0
            while done < 12:
                assert trainer.poll() is None
                with suppress(LockedError):
                    last = Journal(run_dir.journal).last("resumed")
                    if last is None or last["attempt"] != attempt or not store.list():
                        continue
                    prune(run_dir, keep_any(keep_last(1), keep_stages()), grace_s=0)
                    done += 1
                    loaded = store.load("latest")
                    assert np.all(loaded.state["run.state"]["x"] == loaded.info.step)
        assert store.verify() == []
    events = [row["event"] for row in Journal(path / "journal.jsonl").events()]
    assert "save_failed" not in events
    assert "failed" not in events
