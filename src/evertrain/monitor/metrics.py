"""The live rows of `metrics.jsonl`: one per step, none from an abandoned branch.

A row is live if and only if no later attempt resumed below its step. Of two
live rows of one step the later attempt's counts; within an attempt they merge,
and the later write wins.

Layer: monitor. Imports core only.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from evertrain.core.journal import NON_FINITE, Row, read_lines
from evertrain.core.kinds import MAX_COUNT
from evertrain.core.rundir import RunDir

# Written by evertrain into each row; everything else is a metric.
NOT_METRICS: Final = frozenset({"step", "time", "attempt"})


def live_rows(
    metrics_rows: Iterable[Mapping[str, Any]], journal_rows: Iterable[Mapping[str, Any]]
) -> list[Row]:
    """Return the live rows, one per step, in the order of their steps. Pure.

    Args:
        metrics_rows: Rows of `metrics.jsonl`, oldest first. One without a step
            is left out; one without an attempt is older than all attempts.
        journal_rows: Events of `journal.jsonl`; only `resumed` matters.
    """
    is_live = _judge(journal_rows)
    live: dict[float, Row] = {}
    for row in metrics_rows:
        step, attempt = number_of(row, "step"), int_of(row, "attempt") or 0
        if step is None or not is_live(step, attempt):
            continue
        before = live.get(step)
        known = -1 if before is None else int_of(before, "attempt") or 0
        if attempt > known:
            live[step] = dict(row)
        elif before is not None and attempt == known:
            before.update(row)
    return [live[step] for step in sorted(live)]


def read_metrics(run_dir: RunDir | Path) -> list[Row]:
    """Return the live rows of a run. NaN and infinities are floats again.

    What does not parse is left out; a run without metrics has no rows.
    """
    where = run_dir if isinstance(run_dir, RunDir) else RunDir(run_dir)
    rows = live_rows(read_lines(where.metrics).rows, read_lines(where.journal).rows)
    return [{key: as_number(value) for key, value in row.items()} for row in rows]


def live_events(journal_rows: Sequence[Mapping[str, Any]], *names: str) -> list[Row]:
    """Return the events called one of `names` whose step is not on an abandoned branch. Pure."""
    is_live = _judge(journal_rows)
    return [
        dict(row)
        for row in journal_rows
        if row.get("event") in names
        and (step := number_of(row, "step")) is not None
        and is_live(step, int_of(row, "attempt") or 0)
    ]


def series(rows: Iterable[Mapping[str, Any]]) -> dict[str, tuple[list[float], list[float]]]:
    """Return `name -> (steps, values)` of every numeric metric, in order of first appearance."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        for name, value in row.items():
            if name not in NOT_METRICS and _is_drawable(value):
                steps, values = found.setdefault(name, ([], []))
                steps.append(row["step"])
                values.append(float(value))
    return found


def _is_drawable(value: object) -> bool:
    """Say whether it is a number that a float can be."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < MAX_COUNT)


def as_number(value: Any) -> Any:
    """Return the float that "NaN", "Infinity" or "-Infinity" stands for; else `value`."""
    return NON_FINITE.get(value, value) if isinstance(value, str) else value


def number_of(row: Mapping[str, Any], key: str) -> float | None:
    """Return the number under `key` if any clock or count can have it, or None.

    Files may hold anything.
    """
    value = row.get(key)
    if isinstance(value, float):
        return value if abs(value) < MAX_COUNT else None
    return int_of(row, key)


def int_of(row: Mapping[str, Any], key: str) -> int | None:
    """Return the integer under `key`, or None: files may hold anything."""
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if abs(value) < MAX_COUNT else None


def _judge(journal_rows: Iterable[Mapping[str, Any]]) -> Callable[[float, int], bool]:
    """Return what says whether the row of a step that an attempt wrote is live."""
    resumes = sorted(
        (attempt, step)
        for row in journal_rows
        if row.get("event") == "resumed"
        and (attempt := int_of(row, "attempt")) is not None
        and (step := number_of(row, "step")) is not None
    )
    attempts = [attempt for attempt, _ in resumes]
    lowest = [math.inf] * (len(resumes) + 1)  # the lowest step resumed at, from there on
    for index in range(len(resumes) - 1, -1, -1):
        lowest[index] = min(lowest[index + 1], resumes[index][1])
    return lambda step, attempt: step <= lowest[bisect_right(attempts, attempt)]
