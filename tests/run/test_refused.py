"""A disk that refuses: the training goes on, tries again with patience, and loses no best."""

import shutil
import threading
from typing import Any

import numpy as np
import pytest

from evertrain import CheckpointInfo, Store, every
from evertrain.checkpoint.store import Pending
from evertrain.core.errors import SaveError
from evertrain.core.journal import Journal
from evertrain.run.saver import Saver
from evertrain.testing.clock import FakeClock
from support import OpenRun


class Disk:
    """Refuses the saves of some steps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *refused: int) -> None:
        self.asked: list[int] = []
        commit = Store.commit

        def refusing(store: Store, pending: Pending) -> Any:
            self.asked.append(pending.step)
            if pending.step in refused:
                raise SaveError("no space left", "the disk is full", "free some")
            return commit(store, pending)

        monkeypatch.setattr(Store, "commit", refusing)


def test_one_refused_save_is_told_and_survived(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The loop goes on, the journal says so, and older checkpoints are whole."""
    Disk(monkeypatch, 3)
    run = open_run(save=every(steps=3), total=4)
    for _ in run:
        pass

    assert "the save after step 3 failed: no space left" in capsys.readouterr().out
    failed = Journal(run.path / "journal.jsonl").last("save_failed")
    assert failed is not None
    assert failed["step"] == 3
    assert [info.step for info in run.store.list()] == [1, 4]


def test_a_newest_checkpoint_that_went_meanwhile_costs_one_save(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is to be done about it, and no disk is blamed."""
    commit = Store.commit

    def bereft(store: Store, pending: Pending) -> CheckpointInfo:
        if pending.step == 3:
            shutil.rmtree(store.path / "000000002")
        return commit(store, pending)

    monkeypatch.setattr(Store, "commit", bereft)
    clock = FakeClock()
    run = open_run(save=every(steps=1), total=5, clock=clock)
    run.attach(still=np.zeros(400_000))
    for _ in run:
        run.wait()
        clock.advance(20.0)

    assert [info.step for info in run.store.list()] == [1, 4, 5]
    said = capsys.readouterr().out
    assert "the next save shares nothing and writes everything" in said
    assert "dmesg" not in said


def test_a_full_disk_is_asked_with_patience(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fast steps do not use up the tries in milliseconds: the next try waits, and waits longer."""
    disk, clock = Disk(monkeypatch, *range(1, 60)), FakeClock()
    run = open_run(save=every(steps=1), total=60, clock=clock)
    for _ in run:
        run.wait()
        clock.advance(1.0)

    assert disk.asked == [1, 11, 31, 60]


def test_a_disk_that_stays_full_ends_the_training(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After five refusals in a row the training ends with the reason, not after a night of none."""
    Disk(monkeypatch, *range(1, 1000))
    clock = FakeClock()
    run = open_run(save=every(steps=1), total=1000, clock=clock)

    with pytest.raises(SaveError, match="no space left"):
        for _ in run:
            run.wait()
            clock.advance(100.0)


def test_the_last_save_must_not_be_missed(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that cannot keep its end fails, so that nobody takes it for complete."""
    Disk(monkeypatch, 3)
    run = open_run(save=every(steps=100), total=3)

    with pytest.raises(SaveError):
        for _ in run:
            pass

    assert Journal(run.path / "journal.jsonl").last("finished") is None


def test_a_best_that_was_refused_is_still_to_be_beaten(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what is on the disk counts as the best so far."""
    Disk(monkeypatch, 3)
    clock = FakeClock()
    run = open_run(save=every(steps=100), total=6, best="max:x", clock=clock)
    for step in run:
        run.wait()  # the best of step 3 is refused before step 4 is judged
        clock.advance(60.0)
        run.log(x=[0, 1, 2, 9, 5, 3, 3][step])

    best = run.store.best()
    assert best is not None
    assert best.step == 4


def test_a_best_that_waits_for_the_disk_is_still_to_be_beaten(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that just refused is not asked at once; the next step that beats what it has is."""
    Disk(monkeypatch, 2)
    clock = FakeClock()
    run = open_run(save=every(steps=100), total=6, best="max:x", clock=clock)
    for step in run:
        run.wait()
        if step == 5:
            clock.advance(60.0)
        run.log(x=[0, 1, 2, 9, 5, 5, 3][step])

    best = run.store.best()
    assert best is not None
    assert best.step == 5


def test_two_bests_that_were_refused_are_still_to_be_beaten(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is heard of when the second is judged already; a third beats what is saved."""
    Disk(monkeypatch, 3, 4)
    clock, is_judged, settle = FakeClock(), threading.Event(), Saver.settle
    commit = Store.commit

    def late(store: Store, pending: Pending) -> Any:
        assert pending.step != 3 or is_judged.wait(60.0)
        return commit(store, pending)

    def settling(saver: Saver, *, wait: bool = False) -> Any:
        if wait:
            is_judged.set()
        return settle(saver, wait=wait)

    monkeypatch.setattr(Store, "commit", late)
    monkeypatch.setattr(Saver, "settle", settling)
    run = open_run(save=every(steps=100), total=7, best="max:x", clock=clock)
    for step in run:
        if step != 4:  # step 3 is in flight until the best of step 4 waits for it
            run.wait()
        clock.advance(60.0)
        run.log(x=[0, 1, 2, 8, 9, 5, 3, 3][step])

    failed = Journal(run.path / "journal.jsonl").events("save_failed")
    assert [row["step"] for row in failed] == [3, 4]
    best = run.store.best()
    assert best is not None
    assert best.step == 5


def test_patience_counts_from_the_refusal(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a step takes an hour, a save that failed at its beginning does not cost the next."""
    disk, clock = Disk(monkeypatch, 2), FakeClock()
    run = open_run(save=every(steps=1), total=4, clock=clock)
    for _ in run:
        run._saver._background.join(60.0)  # it is over, and nobody has heard how
        clock.advance(3600.0)

    assert disk.asked == [1, 2, 3, 4]
