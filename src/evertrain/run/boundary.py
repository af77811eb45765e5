"""What a step's end asks for: pure rules over what is known there.

Layer: run. Imports checkpoint and core.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evertrain.checkpoint.info import CheckpointInfo, Kind
from evertrain.checkpoint.rank import Best, highest, rule_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """What is known when a step has ended.

    Attributes:
        is_last: No step is left.
        ended_stage: Number of the stage that ended with it, or None.
        is_stopping: A stop was requested.
        is_first: This run has no checkpoint yet.
        is_best: The step beats all before it.
        is_asked_for: Somebody asked for a save.
        rule: Why the saving rule fires, or None.
    """

    is_last: bool = False
    ended_stage: int | None = None
    is_stopping: bool = False
    is_first: bool = False
    is_best: bool = False
    is_asked_for: bool = False
    rule: str | None = None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why to save here; empty if there is no reason."""
        asked = {
            "last": self.is_last,
            f"stage {self.ended_stage}": self.ended_stage is not None,
            "stop requested": self.is_stopping,
            "first": self.is_first,
            "best": self.is_best,
            "asked for": self.is_asked_for,
            str(self.rule): self.rule is not None,
        }
        return tuple(reason for reason, holds in asked.items() if holds)

    @property
    def kind(self) -> Kind:
        """What the checkpoint is called."""
        if self.is_last:
            return "final"
        return "step" if self.ended_stage is None else "stage"

    @property
    def must_save(self) -> bool:
        """Whether the training may not go on without this save."""
        return self.is_last or self.is_stopping or self.ended_stage is not None


@dataclass(slots=True)
class Record:
    """The best score so far, part of every checkpoint.

    Attributes:
        ranking: What is better; None ranks nothing.
        best_score: Highest score so far, or None.
        saved_score: Highest one of which there is a save, on the disk or on its way there.
    """

    ranking: Best | None
    best_score: float | None = None
    saved_score: float | None = None

    def go_on(self, best_score: float | None, found: Sequence[CheckpointInfo]) -> None:
        """Go on from the best score of a checkpoint, or judge anew if another rule gave it.

        Args:
            best_score: What the checkpoint says was the best until then.
            found: It and those before it.
        """
        before = rule_of(found)
        if self.ranking is not None and before not in {None, self.ranking}:
            best_score = highest(found, self.ranking)
        self.best_score = self.saved_score = best_score

    def judge(self, row: Mapping[str, Any]) -> tuple[float | None, bool]:
        """Return the score of a step's metrics, and whether it beats all before it."""
        score = self.ranking.score(row) if self.ranking else None
        if score is None or score != score:  # noqa: PLR0124  (NaN is never best)
            return score, False
        is_best = self.best_score is None or score > self.best_score
        if is_best:
            self.best_score = score
        return score, is_best
