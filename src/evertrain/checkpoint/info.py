"""What is known about one committed checkpoint without opening its arrays.

Layer: checkpoint. Imports core only.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal["step", "stage", "final", "interrupted", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointInfo:
    """One checkpoint, as the rules and the listings see it.

    Attributes:
        step: Step it was taken after; unique among the live ones, 0 or more.
        saved_at_s: Unix time of the save, seconds.
        kind: Why it was taken.
        score: Quality, higher is better. None if it was not measured; NaN if
            it was, and came out as nonsense.
        metric_name: The metric that the score was made of. None: it is the caller's own.
        is_pinned: Whether a person asked to keep it.
        attempt: Attempt that wrote it.
        size_bytes: Bytes of its files.
        metrics: The live metrics of its step.
        stage: Name of the stage it belongs to, or None.
        stage_index: Number of that stage, from 1, or None.
        path: Its directory.
    """

    step: int
    saved_at_s: float
    kind: Kind = "step"
    score: float | None = None
    metric_name: str | None = None
    is_pinned: bool = False
    attempt: int = 0
    size_bytes: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    stage: str | None = None
    stage_index: int | None = None
    path: Path = Path()
