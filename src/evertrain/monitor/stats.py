"""A run in figures: its saves, its crashes, its metrics. Pure.

Layer: monitor. Imports core only.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from evertrain.core.journal import Row
from evertrain.monitor.metrics import number_of, series

# A run may have saved a million times; people want to know how it goes now.
RECENT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Saves:
    """What saving cost.

    Attributes:
        count: Committed checkpoints, whether they are still there or not.
        failed_count: Saves that the disk refused.
        blocked_s: Median time that the loop stood still, seconds; None is unknown.
        seconds: Median time until a checkpoint was safe; None is unknown.
        written_bytes: Bytes that all of them added to the disk.
        logical_bytes: Bytes that all of them hold.
    """

    count: int
    failed_count: int
    blocked_s: float | None
    seconds: float | None
    written_bytes: float
    logical_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric over its live rows; values that are not finite are counted and left out.

    Attributes:
        name: As it was logged.
        count: Rows that have it.
        first: Its first value.
        last: Its last value.
        low: The lowest, and its step; None if none is finite.
        high: The highest, and its step.
        odd_count: NaN and infinities.
    """

    name: str
    count: int
    first: float
    last: float
    low: tuple[float, float] | None
    high: tuple[float, float] | None
    odd_count: int


def saves_of(journal_rows: Iterable[Row]) -> Saves:
    """Return what saving has cost; medians are of the last `RECENT` saves."""
    rows = list(journal_rows)
    saved = [row for row in rows if row.get("event") == "saved"]
    recent = saved[-RECENT:]
    return Saves(
        count=len(saved),
        failed_count=sum(row.get("event") == "save_failed" for row in rows),
        blocked_s=_median(recent, "blocked"),
        seconds=_median(recent, "seconds"),
        written_bytes=_sum(saved, "written"),
        logical_bytes=_sum(saved, "bytes"),
    )


def causes_of(journal_rows: Iterable[Row]) -> list[tuple[str, int]]:
    """Return why attempts crashed, by the supervisor's word, and how often; the worst first."""
    causes = [row.get("cause") for row in journal_rows if row.get("event") == "crashed"]
    return Counter(each for each in causes if isinstance(each, str)).most_common()


def metrics_of(live_rows: Iterable[Mapping[str, Any]]) -> list[Metric]:
    """Return every numeric metric, in order of first appearance."""
    return [_metric(name, *each) for name, each in series(live_rows).items()]


def _metric(name: str, steps: Sequence[float], values: Sequence[float]) -> Metric:
    finite = [each for each in zip(values, steps, strict=True) if math.isfinite(each[0])]
    return Metric(
        name=name,
        count=len(values),
        first=values[0],
        last=values[-1],
        low=min(finite, default=None),
        high=max(finite, default=None, key=lambda each: each[0]),
        odd_count=len(values) - len(finite),
    )


def _median(rows: Sequence[Row], key: str) -> float | None:
    found = [value for row in rows if (value := number_of(row, key)) is not None]
    return median(found) if found else None


def _sum(rows: Iterable[Row], key: str) -> float:
    return sum(max(0.0, number_of(row, key) or 0.0) for row in rows)
