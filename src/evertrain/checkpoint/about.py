"""What the one who saves says about a checkpoint.

Layer: checkpoint. Imports core only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from evertrain.checkpoint.info import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Everything about a save that is not its state. All of it is optional.

    Attributes:
        kind: Why it is taken.
        unit: What a step is called.
        metrics: The live metrics of its step.
        metric_name: The metric that ranks it. None: the store's own rule, if it has one.
        metric_value: That metric's value.
        score: The same, made so that higher is better. None: as the store's rule says.
        is_best: Whether it is the best so far. None: as the scores say.
        stage: Name of its stage.
        stage_index: Number of its stage, from 1.
        attempt: Attempt that writes it.
        run_id: Run it belongs to.
        parent: Step of the checkpoint that the attempt resumed from.
        fence: Called right before the commit; it raises where this process
            no longer owns the run, and nothing is committed.
    """

    kind: Kind = "step"
    unit: str = "step"
    metrics: Mapping[str, float] = field(default_factory=dict)
    metric_name: str | None = None
    metric_value: float | None = None
    score: float | None = None
    is_best: bool | None = None
    stage: str | None = None
    stage_index: int | None = None
    attempt: int = 0
    run_id: str = ""
    parent: int | None = None
    fence: Callable[[], None] | None = None
