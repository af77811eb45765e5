"""The watch over one attempt: look, judge, ask for the stacks, and say that it hangs.

It never waits: the shim calls it again and again, and goes on pumping output in between.

Layer: supervise. Imports core only.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from evertrain.core import proc
from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.heartbeat import Beat
from evertrain.core.journal import Journal
from evertrain.core.kinds import is_count
from evertrain.core.proc import Proc
from evertrain.supervise.hang.limits import Limits, is_news, limits_of
from evertrain.supervise.hang.record import Hang
from evertrain.supervise.hang.silence import Signs, Silence
from evertrain.supervise.hang.stacks import Stacks, difference
from evertrain.supervise.hang.verdict import LAUNCH, SILENCE, Verdict, judge

_PERIOD_S: Final = 1.0
# From here on a silence is looked at closely, and that often, seconds.
_CLOSE_S: Final = 5.0
# Between two dumps of the stacks, and until one is written, seconds.
_APART_S: Final = 5.0
_WRITTEN_S: Final = 0.5
# A quiet stretch that is shorter says nothing about a command without a heartbeat, seconds.
_WORTH_S: Final = 60.0
# What a run says first.
_SETUP: Final = "setup"


class Sight(Protocol):
    """What can be seen of a training from outside; `signs.Eyes` is the real one."""

    @property
    def trainer(self) -> Proc | None:
        """Whoever gives the beats, or None."""

    def look(self, output_bytes: int, *, is_close: bool) -> Signs:
        """Return what can be seen now; `is_close` also of the processes."""

    def tree(self) -> list[str]:
        """Return a line for each process."""


@dataclass(slots=True)
class _Suspicion:
    """A verdict that waits for its stacks."""

    verdict: Verdict
    stacks: Stacks | None
    dumps: list[str]
    due_s: float
    is_asked: bool = False


class Watch:
    """Watches one attempt from its launch on.

    Args:
        eyes: What can be seen of it.
        journal: Remembers the limits between attempts.
        attempt: Number of the attempt.
        timeout_s: Longest silence that a person allows, seconds; None learns it.
        clock: Source of the time.

    Attributes:
        period_s: How often it has to look, seconds.
    """

    def __init__(
        self,
        eyes: Sight,
        journal: Journal,
        attempt: int,
        *,
        timeout_s: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Begin with the launch of the attempt."""
        scale = 1.0 if timeout_s is None else min(1.0, timeout_s / 60)
        self.period_s = max(0.1, _PERIOD_S * scale)
        self._close_s, self._apart_s = _CLOSE_S * scale, max(0.5, _APART_S * scale)
        self._eyes = eyes
        self._journal, self._attempt = journal, attempt
        self._timeout_s, self._clock = timeout_s, clock
        self._silence = Silence()
        self._known: Limits | None = None  # what earlier attempts have learned
        self._hung_at: int | None = None  # and the step at which one of them was ended
        self._seen = Limits()  # what this one has shown
        self._looked_s = self._began_s = clock.monotonic_s()
        self._closely_s = self._lost_s = self._lost_until_s = 0.0
        self._told_s: Mapping[str, float] = {}  # by the newest beat
        self._doubtful_s: Mapping[str, float] = {}  # by phase, of the last hang
        self._suspicion: _Suspicion | None = None
        self._is_told = False

    @property
    def is_due(self) -> bool:
        """Whether it is time to look."""
        return self._clock.monotonic_s() - self._looked_s >= self.period_s

    def look(self, output_bytes: int) -> Hang | None:
        """Look, if it is time to. Return a hang once it is certain, once for each silence.

        Args:
            output_bytes: What the training has printed so far.
        """
        now_s = self._clock.monotonic_s()
        passed_s = now_s - self._looked_s
        if passed_s < self.period_s:
            return None
        self._looked_s = now_s
        # Whoever looks late was suspended, stopped or starved, and so was the training.
        counted_s = min(passed_s, 3 * self.period_s)
        if passed_s > counted_s:
            self._lost_s += passed_s - counted_s
            self._lost_until_s = now_s - counted_s
        self._note(output_bytes, counted_s)
        if self._known is None and now_s - self._began_s >= _CLOSE_S:
            self._known, self._hung_at = self._remembered(), self._last_hang()
        return self._decide(now_s)

    def end(self, *, was_ended: bool) -> None:
        """Write down what the next attempt should know, if that is news.

        Args:
            was_ended: Whether the attempt was ended for the last hang that was found. If that
                was doubtful, its limit grows: nothing is ended for the same reason for ever.
        """
        known = self._known
        if known is None or self._timeout_s is not None:
            return
        if was_ended:
            self._seen = self._seen.grown(self._doubtful_s)
        after = known.shrunk(self._seen.longest_s)
        if is_news(known, after):
            longest_s = {phase: round(each, 3) for phase, each in after.longest_s.items()}
            with suppress(OSError):
                self._journal.record(
                    "limits",
                    attempt=self._attempt,
                    host=proc.host(),
                    longest=longest_s,
                    sync=False,
                    must=False,
                )

    def _note(self, output_bytes: int, counted_s: float) -> None:
        silence = self._silence
        before, quiet_s, silent_s = silence.signs.beat, silence.quiet_s, silence.silent_s
        is_close = (silence.unheard_s if before is None else silent_s) >= self._close_s
        is_close = is_close and self._looked_s - self._closely_s >= self._close_s
        is_odd = silence.stopped_s > 0 or silence.signs.is_traced
        is_close = is_close or is_odd or self._suspicion is not None
        if is_close:
            self._closely_s = self._looked_s
        silence.note(self._eyes.look(output_bytes, is_close=is_close), counted_s)
        beat = silence.signs.beat
        if beat is None:
            if silence.quiet_s < quiet_s and quiet_s >= _WORTH_S:
                self._seen = self._seen.grown({SILENCE: quiet_s})
        elif before is None and _is_from_its_start(beat):
            self._seen = self._seen.grown({LAUNCH: silent_s})
        if beat is not None and silence.silent_s == 0.0:
            self._learn(beat)

    def _learn(self, beat: Beat) -> None:
        """Take over how long phases took, less the time in which nobody could run."""
        longer = {
            phase: max(0.0, took_s - self._lost_s)
            for phase, took_s in beat.longest_s.items()
            if took_s != self._told_s.get(phase)
        }
        self._told_s = beat.longest_s
        self._seen = self._seen.grown(longer).warmed(beat.longest_s)
        if beat.at_s >= self._lost_until_s:  # else the time that it ends is still to be told
            self._lost_s = 0.0

    def _decide(self, now_s: float) -> Hang | None:
        limits = (self._known or Limits()).grown(self._seen.longest_s)
        verdict = judge(self._silence, limits, self._timeout_s, hung_at=self._hung_at)
        if verdict is None:
            self._suspicion, self._is_told = None, False
            return None
        if self._is_told:
            return None
        if self._suspicion is None:
            self._suspicion = self._suspect(verdict, now_s)
            return None  # a closer look first: it may be traced
        if now_s < self._suspicion.due_s or not self._has_stacks(self._suspicion, now_s):
            return None
        self._is_told = True
        self._doubtful_s = {} if verdict.is_sure else {verdict.phase: verdict.silent_s}
        return self._hang(verdict, self._suspicion.dumps)

    def _suspect(self, verdict: Verdict, now_s: float) -> _Suspicion:
        beat, trainer = self._silence.signs.beat, self._eyes.trainer
        can_be_asked = beat is not None and trainer is not None and verdict.evidence != "stopped"
        stacks = Stacks(beat, trainer) if can_be_asked and beat and trainer else None
        return _Suspicion(verdict, stacks, [], now_s)

    def _has_stacks(self, suspicion: _Suspicion, now_s: float) -> bool:
        """Do the next thing for the stacks. Return whether both are there, or none can be had."""
        if suspicion.stacks is None or len(suspicion.dumps) == 2:  # noqa: PLR2004
            return True
        if suspicion.is_asked:
            suspicion.dumps.append(suspicion.stacks.read())
            suspicion.is_asked = False
            suspicion.due_s = now_s + (self._apart_s if len(suspicion.dumps) == 1 else 0.0)
            return len(suspicion.dumps) == 2  # noqa: PLR2004
        suspicion.is_asked = suspicion.stacks.ask()
        suspicion.due_s = now_s + _WRITTEN_S
        return not suspicion.is_asked

    def _hang(self, verdict: Verdict, dumps: Sequence[str]) -> Hang:
        beat = self._silence.signs.beat
        return Hang(
            kind=verdict.kind,
            phase=verdict.phase,
            step=None if beat is None or beat.step < 0 else beat.step,
            silent_s=verdict.silent_s,
            limit_s=verdict.limit_s,
            evidence=verdict.evidence,
            stacks=tuple(each for each in dumps if each),
            moved=tuple(difference(*dumps)) if len(dumps) == 2 and all(dumps) else (),  # noqa: PLR2004
            processes=tuple(self._eyes.tree()),
        )

    def _remembered(self) -> Limits:
        """Return what earlier attempts on this machine have learned."""
        with suppress(Exception):  # a journal that cannot be read must not end the watch
            for row in reversed(self._journal.events("limits")):
                if row.get("host") == proc.host():
                    return limits_of(row.get("longest"))
        return Limits()

    def _last_hang(self) -> int | None:
        """Return behind which step an earlier attempt was last ended for a hang, or None."""
        with suppress(Exception):  # as above
            row = self._journal.last("hang")
            if row is not None and row.get("kind") == "hang" and row.get("evidence") != "stopped":
                step = row.get("step")
                return step if is_count(step) else None
        return None


def _is_from_its_start(beat: Beat) -> bool:
    """Say whether a run has beaten since it began: where the disk was full, it begins later."""
    return _SETUP in {beat.phase, *beat.longest_s}
