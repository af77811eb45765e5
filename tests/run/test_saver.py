"""Saving: what a full disk may cost, what a save says, and what it is taken to cost."""

import errno
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evertrain import every
from evertrain.checkpoint import Store, keep_last
from evertrain.checkpoint.commit import Tools
from evertrain.checkpoint.trash import discard
from evertrain.checkpoint.when import auto
from evertrain.core import lock
from evertrain.core.errors import CorruptError, NotFoundError
from evertrain.core.fs import Bytes, LocalFs
from evertrain.core.journal import Journal
from evertrain.run import account as account_module
from evertrain.run.mtbf import LONGEST_S, Past, past_of
from evertrain.run.rows import Rows
from evertrain.run.save import Save
from evertrain.run.saver import Saver
from evertrain.testing import FakeClock
from support import OpenRun

MakeSaver = Callable[..., Saver]

# Without these a run could not be read later; everything else can wait.
MUST = (b'"attempt_started"', b'"resumed"', b'"finished"')


class FullOnce(LocalFs):
    """A disk that refuses one append, by its number, to a file of the given name."""

    def __init__(self, name: str, number: int) -> None:
        self._name = name
        self._left = number

    def append(self, path: Path, data: bytes) -> None:
        """Refuse the chosen one."""
        if data and path.name == self._name:
            self._left -= 1
            if self._left == -1:
                raise OSError(errno.ENOSPC, "no space left on device", str(path))
        super().append(path, data)


@pytest.fixture
def clock() -> FakeClock:
    """Provide a clock that the test turns."""
    return FakeClock()


@pytest.fixture
def make_saver(tmp_path: Path, clock: FakeClock) -> Iterator[MakeSaver]:
    """Return what makes a saver on a disk of the test's choice."""
    lease = lock.take(tmp_path / "lock", clock=clock)

    def make(fs: LocalFs | None = None, **options: Any) -> Saver:
        fs = fs or LocalFs()
        defaults: dict[str, Any] = {"when": auto(), "keep": keep_last(1), "say": print}
        return Saver(
            store=Store(tmp_path / "checkpoints", fs=fs, clock=clock),
            journal=Journal(tmp_path / "journal.jsonl", fs=fs, clock=clock),
            rows=Rows(tmp_path / "metrics.jsonl", 1, fs=fs, clock=clock),
            lease=lease,
            identity={"unit": "step", "run_id": "r", "metric_name": "x"},
            clock=clock,
            **(defaults | options),
        )

    yield make
    lease.release()


def what(step: int) -> Save:
    """Return a save of one array."""
    trees: dict[str, Any] = {"net": {"w": np.ones(2)}}
    return Save(step=step, kind="step", reasons=("test",), trees=trees)


def refuse_append(monkeypatch: pytest.MonkeyPatch, number: int) -> list[bytes]:
    """Let append `number` that is not one of `MUST` fail; return what failed, to look at later."""
    real, count, failed = LocalFs.append, itertools.count(), list[bytes]()

    def append(self: LocalFs, path: Path, data: bytes) -> None:
        is_line = path.suffix == ".jsonl" and data and not any(each in data for each in MUST)
        if is_line and next(count) == number:
            failed.append(data)
            raise OSError(errno.ENOSPC, "no space left on device", str(path))
        real(self, path, data)

    monkeypatch.setattr(LocalFs, "append", append)
    return failed


