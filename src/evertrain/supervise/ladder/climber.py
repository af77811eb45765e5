"""The hands of the ladder in the supervisor's loop: ask the policy, put its rung into force, tell.

All that a decision rests on is read from the journal, so a new supervisor goes on where the
old one was.

Layer: supervise. Imports core only.
"""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir
from evertrain.supervise.attempt import Review
from evertrain.supervise.decide import Restart, Stop
from evertrain.supervise.foreign import Found
from evertrain.supervise.ladder import observe
from evertrain.supervise.ladder.blame import is_config_error, is_of_the_setting
from evertrain.supervise.ladder.choice import Turn
from evertrain.supervise.ladder.evidence import CRASH, EVENTS, OTHER_CRASH, view_of
from evertrain.supervise.ladder.measure import Shown
from evertrain.supervise.ladder.observe import Watched
from evertrain.supervise.ladder.policy import Policy
from evertrain.supervise.ladder.rewrite import FOLDER, replaced
from evertrain.supervise.ladder.rung import Ladder, Rung, with_arguments
from evertrain.supervise.ladder.standing import View
from evertrain.supervise.ladder.table import HEAD, cells, lines_of
from evertrain.supervise.notes import Notes
from evertrain.supervise.report import Record
from evertrain.supervise.task import Task, World

# How often a command of its own kind is asked whether it has saved by now, seconds.
_POLL_S: Final = 0.5
# Who was asked to stop and had to be ended loses what it had not saved; once is enough.
_NO_ANSWER: Final = frozenset({-signal.SIGTERM, -signal.SIGKILL})


