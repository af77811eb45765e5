"""Beats for a command that gives none: only as it gets on, and never beside a `Run`."""

import os
from pathlib import Path

import pytest

from evertrain.core import proc
from evertrain.core.heartbeat import PROGRESS, Heart, read_beat
from evertrain.core.journal import Journal
from evertrain.core.proc import Proc
from evertrain.core.rundir import RunDir
from evertrain.supervise.progress import lines
from evertrain.supervise.progress.deputy import Deputy
from evertrain.supervise.progress.pattern import search as pattern_search
from evertrain.supervise.progress.trail import Trail
from evertrain.supervise.wire import Order
from evertrain.testing.clock import FakeClock

LEADER = Proc(os.getpid(), proc.start_time(os.getpid()) or 0)
CLOCK = FakeClock()


def deputy_of(
    run_dir: RunDir,
    *,
    files: str | None = None,
    pattern: str | None = r"step (\d+)",
    clock: FakeClock = CLOCK,
) -> Deputy:
    """Return the deputy of a command that prints steps, or writes files, or both."""
    order = Order(
        command=["x"],
        env={},
        run=str(run_dir.path),
        attempt=3,
        grace_s=1.0,
        size=None,
        progress=pattern,
        progress_file=files,
    )
    return Deputy(order, run_dir, Journal(run_dir.journal), clock=clock)


def hear(deputy: Deputy, text: bytes) -> None:
    """Let the command print `text`, and the deputy look."""
    assert deputy.hear is not None
    deputy.hear(text)
    deputy.look(LEADER)


def test_each_step_is_a_beat_and_no_step_is_none(tmp_path: Path) -> None:
    """The first one is told to the journal: there its work began."""
    run_dir = RunDir(tmp_path)
    deputy = deputy_of(run_dir)
    hear(deputy, b"loading\n")
    assert read_beat(run_dir.heartbeat) is None
    for step, count in ((5, 1), (5, 1), (7, 2)):
        hear(deputy, b"step %d\n" % step)
        beat = read_beat(run_dir.heartbeat)
        assert beat is not None
        assert (beat.pid, beat.step, beat.phase, beat.count) == (LEADER.pid, step, PROGRESS, count)
        assert beat.stacks is None, "nobody may ask a stranger for its stacks"
    assert deputy.trail == Trail(first=5, last=7, moves=2)
    (row,) = Journal(run_dir.journal).events("progressed")
    assert (row["attempt"], row["step"]) == (3, 5)


def test_the_last_words_count(tmp_path: Path) -> None:
    """What it prints while it dies has no end of line, and comes after the last look."""
    run_dir = RunDir(tmp_path)
    deputy = deputy_of(run_dir)
    hear(deputy, b"step 5\n")
    assert deputy.hear is not None
    deputy.hear(b"step 9")
    deputy.end(LEADER)
    assert deputy.trail.last == 9
    beat = read_beat(run_dir.heartbeat)
    assert beat is not None
    assert beat.step == 9


def test_files_that_grow_are_beats_without_a_step(tmp_path: Path) -> None:
    """How far it is they do not say."""
    run_dir = RunDir(tmp_path / "run")
    run_dir.path.mkdir()
    deputy = deputy_of(run_dir, files=str(tmp_path / "*.csv"), pattern=None)
    assert deputy.hear is None
    growth = deputy._growth
    assert growth is not None
    for text in ("", "1", "12"):
        if text:
            (tmp_path / "log.csv").write_text(text)
        for _ in range(2):
            deputy.look(LEADER)
            growth.wait()
    deputy.look(LEADER)
    beat = read_beat(run_dir.heartbeat)
    assert beat is not None
    assert (beat.step, beat.count) == (-1, 2)
    assert deputy.trail == Trail(moves=2)