@pytest.mark.parametrize("number", range(11))
def test_no_append_that_the_disk_refuses_once_ends_the_training(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Whatever line finds no room, the loop goes on, and everything is written in the end."""
    failed = refuse_append(monkeypatch, number)
    weights = np.zeros(3)
    with open_run(total=4, save=every(steps=1), keep=keep_last(1)) as run:
        run.attach(weights=weights, still=np.zeros(3))
        for step in run:
            if step < 4:  # the last save must not be missed, and so the rows before it
                run.log(x=step)
            weights += 1

    assert failed
    assert [row["x"] for row in run.metrics] == [1, 2, 3]
    events = Journal(run.path / "journal.jsonl").events()
    steps = [each["step"] for each in events if each["event"] == "saved"]
    assert steps[-1] == 4
    assert events[-1]["event"] == "finished"


@pytest.mark.parametrize("number", range(3))
def test_a_save_that_is_safe_does_not_fail_afterwards(make_saver: MakeSaver, number: int) -> None:
    """The journal refusing `saved` or `pruned` ends nothing, even of a save that must not fail."""
    saver = make_saver(FullOnce("journal.jsonl", number))
    for step in (1, 2, 3):
        assert saver.save(what(step), must=True) is None
    assert [info.step for info in saver.store.list()] == [3]
    saver.journal.record("finished")

    told = [each["step"] for each in saver.journal.events("saved")]
    assert told == [1, 2, 3]


@pytest.mark.parametrize(
    "error", [CorruptError("it is damaged.", "why.", "fix."), OSError(errno.EIO, "input/output")]
)
def test_looking_for_a_standstill_never_fails_a_save(
    make_saver: MakeSaver, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The manifest that was just written is read again for a hint only."""

    def broken(_: object) -> None:
        raise error

    monkeypatch.setattr(account_module, "read_manifest", broken)
    saver = make_saver()
    saver.watch(("net",))

    assert saver.save(what(1), must=True) is None
    assert [info.step for info in saver.store.list()] == [1]


@pytest.mark.parametrize("must", [True, False])
def test_a_listing_that_fails_after_a_save_ends_nothing(
    make_saver: MakeSaver, monkeypatch: pytest.MonkeyPatch, *, must: bool
) -> None:
    """What is safe is safe; what is too much goes with the next save."""
    saver = make_saver(keep=keep_last(1))

    def refuse(_: object) -> None:
        raise NotFoundError("it cannot be listed.", "why.", "fix.")

    saver.save(what(1), must=True)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "list", refuse)
        saver.save(what(2), must=must)
        assert saver.settle(wait=True) is None
    assert [info.step for info in saver.store.list()] == [1, 2]
    saver.save(what(3), must=True)
    assert [info.step for info in saver.store.list()] == [3]


def test_a_save_that_is_waited_for_does_not_make_others_dear(
    make_saver: MakeSaver, clock: FakeClock
) -> None:
    """A stage's save on a slow disk says nothing of what the next one will hold up."""
    delay_s = 0.0

    def slow_keep(_: Any) -> dict[int, str]:
        clock.advance(delay_s)
        return {}

    saver = make_saver(keep=slow_keep)
    saver.save(what(1), must=False)
    saver.settle(wait=True)
    before = saver.pace.cost_s
    assert before is not None
    assert before < 1
    delay_s = 30.0
    saver.save(what(2), must=True)
    assert saver.pace.cost_s == before


def test_a_wreck_is_kept_though_its_metrics_cannot_be(make_saver: MakeSaver) -> None:
    """The last state is worth more than the last rows."""
    saver = make_saver(FullOnce("metrics.jsonl", 0))
    saver.rows.add({"x": 1}, None)
    saver.rows.commit(1)
    saver.save_emergency(what(1))

    assert any((saver.store.path / "emergency").iterdir())


def test_a_manifest_has_the_metrics_of_its_own_step(make_saver: MakeSaver) -> None:
    """A step that logged nothing says nothing, whatever an older one said."""
    saver = make_saver(keep=keep_last(5))
    saver.rows.add({"x": 1.5}, None)
    saver.rows.commit(1)
    saver.save(what(1), must=True)
    saver.rows.commit(2)
    saver.save(what(2), must=True)

    assert [dict(info.metrics) for info in saver.store.list()] == [{"x": 1.5}, {}]


def test_a_save_costs_what_the_loop_waits_for(make_saver: MakeSaver, clock: FakeClock) -> None:
    """Capturing the state before, and retention after, are part of the price."""

    def slow_keep(_: Any) -> dict[int, str]:
        clock.advance(3)
        return {}

    saver = make_saver(keep=slow_keep)
    began_s = clock.monotonic_s()
    clock.advance(20)  # a state_dict that comes from the GPU
    saver.save(what(1), must=True, began_s=began_s)

    assert saver.pace.cost_s == 23
    assert saver.pace.last_at_s == clock.monotonic_s()
    saved = saver.journal.last("saved")
    assert saved is not None
    assert saved["seconds"] == 20