class Climber:
    """A `Guide` that follows a policy.

    Args:
        task: What is supervised.
        world: Whose time it is, and where people look.
        notes: Who writes the journal.
        ladder: The settings.
        policy: Who decides among them.
    """

    def __init__(
        self, task: Task, world: World, notes: Notes, ladder: Ladder, policy: Policy
    ) -> None:
        """Decide nothing yet."""
        self._task = task
        self._world = world
        self._notes = notes
        self._ladder = ladder
        self._policy = policy
        self._journal = Journal(task.run_dir.journal)
        self._view = view_of((), ladder)
        self._turn = Turn(rung=0, move="start", why="")
        self._watched = Watched(task.run_dir, 0, 0.0, 0.0, task.options.checkpoints, None)
        self._wanted_s: float | None = None
        self._is_out = False
        self._may_ask = True

    @property
    def _rung(self) -> Rung:
        return self._ladder.rungs[self._turn.rung]

    def introduce(self) -> None:
        """See `Guide.introduce`."""
        names = " > ".join(each.name for each in self._ladder.rungs)
        self._world.screen.say(f"Ladder: {self._ladder.path}: {names}")
        for rung in self._ladder.rungs:  # now, while the disk has room and somebody looks
            self._rewritten(self._task.command, rung)
        events = self._journal.events()
        left = observe.unfinished(events)
        if left is not None:
            self._record(left.rung, left.attempt, left.shown, end="lost")

    def begin(self, attempt: int, found: Found | None) -> str | None:
        """See `Guide.begin`."""
        self._view = view_of(self._journal.events(*EVENTS), self._ladder)
        turn = self._policy.turn(self._view)
        if turn is None:
            return None
        self._turn, self._wanted_s, self._is_out = turn, None, False
        self._view = self._view.moved(turn.rung, turn.move)
        number, count, rung = turn.rung + 1, len(self._ladder.rungs), self._rung
        self._notes.record(
            "rung",
            attempt=attempt,
            rung=rung.key,
            name=rung.name,
            index=number,
            count=count,
            move=turn.move,
            why=turn.why,
        )
        clock, options = self._world.clock, self._task.options
        self._watched = Watched(
            self._task.run_dir,
            attempt,
            clock.now_s(),
            clock.monotonic_s(),
            options.checkpoints,
            found.step if found else 0,
        )
        settings = f" ({rung.settings})" if rung.settings not in {"", rung.name} else ""
        return f"Rung {number} of {count}: {rung.name}{settings}: {turn.why}"

    def command(self, words: Sequence[str]) -> list[str]:
        """See `Guide.command`."""
        return with_arguments(self._rewritten(words, self._rung), self._rung.args)

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """See `Guide.environment`."""
        merged = {**env, **self._rung.env}
        return {key: value for key, value in merged.items() if value is not None}

    def review(self) -> Review | None:
        """See `Guide.review`."""
        return Review(wait_s=self._wait_s, is_over=self._is_over) if self._may_ask else None

    def ended(self, record: Record) -> None:
        """See `Guide.ended`."""
        shown = self._watched.shown(record.outcome.seconds, record.steps, self._world.clock)
        counts = is_of_the_setting(record)
        self._is_out = self._does_not_work(record, shown)
        if record.end.is_crash:
            end = CRASH if counts else OTHER_CRASH
        elif record.outcome.is_moved:
            end = "moved"
            self._may_ask = self._policy.must_ask or record.outcome.code not in _NO_ANSWER
        else:
            end = "finished" if record.end.is_complete else "stopped"
        trial = replace(shown.trial, counts=counts)
        self._record(self._rung.key, record.attempt, replace(shown, trial=trial), end=end)
        self._view = self._view.shown(self._turn.rung, trial)

    def overrule(self, record: Record, verdict: Restart | Stop) -> Restart | Stop:
        """See `Guide.overrule`."""
        if not isinstance(verdict, Stop):
            return verdict
        outcome = record.outcome
        if outcome.is_moved and verdict.kind == "stopped" and not outcome.stop_requested:
            return Restart(0.0)
        if self._is_out and verdict.kind == "gave up":
            text = f"Rung {self._rung.name} does not work here, and others do: going on without it."
            self._world.screen.say(text, "yellow")
            return Restart(0.0)
        return verdict

    def conclude(self) -> None:
        """See `Guide.conclude`."""
        if not self._policy.shows:
            return
        view = view_of(self._journal.events(*EVENTS), self._ladder)
        rows = [HEAD, *(cells(line) for line in lines_of(view, self._ladder))]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
        self._world.screen.say()
        for row in rows:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self._world.screen.say(line.rstrip())

    def _rewritten(self, words: Sequence[str], rung: Rung) -> list[str]:
        return replaced(words, rung.config, self._task.run_dir.path / FOLDER / rung.key)

    def _does_not_work(self, record: Record, shown: Shown) -> bool:
        """Say whether only this rung is at fault for what starting again cannot help."""
        if not is_config_error(record) or shown.trial.steps > 0:
            return False
        here = self._turn.rung
        others = [each for rung, each in enumerate(self._view.rungs) if rung != here]
        return self._view.rungs[here].steps <= 0 and any(
            each.steps > 0 and not each.is_out for each in others
        )

    def _wait_s(self) -> float:
        if self._wanted_s is not None:
            return _POLL_S
        return self._policy.look_s(self._view, self._watched.lived_s(self._world.clock))

    def _is_over(self) -> bool:
        """Say whether the attempt is to end now: it has to, and loses nothing by it."""
        clock, watched = self._world.clock, self._watched
        lived_s = watched.lived_s(clock)
        if self._wanted_s is None:
            trial = watched.shown(lived_s, None, clock).trial
            view = self._view.shown(self._turn.rung, trial)
            view = replace(view, measured_s=view.measured_s + lived_s)
            if not self._policy.is_over(view):
                return False
            self._wanted_s = lived_s
            watched.mark()
        if watched.is_run or lived_s - self._wanted_s >= self._policy.patience_s:
            return True
        return watched.has_saved()

    def _record(self, rung: str, attempt: int, shown: Shown, *, end: str) -> None:
        trial = shown.trial
        self._notes.record(
            "rung_ended",
            attempt=attempt,
            rung=rung,
            end=end,
            counts=trial.counts,
            is_out=self._is_out or None,
            seconds=round(trial.lasted_s, 3),
            exposure=round(trial.exposure_s, 3),
            steps=trial.steps,
            busy=round(trial.busy_s, 3),
            save=shown.save_s,
            interval=shown.interval_s,
            startup=shown.startup_s,
        )


def mark_calibrated(run_dir: RunDir, ladder: Ladder, best: int | None) -> None:
    """Record that the rungs are measured: the next measuring has a budget of its own.

    Args:
        run_dir: The run.
        ladder: The settings.
        best: The recommended one, or None.
    """
    name = None if best is None else ladder.rungs[best].name
    Journal(run_dir.journal).record("calibrated", name=name, count=len(ladder.rungs), must=False)


def view_in(run_dir: RunDir, ladder: Ladder) -> View:
    """Return what is known of the rungs in a run."""
    return view_of(Journal(run_dir.journal).events(*EVENTS), ladder)
