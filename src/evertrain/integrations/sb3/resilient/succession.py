"""Who serves an index when its worker is lost: another one, the spare, or nobody any more.

Layer: integrations. Imports its siblings and core.
"""

import secrets
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.errors import EnvError
from evertrain.integrations.sb3.resilient.channel import dumps
from evertrain.integrations.sb3.resilient.crew import Crew
from evertrain.integrations.sb3.resilient.limits import RestartBudget, pause_s
from evertrain.integrations.sb3.resilient.restart import EnvRestart, Failure, describe
from evertrain.integrations.sb3.resilient.slot import Slot
from evertrain.integrations.sb3.resilient.worker import RAISED, RESET, Birth

_IN_EPISODE: Final = frozenset({"step", "call", "idle"})

Hear = Callable[[EnvRestart], None]


@dataclass(frozen=True, slots=True)
class Rules:
    """How often environments may die.

    Attributes:
        budget: Of each index.
        has_spare: Whether something else may serve an index that spent its own.
        max_quarantined: Share of the indices that it may serve, 0 to 1.
        close_s: Seconds for an environment to close itself.
    """

    budget: RestartBudget
    has_spare: bool
    max_quarantined: float
    close_s: float


class Succession:
    """Replaces workers.

    Args:
        crew: The workers.
        slots: What is known about each index.
        rules: How often they may die.
        clock: Source of the time.

    Attributes:
        spaces: The observation and the action space of the first environment.
        report: Told of each death at once.
        on_restart: Told of each restart when the new environment is built, before its reset.
    """

    def __init__(
        self, crew: Crew, slots: Sequence[Slot], rules: Rules, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """Start nobody yet."""
        self._crew = crew
        self._slots = slots
        self._rules = rules
        self._clock = clock
        self._built: set[int] = set()
        self.spaces: Any = None
        self.report: Hear = lambda _: None
        self.on_restart: Hear = lambda _: None

    def begin(self) -> None:
        """Build all environments.

        Raises:
            EnvError: One cannot be built.
        """
        self._start(range(len(self._slots)))
        self.revive()

    def revive(self, options: Sequence[dict[str, Any]] | None = None) -> None:
        """Replace every worker that is lost, and reset the environments that were in use.

        Afterwards `slot.fresh` is the first observation of each, and `slot.restarted`
        says what happened.

        Args:
            options: For the resets, by index; None for none.

        Raises:
            EnvError: One died too often.
        """
        while self._crew.lost:
            lost = dict(self._crew.lost)
            for index, failure in lost.items():
                self._crew.remotes[index].condemn(failure, self._rules.close_s)
            restarts = [self._judge(self._slots[index], each) for index, each in lost.items()]
            self._pause(lost)
            self._crew.lost.clear()
            self._start(lost)
            for restart in restarts:
                if restart.index not in self._crew.lost:
                    self.on_restart(restart)
            self._reset([index for index in lost if index not in self._crew.lost], options)

    def replace(self, index: int) -> None:
        """Start the worker of an index anew: its slot has another factory now."""
        remote = self._crew.remotes[index]
        remote.let_go(self._rules.close_s)
        remote.bury(self._rules.close_s)
        self._start([index])
        self.revive()

    def _judge(self, slot: Slot, failure: Failure) -> EnvRestart:
        """Bury one worker, and decide what comes instead."""
        ended = self._crew.remotes[slot.index].bury(self._rules.close_s)
        now_s = self._clock.monotonic_s()
        is_spent = self._rules.budget.is_spent(slot.charged, slot.charged_at_s, now_s)
        slot.charge(now_s)
        goes_on = not is_spent or self._quarantine(slot)
        slot.is_owed |= failure.phase in _IN_EPISODE and slot.is_in_use
        restart = describe(slot.index, failure, ended, slot.restarts, is_quarantined=slot.is_spare)
        slot.restarted = restart.about()
        self.report(restart)
        if slot.index not in self._built and restart.cause in {"exception", "exit"}:
            raise _unbuildable(restart)
        if not goes_on:
            raise _given_up(restart, has_spare=self._rules.has_spare)
        return restart

    def _quarantine(self, slot: Slot) -> bool:
        """Let the spare serve an index that keeps dying. Say whether that is possible."""
        if not self._rules.has_spare or slot.is_spare:
            return False
        slot.quarantine()
        count = sum(each.is_spare for each in self._slots)
        return count <= self._rules.max_quarantined * len(self._slots)

    def _pause(self, lost: Iterable[int]) -> None:
        wait_s = max(pause_s(self._slots[index].failures) for index in lost)
        if wait_s > 0:
            self._clock.wait(threading.Event(), wait_s)

    def _start(self, indices: Iterable[int]) -> None:
        """Start workers, all at once, and wait until their environments are built."""
        chosen = list(indices)
        for index in chosen:
            self._crew.remotes[index].start(_birth(self._slots[index]))
            self._crew.expect(index, "start")
        births = self._crew.hear("start", chosen)
        for index in chosen:
            if births[index] is not None:
                self._take(self._slots[index], births[index][1:])

    def _take(self, slot: Slot, spaces: Any) -> None:
        """Welcome a new environment: it has to be like the others, and gets their attributes."""
        if slot.index == 0 and self.spaces is None:
            self.spaces = spaces
        self._built.add(slot.index)
        if self.spaces is not None and tuple(spaces) != tuple(self.spaces) and slot.is_spare:
            raise _other_spaces(slot.index, spaces, self.spaces)
        for name, value in slot.attributes.items():
            message = dumps(("set_attr", (name, value)))
            answer = self._crew.ask_all([slot.index], message)[slot.index]
            if answer is not None and answer[0] == RAISED:
                what = f"attribute {name!r} could not be set again"
                self._crew.lost[slot.index] = Failure("start", "exception", what, answer[2])

    def _reset(self, indices: Iterable[int], options: Sequence[dict[str, Any]] | None) -> None:
        chosen = [index for index in indices if self._slots[index].is_in_use]
        for index in chosen:
            seed = self._slots[index].seeds()[0]
            given = options[index] if options is not None else None
            self._crew.ask(index, dumps((RESET, (seed, given))), "reset")
        answers = self._crew.hear("reset", chosen)
        for index in chosen:
            if answers[index] is not None:
                _, self._slots[index].fresh, self._slots[index].reset_info = answers[index]


def _birth(slot: Slot) -> Birth:
    """Return what the next worker of an index is started with."""
    if slot.restarts == 0:
        return Birth()
    seed = slot.seeds()[1]
    # Without one, chance decides: its keeper has forked each of them with the same generators.
    return Birth(slot.is_spare, secrets.randbits(31) if seed is None else seed)


def _unbuildable(restart: EnvRestart) -> EnvError:
    is_told = bool(restart.traceback)
    error = EnvError(
        f"environment {restart.index} could not be built: {restart.summary}",
        "it never worked, so trying again would not help.",
        "Correct its factory; the traceback is below."
        if is_told
        else "Its process has said above why it ended. A script that starts processes needs"
        ' `if __name__ == "__main__":` around what it does, for they import it again.',
    )
    if is_told:
        error.add_note(restart.traceback)
    return error


def _given_up(restart: EnvRestart, *, has_spare: bool) -> EnvError:
    more = "mend what kills the spare too" if has_spare else "give a spare=... for such cases"
    error = EnvError(
        f"environment {restart.index} keeps dying: {restart.restarts} times now, "
        f"the last time {restart.summary}",
        "its budget of restarts is spent, and nothing else may serve its place: the training"
        " needs a fixed number of environments.",
        f"Look at the traceback below, {more}, or raise the budget or max_quarantined.",
    )
    error.add_note(restart.traceback)
    return error


def _other_spaces(index: int, spaces: Any, expected: Any) -> EnvError:
    return EnvError(
        f"the spare for environment {index} has other spaces: {spaces[0]} and {spaces[1]}.",
        f"the training was built for {expected[0]} and {expected[1]}.",
        "Let the spare return an environment with the spaces of the others.",
    )
