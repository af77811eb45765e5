"""The run's own part of a checkpoint: where in its training it was taken.

Layer: run. Imports checkpoint and core.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from evertrain.checkpoint.plugin import Tree
from evertrain.core.errors import StateError
from evertrain.core.kinds import is_count, is_text
from evertrain.run.stage import Outline, Position


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands.

    Attributes:
        iteration: Iterations done.
        best_score: Score of the best checkpoint so far, or None.
        at: Its place among the stages.
        stages: Names and lengths of the stages that it was saved with, or None.
    """

    iteration: int = 0
    best_score: float | None = None
    at: Position = field(default_factory=Position)
    stages: Outline | None = None

    @property
    def tree(self) -> dict[str, Any]:
        """What a checkpoint stores of it; `standing_of` reads it."""
        at = [self.at.index, self.at.start]
        found = {"iteration": self.iteration, "best_score": self.best_score, "stage": at}
        return found if self.stages is None else {**found, "stages": self.stages}


def standing_of(tree: Tree, where: str) -> Standing:
    """Return what a checkpoint says of where it was taken. Everything is checked.

    Args:
        tree: What is stored.
        where: Name of the checkpoint, for the message.

    Raises:
        StateError: No run saves that.
    """
    known: dict[Any, Any] = tree if isinstance(tree, dict) else {}
    stage, stages = known.get("stage", ()), known.get("stages")
    iteration, score = known.get("iteration", -1), known.get("best_score")
    is_whole = (
        is_count(iteration)
        and (score is None or type(score) is float)
        and _is_pair(stage, is_count, is_count)
        and (stages is None or (isinstance(stages, list) and all(map(_is_stage, stages))))
    )
    if not is_whole:
        raise StateError(
            f"{where} does not say where in its training it was taken.",
            "no run saves such a position: it was made by something else.",
            f"Start from its weights instead: Run(..., init_from={where!r})",
        )
    outline = None if stages is None else [[name, steps] for name, steps in stages]
    return Standing(iteration, score, Position(*stage), outline)


def _is_stage(value: object) -> bool:
    return _is_pair(value, is_text, is_count)


def _is_pair(value: object, *kinds: Callable[[object], bool]) -> bool:
    if not isinstance(value, list) or len(value) != len(kinds):
        return False
    return all(fits(each) for fits, each in zip(kinds, value, strict=True))
