"""The saves of an attempt as its loop sees them: what each one holds, and what none holds yet.

A save counts from the moment that it is handed over. What the disk refused is taken back
when that is heard, so that a later step saves it, or beats it.

Layer: run. Imports checkpoint and core.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final

from evertrain.checkpoint.info import CheckpointInfo, Kind
from evertrain.checkpoint.store import Store
from evertrain.core.clock import Clock
from evertrain.core.rundir import step_name
from evertrain.run.boundary import Boundary, Record
from evertrain.run.capture import Capture
from evertrain.run.position import Standing
from evertrain.run.rows import Rows
from evertrain.run.save import Right, Save
from evertrain.run.saver import Saver
from evertrain.run.stage import Outline, Position

_RETRY_S: Final = 10.0  # after a save that the disk refused; doubles with each in a row
_MAX_WHY: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """Where the loop stands, between two steps.

    Attributes:
        step: The last step that ended.
        iteration: How often a step has ended.
        at: Its place among the stages.
        outline: Names and lengths of the stages, or None.
        stage: Name and number of the stage that runs, or has just ended; None without stages.
    """

    step: int
    iteration: int
    at: Position
    outline: Outline | None
    stage: tuple[str, int] | None


@dataclass(slots=True, kw_only=True)
class Saves:
    """Hands over what the loop has to save, and knows what became of it.

    Attributes:
        saver: Writes it.
        store: Where it goes.
        right: What this attempt must have to commit.
        capture: Takes the state as it is.
        partial: Patterns of leaves that a resume need not get back as they are.
        record: The best score so far.
        rows: The metrics.
        clock: Source of times.
        say: Prints one line.
        phase: Tells the watchdog what goes on.
        look: Lets an auditor look at the program.
        iteration: Iterations that the newest save holds, on the disk or on its way there.
    """

    saver: Saver
    store: Store
    right: Right
    capture: Capture
    partial: tuple[str, ...]
    record: Record
    rows: Rows
    clock: Clock
    say: Callable[[str], None]
    phase: Callable[[str], AbstractContextManager[None]]
    look: Callable[[str], None]
    iteration: int

    def at(self, here: Here, boundary: Boundary, score: float | None) -> None:
        """Save at the end of a step, if anything asks for it.

        Args:
            here: Where the loop stands.
            boundary: What is known there.
            score: How good the step was, or None.

        Raises:
            StateError: The state cannot be stored, or no resume could take it back.
            SaveError: As `Saver.save`.
            FencedError: A later attempt owns the run.
        """
        if boundary.must_save:
            self.settle(wait=True)
        if boundary.reasons and not self._has_nothing_new(here, boundary):
            began_s = self.clock.monotonic_s()
            with self.phase("save"):
                self.settle(wait=True)  # before the state is captured: one copy at a time
                save = self._what(
                    here, boundary.kind, boundary.reasons, score=score, is_best=boundary.is_best
                )
                self._hand_over(save, here, must=boundary.must_save, began_s=began_s)
        elif boundary.is_best:
            self.record.best_score = self.record.saved_score  # still to be beaten

    def at_end(self, here: Here) -> None:
        """Save the last step, if it ended before anybody knew that it was the last.

        Raises:
            EvertrainError: As `at`.
        """
        self.settle(wait=True)
        if self.unsaved(here) is None:
            return
        if self._is_taken(here.step):
            self.say(f"evertrain: {self.shortfall(here)}")
            return
        score, is_best = self.record.judge(self.rows.of(here.step))
        with self.phase("save"):
            save = self._what(here, "final", ("last",), score=score, is_best=is_best)
            self._hand_over(save, here, must=True)

    def adopt(self, here: Here) -> None:
        """Save what was put back from another run's checkpoint as one of this run.

        Raises:
            EvertrainError: As `at`.
        """
        with self.phase("save"):
            self.saver.save(self._what(here, "step", ("imported",)), must=True)

    def wreck(self, here: Here, kind: Kind, why: str) -> CheckpointInfo:
        """Keep an unsafe state, for manual recovery.

        Raises:
            SaveError: The disk refused.
        """
        return self.saver.save_emergency(self._what(here, kind, (why[:_MAX_WHY],)))

    def settle(self, *, wait: bool) -> None:
        """Hear what became of the save in flight.

        Raises:
            SaveError: It was the fifth in a row that failed.
            FencedError: A later attempt owns the run.
        """
        if self.saver.is_saving:
            with self.phase("save") if wait else nullcontext():
                failed = self.saver.settle(wait=wait)
            if failed is not None:
                self._miss(failed)

    def unsaved(self, here: Here) -> int | None:
        """Return how many iterations no checkpoint holds; None if there is none."""
        return here.iteration - self.iteration or None

    def shortfall(self, here: Here) -> str:
        """Say that the newest checkpoint is not of this very moment."""
        return (
            f"the checkpoint of {self.saver.identity['unit']} {here.step} is"
            f" {self.unsaved(here)} iteration(s) old; what counts 0 has no checkpoint of its own"
        )

    def _hand_over(
        self, save: Save, here: Here, *, must: bool, began_s: float | None = None
    ) -> None:
        """Hand a save over; count on it until `settle` hears otherwise."""
        self.capture.check_resumable(save.trees, self.partial)
        self.look("save")
        self.record.saved_score = self.record.best_score
        failed = self.saver.save(save, must=must, began_s=began_s)
        self.iteration = here.iteration
        if failed is not None:
            self._miss(failed)

    def _miss(self, failed: Save) -> None:
        """Take back what was counted on: the save is not on the disk."""
        self.iteration = failed.saved_before
        self.record.saved_score = failed.best_before
        if failed.is_best and self.record.best_score == failed.score:
            self.record.best_score = failed.best_before  # still to be beaten

    def _has_nothing_new(self, here: Here, boundary: Boundary) -> bool:
        """Say whether to leave it: this step has its checkpoint, or the disk just refused one."""
        pace = self.saver.pace
        if self.saver.is_saving and here.step == self.saver.newest_step:
            return True  # a step that counted nothing
        if self._is_taken(here.step):
            if here.step == pace.last_step:
                return True
            self.right.check()  # somebody else has saved it: is the run still ours?
        if boundary.must_save or not pace.failures:
            return False
        patience_s = _RETRY_S * 2 ** (pace.failures - 1)
        return bool(self.clock.monotonic_s() - pace.last_at_s < patience_s)

    def _is_taken(self, step: int) -> bool:
        return (self.store.path / step_name(step)).exists()

    def _what(
        self,
        here: Here,
        kind: Kind,
        reasons: tuple[str, ...],
        *,
        score: float | None = None,
        is_best: bool = False,
    ) -> Save:
        standing = Standing(here.iteration, self.record.best_score, here.at, here.outline)
        return Save(
            step=here.step,
            kind=kind,
            reasons=reasons,
            trees=self.capture.trees(standing.tree),
            score=score,
            is_best=is_best,
            stage=here.stage,
            best_before=self.record.saved_score,
            saved_before=self.iteration,
        )