@pytest.mark.parametrize("begins_first", [True, False])
def test_a_run_beats_for_itself(tmp_path: Path, *, begins_first: bool) -> None:
    """Whoever has begun: beats of two would be a step that goes back and forth."""
    run_dir = RunDir(tmp_path)
    deputy = deputy_of(run_dir)
    if not begins_first:
        hear(deputy, b"step 1\n")
    with Heart(run_dir.heartbeat, LEADER.pid, clock=CLOCK) as heart:
        heart.beat(100, "setup")
        hear(deputy, b"step 2\n")
        deputy.end(LEADER)
        beat = read_beat(run_dir.heartbeat)
    assert beat is not None
    assert (beat.step, beat.phase, beat.count) == (100, "setup", 1)


def test_the_last_beat_of_a_dead_run_is_left_alone(tmp_path: Path) -> None:
    """The supervisor still wants to know how far it was."""
    run_dir = RunDir(tmp_path)
    deputy = deputy_of(run_dir)
    with Heart(run_dir.heartbeat, 2**22 + 1, clock=CLOCK) as heart:
        heart.beat(100, "failed")
    assert deputy.hear is not None
    deputy.hear(b"step 2\n")
    deputy.end(LEADER)
    beat = read_beat(run_dir.heartbeat)
    assert beat is not None
    assert beat.step == 100


def test_a_full_disk_costs_the_beats_and_no_more(tmp_path: Path) -> None:
    """The trail is known all the same."""
    run_dir = RunDir(tmp_path / "nowhere" / "run")
    deputy = deputy_of(run_dir)
    hear(deputy, b"step 1\n")
    hear(deputy, b"step 2\n")
    assert deputy.trail == Trail(first=1, last=2, moves=2)


@pytest.mark.parametrize("files", [None, "*.none"])
def test_what_is_not_read_any_more_promises_no_beat(tmp_path: Path, files: str | None) -> None:
    """Else a training that goes on would count as one that hangs, between two of its files."""
    run_dir = RunDir(tmp_path)
    deputy = deputy_of(run_dir, files=files, pattern=r"step (\d+)(?:$| (?:b+)+$)")
    hear(deputy, b"step 5\n")
    assert read_beat(run_dir.heartbeat) is not None
    hear(deputy, b"step 6 " + b"b" * 80 + b"c\n")
    assert deputy.problem is not None
    assert read_beat(run_dir.heartbeat) is None
    hear(deputy, b"step 7\n")
    assert read_beat(run_dir.heartbeat) is None
    assert deputy.trail.last == 5


def test_the_beat_of_a_run_is_not_taken_back(tmp_path: Path) -> None:
    """It is not ours, whatever becomes of the reading."""
    run_dir = RunDir(tmp_path)
    deputy = deputy_of(run_dir, pattern=r"step (\d+)(?:$| (?:b+)+$)")
    hear(deputy, b"step 5\n")
    with Heart(run_dir.heartbeat, LEADER.pid, clock=CLOCK) as heart:
        heart.beat(100, "setup")
        hear(deputy, b"step 6 " + b"b" * 80 + b"c\n")
        assert deputy.problem is not None
        beat = read_beat(run_dir.heartbeat)
    assert beat is not None
    assert beat.step == 100


def test_what_is_left_unread_may_be_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who prints more than can be read is alive, once it has shown a step."""
    run_dir, clock = RunDir(tmp_path), FakeClock()
    monkeypatch.setattr(lines, "search", lambda *_: clock.advance(60.0))
    deputy = deputy_of(run_dir, clock=clock)
    for _ in range(3):
        hear(deputy, b"noise\n" * 100)
    assert read_beat(run_dir.heartbeat) is None
    monkeypatch.setattr(lines, "search", pattern_search)
    clock.advance(60 * 60 * 3)
    hear(deputy, b"step 5\n")
    monkeypatch.setattr(lines, "search", lambda *_: clock.advance(600.0))
    counts = []
    for _ in range(4):
        hear(deputy, b"noise\n" * 100)
        beat = read_beat(run_dir.heartbeat)
        assert beat is not None
        assert beat.step == 5
        counts.append(beat.count)
    assert counts[-1] > counts[1]
    deputy.look(LEADER)
    beat = read_beat(run_dir.heartbeat)
    assert beat is not None
    assert beat.count == counts[-1], "silence is silence"
