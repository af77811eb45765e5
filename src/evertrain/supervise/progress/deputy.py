"""Beats for a command that gives no sign of life itself, as often as it gets on.

So watch, status and whoever else hears a heartbeat needs to know nothing of its output.
A `Run` beats for itself: then the deputy falls silent.

Layer: supervise. Imports core only.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from evertrain.core.clock import Clock
from evertrain.core.heartbeat import PROGRESS, Heart, read_beat
from evertrain.core.journal import Journal
from evertrain.core.proc import Proc
from evertrain.core.rundir import RunDir
from evertrain.supervise.progress.growth import Growth
from evertrain.supervise.progress.lines import StepReader
from evertrain.supervise.progress.trail import Trail
from evertrain.supervise.wire import Order


class Deputy:
    """Beats for one attempt.

    Args:
        order: What was launched, and where its progress shows.
        run_dir: Its run.
        journal: That of the run; it gets `progressed` once.
        clock: Source of the time.

    Attributes:
        hear: What wants to read its output, or None.
    """

    def __init__(self, order: Order, run_dir: RunDir, journal: Journal, *, clock: Clock) -> None:
        """Take note of what is there before it begins."""
        self._attempt, self._clock = order.attempt, clock
        self._path: Path = run_dir.heartbeat
        self._journal = journal
        self._heart: Heart | None = None
        self._is_silent = False
        pattern, files = order.progress, order.progress_file
        self._reader = None if pattern is None else StepReader(pattern, clock=clock)
        self._growth = None if files is None else Growth(files, run_dir.path, clock=clock)
        self._grown = Trail()
        self._told = 0
        self.hear: Callable[[bytes], None] | None = self._reader.hear if self._reader else None

    @property
    def trail(self) -> Trail:
        """How far it got: by its steps, or, where it prints none, by its files."""
        steps = Trail() if self._reader is None else self._reader.trail
        return steps if steps.moves else self._grown

    @property
    def problem(self) -> str | None:
        """Why the output is not read any more, or None."""
        return None if self._reader is None else self._reader.problem

    def look(self, leader: Proc) -> None:
        """Beat for `leader` if it has got on since the last look."""
        if self._reader is not None:
            self._reader.settle()
        self._note(leader)
        if self.problem is not None:
            self._withdraw()

    def end(self, leader: Proc) -> None:
        """Take note of the last words, behind which nothing comes."""
        if self._reader is not None:
            self._reader.end()
        self._note(leader)
        self._fall_silent()

    def _withdraw(self) -> None:
        """Take the last beat back: nobody may wait for another where nothing is read any more.

        Files that grow as well may do so once in an hour: they alone are no sign of life.
        """
        if self._heart is not None and self._has_the_word():
            self._heart.take_back()
        self._fall_silent()

    def _fall_silent(self) -> None:
        if self._heart is not None:
            self._heart.close()
            self._heart = None
        self._is_silent = True

    def _note(self, leader: Proc) -> None:
        if not self._has_moved() or self._is_silent:
            return
        if not self._has_the_word():
            self._is_silent = True
            return
        with suppress(OSError):  # a full disk: the trail is told all the same
            self._beat(leader)

    def _has_moved(self) -> bool:
        """Say whether it got on since this was asked last."""
        if self._growth is not None and self._growth.has_grown():
            self._grown = self._grown.moved(None)
        steps = 0 if self._reader is None else self._reader.trail.moves
        before, self._told = self._told, steps + self._unread + self._grown.moves
        return self._told != before

    @property
    def _unread(self) -> int:
        """Lines that nobody has read: there may be steps among them. A first step is waited for."""
        if self._reader is None or self._heart is None:
            return 0
        return self._reader.lost_lines

    def _has_the_word(self) -> bool:
        """Say whether nobody beats but us."""
        beat = read_beat(self._path)
        if self._heart is None:
            return beat is None  # the last attempt's was forgotten: this one has left it
        return beat is not None and beat.phase == PROGRESS

    def _beat(self, leader: Proc) -> None:
        trail = self.trail
        if self._heart is None:
            self._heart = Heart(self._path, leader.pid, clock=self._clock)
            self._journal.record(
                "progressed", attempt=self._attempt, step=trail.first, sync=False, must=False
            )
        self._heart.beat(-1 if trail.last is None else trail.last, PROGRESS)
