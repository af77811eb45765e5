"""What a learning curve shows, worked out before anything is drawn. Pure.

Layer: monitor. Imports core only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from evertrain.core.journal import Row
from evertrain.monitor.metrics import live_events

_MAX_POINTS: Final = 4_000
_CHARACTER: Final = 0.0185  # width of a letter of a stage's name, as a part of the panel's

Curve = tuple[list[float], list[float]]


@dataclass(frozen=True, slots=True)
class Marks:
    """Where something happened on the step axis.

    Attributes:
        restarts: Steps at which a later attempt resumed.
        stages: Step and name of each stage's start.
    """

    restarts: tuple[float, ...] = ()
    stages: tuple[tuple[float, str], ...] = ()


def marks_of(journal_rows: Sequence[Row]) -> Marks:
    """Return the live restarts and stage starts of a journal. Pure."""
    restarts = {row["step"] for row in live_events(journal_rows, "resumed") if row["step"] > 0}
    stages: dict[str, float] = {}
    for row in live_events(journal_rows, "stage_started"):
        stages.setdefault(str(row.get("stage", "")), row["step"])
    named = sorted((step, name) for name, step in stages.items())
    return Marks(tuple(sorted(restarts)), tuple(named))


def smooth(values: Sequence[float], span: float) -> list[float]:
    """Return the moving average over about `span` values, without lag. Pure.

    The weights fall exponentially to both sides, so that a slope stays where it
    is. A value that is not finite has no weight; without any number there is no average.
    """
    onward = _sums(values, span)
    backward = reversed(_sums(values[::-1], span))
    pairs = zip(onward, backward, strict=True)
    sums = [(total + more, weight + extra) for (total, weight), (more, extra) in pairs]
    return [total / weight if weight else math.nan for total, weight in sums]


def _sums(values: Sequence[float], span: float) -> list[tuple[float, float]]:
    """Return, at each value, the weighted sum of it and those before, and of their weights."""
    keep = 1.0 - 2.0 / (span + 1.0)
    total = weight = 0.0
    found: list[tuple[float, float]] = []
    for value in values:
        is_number = math.isfinite(value)
        total = keep * total + (value if is_number else 0.0)
        weight = keep * weight + is_number
        found.append((total, weight))
    return found


def thin(curve: Curve, most: int = _MAX_POINTS) -> Curve:
    """Return a curve of at most `most` points that keeps every peak: the extremes of buckets."""
    steps, values = curve
    if len(steps) <= most:
        return curve
    size = math.ceil(len(steps) / (most // 2))
    kept: list[int] = []
    for start in range(0, len(steps), size):
        bucket = range(start, min(start + size, len(steps)))
        low = min(bucket, key=values.__getitem__)
        high = max(bucket, key=values.__getitem__)
        kept += sorted({low, high})
    return [steps[index] for index in kept], [values[index] for index in kept]


def fitting(marks: Marks, steps: Sequence[float]) -> Marks:
    """Cut the stages' names to the room that each has before the next one."""
    low, high = min(steps), max(steps)
    ends = [*(step for step, _ in marks.stages[1:]), high]
    cut = []
    for (step, name), end in zip(marks.stages, ends, strict=False):
        room = (end - max(step, low)) / max(high - low, 1e-9) / _CHARACTER
        cut.append((step, _cut(name, int(room))))
    return Marks(marks.restarts, tuple(cut))


def _cut(name: str, room: int) -> str:
    return name if len(name) <= room else f"{name[: room - 2]}.." if room >= 4 else ""  # noqa: PLR2004


def step_label(value: float, _position: int | None = None) -> str:
    """Return 1500 as "1.5 k" and 1400000 as "1.4 M"."""
    for size, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size and abs(value) >= 10_000:  # noqa: PLR2004
            return f"{value / size:g}{suffix}"
    return f"{value:g}"
