"""Rows: none is lost to a full disk, and none stands for a step that is not its own."""

import errno
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evertrain.core.errors import UsageError
from evertrain.core.fs import LocalFs
from evertrain.core.journal import append_lines
from evertrain.monitor.metrics import read_metrics
from evertrain.run.rows import Rows
from evertrain.testing import FakeClock, PowerDisk


class FullNow(LocalFs):
    """A disk on which one kind of operation finds no room while it is told to."""

    full: str | None = None

    def append(self, path: Path, data: bytes) -> None:
        """Write half of it, then refuse."""
        if self.full == "append":
            super().append(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "no space left on device", str(path))
        super().append(path, data)

    def sync_file(self, path: Path) -> None:
        """Refuse."""
        if self.full == "sync_file":
            raise OSError(errno.ENOSPC, "no space left on device", str(path))
        super().sync_file(path)


def live(path: Path) -> list[Any]:
    """Return the live steps and their values."""
    return [(row["step"], row["x"]) for row in read_metrics(path)]


def commit(rows: Rows, *steps: int) -> None:
    """Log and end steps."""
    for step in steps:
        rows.add({"x": step}, None)
        rows.commit(step)
        rows.flush_if_due()


@pytest.mark.parametrize("operation", ["append", "sync_file"])
@pytest.mark.parametrize("must", [True, False])
def test_rows_that_the_disk_refused_are_written_by_the_next_flush(
    tmp_path: Path, operation: str, *, must: bool
) -> None:
    """A full disk costs no row, whether the flush had to succeed or not."""
    fs, said = FullNow(), list[str]()
    rows = Rows(tmp_path / "metrics.jsonl", 1, say=said.append, fs=fs)
    commit(rows, 1, 2)
    rows.flush(sync=True)
    commit(rows, 3, 4)
    fs.full = operation
    if must:
        with pytest.raises(OSError, match="no space"):
            rows.flush(sync=True, must=True)
    else:
        assert not rows.flush(sync=True)
        assert not rows.flush(sync=True)
        assert len(said) == 1, "it is told once"
    fs.full = None
    commit(rows, 5)
    assert rows.flush(sync=True)

    assert live(tmp_path) == [(step, step) for step in range(1, 6)]


def test_a_full_disk_does_not_end_a_step(tmp_path: Path) -> None:
    """The flush of every second is tried again a second later, not at every step."""
    clock, fs, said = FakeClock(), FullNow(), list[str]()
    rows = Rows(tmp_path / "metrics.jsonl", 1, say=said.append, fs=fs, clock=clock)
    fs.full = "append"
    for step in range(1, 4):
        clock.advance(2)
        commit(rows, step)
    fs.full = None
    commit(rows, 4)
    assert (4, 4) not in live(tmp_path)
    clock.advance(2)
    commit(rows, 5)

    assert [step for step, _ in live(tmp_path)] == [1, 2, 3, 4, 5]
    assert len(said) == 1


@pytest.mark.parametrize("has_more", [True, False])
def test_synced_rows_survive_a_power_cut_wherever_they_were_first_written(
    tmp_path: Path, *, has_more: bool
) -> None:
    """A file that an unsynced flush created has a durable name after the first synced one."""
    root = tmp_path / "disk"
    root.mkdir()
    disk = PowerDisk(root)
    rows = Rows(root / "metrics.jsonl", 1, fs=disk)
    commit(rows, 1)
    rows.flush(sync=False)
    if has_more:
        commit(rows, 2)
    rows.flush(sync=True)

    for number, world in enumerate(disk.worlds()):
        after = tmp_path / f"after-{number}"
        disk.reboot(after, world)
        assert len(live(after)) == (2 if has_more else 1)


def test_numbers_are_of_the_step_that_is_asked_for(tmp_path: Path) -> None:
    """A step that logs nothing does not show the metrics of an older one."""
    rows = Rows(tmp_path / "metrics.jsonl", 1)
    rows.add({"x": 1, "name": "a"}, None)
    rows.commit(1)
    assert rows.of(1) == {"x": 1}
    assert rows.of(2) == {}
    rows.commit(2)
    assert rows.of(2) == {}


@pytest.mark.parametrize(
    "value",
    [
        np.complex64(1),
        1j,
        np.datetime64("2020-01-01"),
        10**400,
        -(10**5000),
        Fraction(1, 2),
        np.zeros(0),
        {"item": 1},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_written_is_refused_when_it_is_logged(tmp_path: Path, value: Any) -> None:
    """It is named at the call, takes nothing else with it, and the other rows are written."""
    rows = Rows(tmp_path / "metrics.jsonl", 1)
    commit(rows, 1)
    with pytest.raises(UsageError, match=r"run\.log\(y=\.\.\.\)"):
        rows.add({"x": 5, "y": value}, None)
    rows.add({"x": 2}, None)
    rows.commit(2)
    rows.flush(sync=False)

    assert live(tmp_path) == [(1, 1), (2, 2)]


class _Tensor:
    """What torch shows of a tensor: `size` is a method, `numel` counts."""

    def __init__(self, count: int) -> None:
        self._count = count

    def numel(self) -> int:
        """Return how many elements there are."""
        return self._count

    def size(self) -> tuple[int]:
        """Return the shape."""
        return (self._count,)

    def item(self) -> float:
        """Return the one element."""
        return 0.5


def test_a_tensor_of_one_element_is_a_number(tmp_path: Path) -> None:
    """Tensors are counted by `numel`; one with more elements is no metric."""
    rows = Rows(tmp_path / "metrics.jsonl", 1)
    rows.add({"x": _Tensor(1)}, None)
    assert rows.commit(1) == {"x": 0.5}
    with pytest.raises(UsageError, match="_Tensor"):
        rows.add({"x": _Tensor(2)}, None)


def test_the_metric_that_ranks_must_be_a_number(tmp_path: Path) -> None:
    """A string under its name is refused at the call; under other names strings are welcome."""
    rows = Rows(tmp_path / "metrics.jsonl", 1, best="reward")
    rows.add({"note": "warm-up", "reward": None}, None)
    with pytest.raises(UsageError, match="reward"):
        rows.add({"reward": "high"}, None)


def test_a_row_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    """What a flush wrote before it failed merges with what the next one writes."""
    row = {"step": 1, "attempt": 1, "x": 1}
    append_lines(tmp_path / "metrics.jsonl", [row, row], sync=False)

    assert live(tmp_path) == [(1, 1)]
