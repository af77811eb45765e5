"""The journal survives torn lines, garbage and several writers."""

import errno
import fcntl
import json
import math
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evertrain.core.flock import exclusive
from evertrain.core.fs import LocalFs
from evertrain.core.journal import Journal, append_lines, encode_line, parse_lines, read_lines
from evertrain.core.regular import regular_handle
from evertrain.testing import FakeClock, PowerDisk


def test_events_come_back_in_order(tmp_path: Path) -> None:
    """What was recorded is read, oldest first, without the fields that were None."""
    journal = Journal(tmp_path / "journal.jsonl")
    journal.record("saved", step=10, reason=None)
    journal.record("stopped", step=11)

    assert [row["event"] for row in journal.events()] == ["saved", "stopped"]
    assert journal.events("stopped")[0]["step"] == 11
    assert "reason" not in journal.events("saved")[0]


def test_reading_creates_nothing(tmp_path: Path) -> None:
    """Looking at a run that has no journal leaves no journal behind."""
    assert Journal(tmp_path / "journal.jsonl").last("saved") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("torn", [b'{"event": "sav', b"\x00\xff garbage", b"[1, 2]", b"17"])
def test_a_torn_tail_costs_one_line(tmp_path: Path, torn: bytes) -> None:
    """An append after a crash mid-line loses neither what was before nor what comes."""
    path = tmp_path / "journal.jsonl"
    append_lines(path, [{"n": 1}], sync=False)
    with path.open("ab") as file:
        file.write(torn)

    append_lines(path, [{"n": 2}], sync=True)

    lines = read_lines(path)
    assert [row["n"] for row in lines.rows] == [1, 2]
    assert lines.bad_count == 1


def test_non_finite_numbers_stay_valid_json(tmp_path: Path) -> None:
    """NaN and infinities are written by name, so that any JSON reader can go on."""
    line = encode_line({"loss": math.nan, "more": [math.inf, {"x": -math.inf}]})

    assert json.loads(line) == {"loss": "NaN", "more": ["Infinity", {"x": "-Infinity"}]}


@given(st.binary())
def test_no_bytes_can_break_the_reader(data: bytes) -> None:
    """Whatever lies in the file, reading gives objects and a count."""
    lines = parse_lines(data)

    assert all(isinstance(row, dict) for row in lines.rows)
    assert lines.bad_count >= 0


def test_deep_nesting_is_one_bad_line() -> None:
    """A line that would exhaust the parser's stack is skipped like any other garbage."""
    lines = parse_lines(b"[" * 200_000 + b'\n{"n": 1}\n')

    assert lines.bad_count == 1
    assert lines.rows == ({"n": 1},)


def _write_many(path: Path, name: int) -> None:
    for count in range(200):
        append_lines(path, [{"name": name, "count": count}], sync=False)


@pytest.mark.slow
def test_writers_in_several_processes_never_mix_lines(tmp_path: Path) -> None:
    """Supervisor, trainer and command line write one journal; each line stays whole."""
    path = tmp_path / "journal.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(path, name)) for name in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    lines = read_lines(path)
    assert lines.bad_count == 0
    for name in range(3):
        assert [row["count"] for row in lines.rows if row["name"] == name] == list(range(200))


class _FullOnce(LocalFs):
    """A disk whose next append, or next sync, finds no room."""

    def __init__(self, operation: str) -> None:
        self._operation: str | None = operation

    def append(self, path: Path, data: bytes) -> None:
        if data:
            self._refuse("append", path)
        super().append(path, data)

    def sync_file(self, path: Path) -> None:
        self._refuse("sync_file", path)
        super().sync_file(path)

    def _refuse(self, operation: str, path: Path) -> None:
        if self._operation == operation:
            self._operation = None
            raise OSError(errno.ENOSPC, "no space left on device", str(path))


def test_an_event_that_the_disk_refused_is_written_before_the_next(tmp_path: Path) -> None:
    """What need not be written at once waits in its place, with its own time."""
    clock = FakeClock()
    journal = Journal(tmp_path / "journal.jsonl", fs=_FullOnce("append"), clock=clock)
    assert not journal.record("saved", step=1, must=False)
    clock.advance(60)
    assert journal.record("stopped", step=1)

    rows = journal.events()
    assert [row["event"] for row in rows] == ["saved", "stopped"]
    assert rows[0]["time"] < rows[1]["time"]


def test_whoever_hangs_with_the_journal_in_its_hands_is_not_waited_for(tmp_path: Path) -> None:
    """What was to be told comes in its place once the journal is free, with its own time."""
    path, clock = tmp_path / "journal.jsonl", FakeClock()
    Journal(path).record("saved", step=1)
    watcher = Journal(path, clock=clock, patience_s=0.0)
    with path.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert not watcher.record("hang", must=False)
        with pytest.raises(TimeoutError, match="held its lock"):
            watcher.record("supervisor_lost")
        watcher.catch_up()
        assert [row["event"] for row in watcher.events()] == ["saved"]
    clock.advance(60)
    watcher.catch_up()
    watcher.catch_up()

    rows = watcher.events()
    assert [row["event"] for row in rows] == ["saved", "hang"]
    assert rows[1]["time"] == "2023-11-14T22:13:20.000Z"


@pytest.mark.parametrize("operation", ["append", "sync_file"])
def test_an_event_that_must_be_written_says_that_it_was_not(tmp_path: Path, operation: str) -> None:
    """By default a refusal is the caller's to handle."""
    journal = Journal(tmp_path / "journal.jsonl", fs=_FullOnce(operation))

    with pytest.raises(OSError, match="no space"):
        journal.record("finished", step=1)


def test_a_file_that_was_first_written_unsynced_gets_its_name_at_the_first_sync(
    tmp_path: Path,
) -> None:
    """Lines that were synced are there in every world that a power cut may leave."""
    root = tmp_path / "disk"
    root.mkdir()
    disk = PowerDisk(root)
    append_lines(root / "metrics.jsonl", [{"n": 1}], sync=False, fs=disk)
    append_lines(root / "metrics.jsonl", [{"n": 2}], sync=True, fs=disk)

    for number, world in enumerate(disk.worlds()):
        after = tmp_path / f"after-{number}"
        disk.reboot(after, world)
        assert [row["n"] for row in read_lines(after / "metrics.jsonl").rows] == [1, 2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_hold_the_file(tmp_path: Path) -> None:
    """A worker that was forked during an append does not keep all later ones waiting."""
    path = tmp_path / "journal.jsonl"
    path.touch()
    with exclusive(regular_handle(path)):
        child = os.fork()
        if child == 0:
            signal.pause()
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
