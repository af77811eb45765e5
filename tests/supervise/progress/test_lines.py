"""The newest step of a stream, whatever its pieces are, at a bounded cost."""

import re
from collections.abc import Iterable

import pytest

from evertrain.supervise.progress import lines
from evertrain.supervise.progress.lines import StepReader
from evertrain.supervise.progress.pattern import search as pattern_search
from evertrain.testing.clock import FakeClock


def read(*pieces: bytes, pattern: str = r"step (\d+)") -> StepReader:
    """Return a reader that has heard `pieces`."""
    reader = StepReader(pattern, clock=FakeClock())
    for piece in pieces:
        reader.hear(piece)
    return reader


def slow_down(monkeypatch: pytest.MonkeyPatch, clock: FakeClock, seconds: float) -> None:
    """Have each search take so long."""

    def slow(pattern: re.Pattern[str], texts: Iterable[str]) -> int | None:
        clock.advance(seconds)
        return pattern_search(pattern, texts)

    monkeypatch.setattr(lines, "search", slow)


class Crowd(FakeClock):
    """A machine on which others run all the time."""

    def thread_cpu_s(self) -> float:
        """See `FakeClock.thread_cpu_s`."""
        return 0.0


@pytest.mark.parametrize(
    "pieces",
    [
        [b"step 1\nstep 12\nloss\n"],
        [b"st", b"ep 1", b"2\n"],
        [bytes([each]) for each in b"step 3\rstep 12\r"],
        [b"\xff\xfe\nstep 12\r\n\xf0\x9f"],
    ],
)
def test_the_newest_whole_line_counts(pieces: list[bytes]) -> None:
    """Not "step 1" of a "step 12" that is still on its way."""
    assert read(*pieces).trail.last == 12


def test_an_attempt_begins_at_the_oldest_step_that_it_shows() -> None:
    """However much comes in one piece; later ones only tell where it is."""
    trail = read(b"loading\nstep 1\nstep 2\nstep 3\n", b"step 4\nstep 5\n").trail

    assert (trail.first, trail.last) == (1, 5)


def test_half_a_line_waits() -> None:
    """Until it is whole, or nothing was added to it from one look to the next, or all is over."""
    reader = read(b"step 1")
    assert reader.trail.last is None
    reader.settle()
    assert reader.trail.last is None
    reader.hear(b"2")
    reader.settle()
    assert reader.trail.last is None
    reader.settle()
    assert reader.trail.last == 12
    reader.hear(b"step 99")
    reader.end()
    assert reader.trail.last == 99


def test_lines_that_begin_alike_are_not_one_that_waits() -> None:
    """A program that does not buffer writes "step" first, and its number behind that."""
    reader = StepReader(r"step (\d+)", clock=FakeClock())
    for step in range(1, 9):
        reader.hear(b"step")
        reader.settle()
        reader.hear(b" %d\n" % step)
    assert reader.trail.moves == 8


def test_half_a_line_that_waited_is_still_its_beginning() -> None:
    """Whatever was made of it meanwhile."""
    reader = read(b"step")
    reader.settle()
    reader.settle()
    reader.hear(b" 8\n")
    assert reader.trail.last == 8


def test_a_line_without_end_is_not_kept() -> None:
    """Its beginning is; the next line is read again."""
    reader = read(b"step 5 " + b"x" * 100_000, *[b"y" * 100_000] * 3)
    assert len(reader._rest) <= 16_000
    reader.hear(b"\nstep 6\n")
    assert reader.trail.last == 6


def test_a_line_that_takes_too_long_ends_the_reading_only() -> None:
    """It is said, and nothing is searched any more."""
    reader = read(b"step 1\n", pattern=r"step (\d+)|(?:b+)+$")
    reader.hear(b"b" * 60 + b"c\n")
    assert reader.problem is not None
    reader.hear(b"step 2\n")
    assert reader.trail.last == 1


def test_what_comes_too_fast_is_passed_on_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searching takes a fiftieth of the time, and goes on when there is time again."""
    clock = FakeClock()
    searched: list[str] = []

    def slow(_: object, texts: Iterable[str]) -> None:
        clock.advance(0.05)
        searched.extend(texts)

    monkeypatch.setattr(lines, "search", slow)
    reader = StepReader(r"step (\d+)", clock=clock)
    for _ in range(100):
        reader.hear(b"line\n")
    assert len(searched) == 3
    clock.advance(60)
    reader.hear(b"later\n")
    assert searched[3] == "line"
    assert "later" in searched
    assert len(searched) < 50


def test_what_is_left_unread_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a step is seen behind it: who floods the log has not got stuck for that."""
    clock = FakeClock()
    slow_down(monkeypatch, clock, 0.2)
    reader = StepReader(r"step (\d+)", clock=clock)
    reader.hear(b"step 1\n")
    reader.hear(b"noise\n" * 16)
    assert (reader.lost_lines, reader.trail.is_behind) == (0, False)
    reader.hear(b"step 2\n" + b"noise\n" * 20)
    assert (reader.lost_lines, reader.trail.is_behind) == (21, True)
    clock.advance(60)
    reader.settle()
    assert (reader.trail.last, reader.trail.is_behind) == (1, True)
    reader.hear(b"step 1\n")
    assert (reader.trail.last, reader.trail.moves, reader.trail.is_behind) == (1, 1, False)


def test_the_end_of_what_came_too_fast_is_read_in_the_silence_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The newest step may be the last thing that is printed for hours."""
    clock = FakeClock()
    slow_down(monkeypatch, clock, 0.2)
    reader = StepReader(r"step (\d+)", clock=clock)
    for step in range(1, 9):
        reader.hear(b"step %d\n" % step)
    assert reader.trail.last == 1
    clock.advance(60)
    reader.settle()
    assert reader.trail.last == 8


def test_half_a_line_behind_what_came_too_fast_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not taken for read because a step was found in what stands before it."""
    clock = FakeClock()
    slow_down(monkeypatch, clock, 0.2)
    reader = StepReader(r"step (\d+)", clock=clock)
    reader.hear(b"step 1\n")
    reader.hear(b"step 2\nstep")
    reader.settle()
    assert reader.trail.last == 1
    clock.advance(60)
    reader.settle()
    assert reader.trail.last == 2
    reader.hear(b" 3\n")
    assert reader.trail.last == 3


def test_the_last_words_are_read_whatever_that_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that is over, and has got on, must not count as one that got nowhere."""
    clock = FakeClock()
    slow_down(monkeypatch, clock, 0.2)
    reader = StepReader(r"step (\d+)", clock=clock)
    for _ in range(2):
        reader.hear(b"loading\n")
    reader.hear(b"step 1\nstep 2\n")
    assert reader.trail.moves == 0
    reader.end()
    assert (reader.trail.first, reader.trail.last) == (1, 2)


def test_many_lines_that_take_a_while_are_no_line_that_takes_for_ever() -> None:
    """The newest of them are read, and those that follow."""
    reader = read(b"1 steps\n", pattern=r".*?(\d+) steps")
    reader.hear(b"2 steps\n" + (b"7 " * 150 + b"\n") * 3000)
    assert (reader.trail.last, reader.problem) == (1, None)
    reader.hear(b"3 steps\n")
    assert reader.trail.last == 3


def test_waiting_for_a_processor_is_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where steps stay unread for that, the training would seem to stand still."""
    clock = Crowd()
    slow_down(monkeypatch, clock, 2.0)
    reader = StepReader(r"step (\d+)", clock=clock)
    for step in range(1, 9):
        reader.hear(b"step %d\n" % step)
    assert reader.trail.moves == 8
