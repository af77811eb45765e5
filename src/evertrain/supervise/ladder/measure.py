"""What an attempt shows of its rung: training time, steps, and what saves and starts cost.

A `Run` tells by its journal and its heartbeat, any other command by the files that it saves.

Layer: supervise. Imports core only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

from evertrain.core.journal import Row
from evertrain.monitor.attempt import unix_s
from evertrain.monitor.metrics import number_of
from evertrain.supervise.foreign import Found
from evertrain.supervise.ladder.standing import Trial

_FOLLOWS_THE_RATE: Final = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one attempt showed.

    Attributes:
        trial: For the rates and the speeds.
        save_s: How long a save held it up, seconds; None is unknown.
        interval_s: Seconds between its saves, where the program decides; None otherwise.
        startup_s: Seconds to its first step; None where it had none, or is unknown.
    """

    trial: Trial
    save_s: float | None = None
    interval_s: float | None = None
    startup_s: float | None = None


def shown_by_run(
    rows: Sequence[Row], lasted_s: float, steps: float, silent_s: float = 0.0
) -> Shown:
    """Return what a `Run` showed. Pure.

    Args:
        rows: What the journal says of the attempt, oldest first, its launch included.
        lasted_s: How long it lasted, or has lasted, seconds.
        steps: How far it came.
        silent_s: How long it was without a sign of life at the end, seconds: it hung.
    """
    startup_s = _startup_s(rows, lasted_s)
    if startup_s is None:
        return Shown(trial=Trial(lasted_s=lasted_s))
    saves = [row for row in rows if row.get("event") == "saved"]
    blocked = [number_of(row, "blocked") or 0.0 for row in saves if "blocked" in row]
    exposure_s = max(0.0, lasted_s - startup_s)
    busy_s = max(0.0, exposure_s - silent_s - sum(blocked))
    return Shown(
        trial=Trial(lasted_s=lasted_s, exposure_s=exposure_s, steps=steps, busy_s=busy_s),
        save_s=median(blocked) if blocked else None,
        interval_s=None if _follows_the_rate(rows) else _gap_s(_times_s(saves)),
        startup_s=startup_s,
    )


def shown_by_files(
    saved: Sequence[Found], began_at_s: float, lasted_s: float, steps: float
) -> Shown:
    """Return what a command showed that saves files of its own. Pure.

    Its speed is that of its saves: what it did after the last one is not known. How long it
    takes to start shows only once it has saved twice: its first save comes so much later.

    Args:
        saved: What it saved, oldest first.
        began_at_s: Unix time of its start, seconds.
        lasted_s: How long it lasted, or has lasted, seconds.
        steps: How far it came.
    """
    times_s = [each.changed_at_s for each in saved]
    gap_s = _gap_s(times_s)
    startup_s = None if gap_s is None else min(lasted_s, max(0.0, times_s[0] - began_at_s - gap_s))
    exposure_s = lasted_s - (startup_s or 0.0)
    until_s = min(lasted_s, times_s[-1] - began_at_s) if times_s else lasted_s
    busy_s = max(0.0, until_s - (startup_s or 0.0))
    return Shown(
        trial=Trial(lasted_s=lasted_s, exposure_s=exposure_s, steps=steps, busy_s=busy_s),
        interval_s=gap_s,
        startup_s=startup_s,
    )


def _startup_s(rows: Sequence[Row], lasted_s: float) -> float | None:
    """Return how long it took from the launch to the first step; None if it came to none."""
    launched = next((row for row in rows if row.get("event") == "launched"), None)
    resumed = next((row for row in rows if row.get("event") == "resumed"), None)
    if resumed is None:
        return None
    from_s, to_s = unix_s((launched or resumed).get("time")), unix_s(resumed.get("time"))
    if from_s is None or to_s is None:
        return 0.0
    return min(lasted_s, max(0.0, to_s - from_s))  # the clock may have been set


def _follows_the_rate(rows: Sequence[Row]) -> bool:
    rules = [str(row.get("rule")) for row in rows if row.get("event") == "paced"]
    return bool(rules) and rules[-1].startswith(_FOLLOWS_THE_RATE)


def _times_s(rows: Sequence[Row]) -> list[float]:
    return [at_s for row in rows if (at_s := unix_s(row.get("time"))) is not None]


def _gap_s(times_s: Sequence[float]) -> float | None:
    """Return the usual time between two of `times_s`, or None where that cannot be said."""
    gaps_s = [after - before for before, after in pairwise(times_s) if after > before]
    return median(gaps_s) if gaps_s else None