def _attempts(journal: Journal, clock: FakeClock, *ends: str) -> None:
    """Record attempts of ten minutes each, and the start of one more."""
    for number, end in enumerate(ends, 1):
        journal.record("attempt_started", attempt=number)
        clock.advance(600)
        journal.record(end, attempt=number, step=1)
    journal.record("attempt_started", attempt=len(ends) + 1)


def test_a_run_that_crashes_often_saves_more_often(make_saver: MakeSaver, clock: FakeClock) -> None:
    """The time between crashes is learned from the journal, and from the attempt's own age."""
    saver = make_saver()
    _attempts(saver.journal, clock, *["saved"] * 12)
    saver.start(0)
    saver.pace.cost_s = 1.0

    clock.advance(130)
    assert saver.moment(1, 0).mtbf_s == (12 * 600 + 130) / 13
    rule = auto()
    calm = make_saver()
    clock.advance(1200)
    assert rule.interval_s(saver.moment(1, 0)) < 200
    assert calm.moment(1, 0).mtbf_s == 1200


def test_a_new_run_is_expected_to_live_as_long_again() -> None:
    """One that is killed each half minute soon saves as often as the budget lets it."""
    assert Past().mean_life_s(30.0) == 30.0
    assert Past(lived_s=90.0, crashes=3).mean_life_s(30.0) == 30.0
    assert Past(lived_s=1e7).mean_life_s(0.0) == LONGEST_S
    assert Past().mean_life_s(-5.0) == 0.0, "a clock that was set back"


def test_ends_that_were_wanted_are_no_crashes(tmp_path: Path, clock: FakeClock) -> None:
    """Finishing and stopping count as time lived; failing and dying without a word as crashes."""
    journal = Journal(tmp_path / "journal.jsonl", clock=clock)
    _attempts(journal, clock, "stopped", "finished", "failed", "saved")

    assert past_of(journal.events()) == Past(lived_s=4 * 600, crashes=2)
    assert past_of(()) == Past()


class FullUntilEmptied(LocalFs):
    """A disk that has room for another checkpoint only when the trash is empty."""

    def __init__(self, root: Path, number: int) -> None:
        self.root, self.number, self.refused = root, number, 0

    def write(self, path: Path, chunks: Iterable[Bytes]) -> int:
        """Refuse while something lies in the trash, or where there is none."""
        trash = self.root / "checkpoints" / "trash"
        if path.suffix == ".safetensors" and (not trash.exists() or any(trash.iterdir())):
            self.refused += 1
            raise OSError(self.number, os.strerror(self.number), str(path))
        return super().write(path, chunks)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("must", [True, False])
def test_the_trash_makes_room_on_a_full_disk(
    make_saver: MakeSaver, tmp_path: Path, clock: FakeClock, number: int, *, must: bool
) -> None:
    """What a person threw away could still come back; the state of the training is worth more."""
    make_saver().save(what(1), must=True)
    discard(tmp_path / "checkpoints", [1], Tools(clock=clock), grace_s=86_400)
    disk = FullUntilEmptied(tmp_path, number)
    saver = make_saver(disk)

    assert saver.save(what(2), must=must) is None
    assert saver.settle(wait=True) is None
    assert [info.step for info in saver.store.list()] == [2]
    assert saver.store.verify() == []
    emptied = saver.journal.last("trash_emptied")
    assert emptied is not None
    assert (emptied["step"], emptied["checkpoints"]) == (2, 1)
    assert disk.refused == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_without_trash_is_not_asked_twice(
    make_saver: MakeSaver, tmp_path: Path, number: int
) -> None:
    """Nothing was freed, so nothing would be different."""
    disk = FullUntilEmptied(tmp_path, number)
    saver = make_saver(disk)

    assert saver.save(what(1), must=False) is None
    failed = saver.settle(wait=True)
    assert failed is not None
    assert disk.refused == 1
    assert saver.journal.last("trash_emptied") is None
    assert saver.journal.last("save_failed") is not None
