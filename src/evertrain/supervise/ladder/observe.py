"""Watching an attempt for what it shows of its rung: journal, heartbeat and saved files.

Layer: supervise. Imports core only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from evertrain.core.clock import Clock
from evertrain.core.heartbeat import read_beat
from evertrain.core.journal import Journal, Row
from evertrain.core.rundir import RunDir
from evertrain.monitor.attempt import unix_s
from evertrain.monitor.metrics import int_of, number_of
from evertrain.supervise import foreign, history
from evertrain.supervise.foreign import Found
from evertrain.supervise.ladder.measure import Shown, shown_by_files, shown_by_run
from evertrain.supervise.wholeness import problem_of

Steps = tuple[int | None, int | None]
# A shorter silence at the end is the end itself.
_HUNG_S: Final = 30.0


@dataclass(slots=True)
class Watched:
    """One attempt on a rung.

    Attributes:
        run_dir: Its run.
        attempt: Its number.
        began_at_s: Unix time of its start, seconds.
        began_s: The same on the monotonic clock.
        pattern: Glob of the files that a command of its own kind saves, or None.
        step_from: Step of the file that it began with; None is unknown.
        is_run: Whether it has shown itself to be a `Run`.
    """

    run_dir: RunDir
    attempt: int
    began_at_s: float
    began_s: float
    pattern: str | None
    step_from: int | None
    is_run: bool = False
    _before: list[Found] = field(default_factory=list, repr=False)
    _seen: list[Found] = field(default_factory=list, repr=False)

    def lived_s(self, clock: Clock) -> float:
        """Return how long ago it began, seconds."""
        return clock.monotonic_s() - self.began_s

    def shown(self, lasted_s: float, steps: Steps | None, clock: Clock) -> Shown:
        """Return what it has shown so far.

        Args:
            lasted_s: How long it has lasted, seconds.
            steps: First and last step where somebody knows them; None to look.
            clock: Source of the time.
        """
        story = history.read_story(self.run_dir, self.attempt)
        self.is_run = story.is_run
        if story.is_run:
            rows = _rows_of(Journal(self.run_dir.journal).events(), self.attempt)
            done = _done(steps or (story.step_from, story.step_to))
            return shown_by_run(rows, lasted_s, done, self._silent_s(rows, lasted_s, clock))
        saved = self._saved()
        if steps is None or None in steps:
            steps = (self.step_from, saved[-1].step if saved else None)
        return shown_by_files(saved, self.began_at_s, lasted_s, _done(steps))

    def mark(self) -> None:
        """Remember what it has saved by now."""
        self._before = self._seen = self._saved()

    def has_saved(self) -> bool:
        """Say whether it has saved since `mark`, and the file is whole.

        The newest one may still be written, unless it has not changed since the last look.
        """
        saved = self._saved()
        new = [each for each in saved if each not in self._before]
        is_at_rest, self._seen = saved == self._seen, saved
        whole = new if is_at_rest else new[:-1]
        return bool(whole) and problem_of(whole[-1].path) is None

    def _saved(self) -> list[Found]:
        if self.pattern is None:
            return []
        found = foreign.list_found(self.pattern)
        return [each for each in found if each.changed_at_s >= self.began_at_s]

    def _silent_s(self, rows: Sequence[Row], lasted_s: float, clock: Clock) -> float:
        """Return how long it has been without a sign of life: a step that hangs is no work."""
        beat = read_beat(self.run_dir.heartbeat)
        started = next((row for row in rows if row.get("event") == "attempt_started"), {})
        if beat is None or beat.pid != int_of(started, "pid"):
            return 0.0
        silent_s = clock.monotonic_s() - beat.at_s
        return min(lasted_s, silent_s) if silent_s > _HUNG_S else 0.0


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An attempt whose supervisor died before it could say how that ended.

    Attributes:
        rung: Key of its rung.
        attempt: Its number.
        shown: What the journal still tells of it.
    """

    rung: str
    attempt: int
    shown: Shown


def unfinished(rows: Sequence[Row]) -> Unfinished | None:
    """Return the last attempt on a rung, if nobody has said what it showed. Pure.

    Its end counts for nothing: a supervisor that dies takes its training with it.
    """
    last = next((r for r in reversed(rows) if r.get("event") in {"rung", "rung_ended"}), {})
    rung, attempt = last.get("rung"), int_of(last, "attempt")
    if last.get("event") != "rung" or not isinstance(rung, str) or attempt is None:
        return None
    mine = _rows_of(rows, attempt)
    ended = next((row for row in mine if row.get("event") == "ended"), {})
    times_s = [at_s for row in mine if (at_s := unix_s(row.get("time"))) is not None]
    lasted_s = number_of(ended, "seconds")
    if lasted_s is None:
        lasted_s = max(0.0, times_s[-1] - times_s[0]) if times_s else 0.0
    steps = [step for row in mine if (step := int_of(row, "step")) is not None]
    done = float(max(0, max(steps) - steps[0])) if steps else 0.0
    return Unfinished(rung, attempt, shown_by_run(mine, lasted_s, done))


def _rows_of(rows: Sequence[Row], attempt: int) -> list[Row]:
    """Return what the journal says of `attempt`; a `Run` may have had to take a higher number."""
    return [row for row in rows if (int_of(row, "attempt") or 0) >= attempt]


def _done(steps: Steps) -> float:
    first, last = steps
    return float(max(0, last - first)) if first is not None and last is not None else 0.0
