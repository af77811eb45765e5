"""A save: what is to be written, how far it is, and what those before it cost.

Layer: run. Imports checkpoint and core.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from evertrain.checkpoint.about import About
from evertrain.checkpoint.info import Kind
from evertrain.checkpoint.plugin import Tree
from evertrain.core.lock import Owner


@dataclass(frozen=True, slots=True, kw_only=True)
class Save:
    """One save that is about to happen.

    Attributes:
        step: The step that has just ended.
        kind: Why it is taken.
        reasons: Rules that ask for it.
        trees: The state, by part.
        score: How good the step was, higher is better, or None.
        is_best: Whether that is the best so far.
        stage: Name and number of the running or ended stage, or None.
        best_before: The best score of which there was a save before it, or None.
        saved_before: Iterations that the checkpoint before it holds.
    """

    step: int
    kind: Kind
    reasons: tuple[str, ...]
    trees: Mapping[str, Tree]
    score: float | None = None
    is_best: bool = False
    stage: tuple[str, int] | None = None
    best_before: float | None = None
    saved_before: int = 0


@dataclass(slots=True)
class Pace:
    """What the saves so far cost.

    Attributes:
        last_step: Step of the newest save.
        last_at_s: When it ended, monotonic seconds.
        cost_s: How long it took, seconds; None before the first.
        failures: Saves that failed in a row.
    """

    last_step: int = 0
    last_at_s: float = 0.0
    cost_s: float | None = None
    failures: int = 0


@dataclass(slots=True)
class Flight:
    """A save under way.

    Attributes:
        save: What is written.
        began_s: When the loop began to wait for it, monotonic seconds.
        must: Whether the training may not go on without it.
        blocked_s: How long the loop waited, seconds.
        needed_bytes: What it has to write, about; None while that is not known.
    """

    save: Save
    began_s: float
    must: bool
    blocked_s: float = 0.0
    needed_bytes: int | None = None


class Right(Protocol):
    """The right to commit: a lease, or more."""

    @property
    def owner(self) -> Owner:
        """Who has it."""

    def check(self) -> None:
        """Return if it still holds.

        Raises:
            FencedError: A later attempt took the run.
        """


def about(
    save: Save, identity: Mapping[str, Any], metrics: Mapping[str, Any], right: Right
) -> About:
    """Return what the checkpoint will say about itself.

    Args:
        save: What is written.
        identity: Fields that each checkpoint of the run repeats.
        metrics: The live metrics of its step.
        right: What must still hold when it is committed.
    """
    metric = identity.get("metric_name")
    return About(
        kind=save.kind,
        unit=str(identity["unit"]),
        metrics=dict(metrics),
        metric_name=metric,
        metric_value=metrics.get(str(metric)),
        score=save.score,
        is_best=save.is_best,
        stage=save.stage[0] if save.stage else None,
        stage_index=save.stage[1] if save.stage else None,
        attempt=right.owner.attempt,
        run_id=str(identity["run_id"]),
        parent=identity.get("parent"),
        fence=right.check,
    )
