"""What the journal tells of a ladder: three events carry everything.

`rung` says with which one an attempt begins, `rung_ended` what that attempt showed, and
`calibrated` that the measuring came to an end. So a supervisor that is killed forgets nothing.

Layer: supervise. Imports monitor and core.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Any, Final

from evertrain.core.journal import Row
from evertrain.core.kinds import MAX_COUNT
from evertrain.monitor.attempt import unix_s
from evertrain.supervise.ladder.cost import Costs
from evertrain.supervise.ladder.rung import Ladder
from evertrain.supervise.ladder.standing import Standing, Trial, View

EVENTS: Final = ("rung", "rung_ended", "calibrated")
CRASH, OTHER_CRASH = "crash", "other crash"
# Costs are those of the newest attempts.
_RECENT: Final = 20
# A longer pause is somebody's night, or a clock that was set.
_LONGEST_PAUSE_S: Final = 3600.0


def view_of(rows: Sequence[Row], ladder: Ladder) -> View:
    """Return what `rows` of the journal, oldest first, tell of the rungs of `ladder`.

    Rungs that are no longer in the ladder are passed over.
    """
    costs = costs_of(rows)
    view = View(rungs=tuple(Standing(speed=each.speed) for each in ladder.rungs), costs=costs)
    move = ""
    for row in rows:
        if row.get("event") == "calibrated":
            view = replace(view, measured_s=0.0)
            continue
        rung = ladder.index(row.get("rung"))
        if rung is None:
            continue
        if row.get("event") == "rung":
            move = str(row.get("move"))
            view = view.moved(rung, move)
        elif row.get("event") == "rung_ended":
            view = _ended(view, rung, row, is_measured=move == "measure")
    return view


def _ended(view: View, rung: int, row: Row, *, is_measured: bool) -> View:
    trial = trial_of(row)
    view = view.shown(rung, trial)
    if row.get("is_out") is True:
        view = view.without(rung)
    if is_measured:
        down_s = view.costs.down_s if row.get("end") in {CRASH, OTHER_CRASH} else 0.0
        view = replace(view, measured_s=view.measured_s + trial.lasted_s + down_s)
    return view


def trial_of(row: Row) -> Trial:
    """Return what a row `rung_ended` says; what it does not say well is nothing."""
    return Trial(
        lasted_s=_number(row, "seconds"),
        exposure_s=_number(row, "exposure"),
        steps=_number(row, "steps"),
        busy_s=_number(row, "busy"),
        counts=row.get("counts") is True,
    )


def costs_of(rows: Sequence[Row]) -> Costs:
    """Return what the newest attempts paid for saving and crashing.

    Medians: the clock may have been set between two rows.
    """
    ended = [row for row in rows if row.get("event") == "rung_ended"]
    known = Costs()
    return Costs(
        save_s=_median(ended, "save", known.save_s),
        interval_s=_median(ended, "interval", 0.0) or None,
        down_s=_down_s(rows, known.down_s),
        startup_s=_median(ended, "startup", known.startup_s),
    )


def _median(rows: Sequence[Row], key: str, unknown: float) -> float:
    found = [_number(row, key) for row in rows if key in row][-_RECENT:]
    return median(found) if found else unknown


def _down_s(rows: Sequence[Row], unknown: float) -> float:
    """Return D: from the end of a crashed attempt to the start of the next."""
    pauses: list[float] = []
    ended_s: float | None = None
    for row in rows:
        if row.get("event") == "rung_ended":
            ended_s = unix_s(row.get("time")) if row.get("end") in {CRASH, OTHER_CRASH} else None
        elif row.get("event") == "rung" and ended_s is not None:
            pause_s = (unix_s(row.get("time")) or 0.0) - ended_s
            pauses += [pause_s] if 0 <= pause_s < _LONGEST_PAUSE_S else []
            ended_s = None
    return median(pauses[-_RECENT:]) if pauses else unknown


def _number(row: Row, key: str) -> float:
    value: Any = row.get(key)
    is_number = type(value) in {int, float} and 0 <= value < MAX_COUNT and math.isfinite(value)
    return float(value) if is_number else 0.0
