"""Which rung comes next, while a training runs. Pure.

Down where a safer rung is expected to make more net progress; up where a more aggressive one
is; and up once in a while just to see, after a time of health that doubles with every such
probe that a crash has ended. Between the rungs that were tried and the ones never tried, only
the nearest untried one is in question: its speed is guessed from the others.

Layer: supervise. Imports nothing from evertrain but its neighbors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from evertrain.supervise.ladder.cost import Costs, share_kept
from evertrain.supervise.ladder.posterior import RATES, Posterior, posterior
from evertrain.supervise.ladder.standing import Standing, View

Move = Literal["start", "stay", "down", "up", "probe", "out", "measure"]

# A rung that was never tried is taken to be this much slower than the next faster one.
_GUESS: Final = 0.85
# The first hold-down, in crashes' worth of time, and at least so many seconds.
_HOLD_CRASHES: Final = 20.0
_HOLD_S: Final = 600.0
_MOST_DOUBLINGS: Final = 10
# A probe needs at least this chance to be worth more.
_CHANCE: Final = 0.1
# A healthy training is only disturbed for this much more, once the speed is known this well.
_GAIN: Final = 1.05
_KNOWN_S: Final = 60.0
# The prior counts as much as the time that two crashes cost, seconds at least.
_PRIOR_CRASHES_WORTH: Final = 2.0
_PRIOR_S: Final = 1.0
_MANY: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Which rung the next attempt begins with.

    Attributes:
        rung: From 0.
        move: How it stands to the one before.
        why: For people, in a clause.
    """

    rung: int
    move: Move
    why: str


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be expected of each rung.

    Attributes:
        speeds: Steps a second, measured or guessed; in the ladder's own unit if none is measured.
        rates: What is known of the crash rates.
        net: Expected net progress, in the unit of `speeds`; 0 for a rung that is out.
        best: The rung with the highest.
    """

    speeds: tuple[float, ...]
    rates: Posterior
    net: tuple[float, ...]
    best: int


def prior_s(view: View) -> float:
    """Return the weight of the prior, seconds."""
    return max(_PRIOR_S, _PRIOR_CRASHES_WORTH * view.costs.crash_s)


def look(view: View) -> Outlook:
    """Return what is to be expected of each rung."""
    rates = posterior([each.count for each in view.rungs], prior_s=prior_s(view))
    speeds = speeds_of(view.rungs)
    kept = [rates.mean(rung, _kept(view.costs)) for rung in range(len(speeds))]
    net = [
        0.0 if standing.is_out else speed * share
        for standing, speed, share in zip(view.rungs, speeds, kept, strict=True)
    ]
    eligible = [rung for rung in _in_question(view) if not view.rungs[rung].is_out]
    best = max(eligible, key=lambda rung: net[rung], default=0)
    return Outlook(speeds, rates, tuple(net), best)


def choose(view: View, outlook: Outlook | None = None) -> Turn:
    """Return the rung of the attempt that is about to begin."""
    outlook = outlook or look(view)
    now, best = view.current, outlook.best
    if now is None:
        return _first(view, outlook)
    if view.rungs[now].is_out:
        return Turn(rung=best, move="out", why="the one before does not work here")
    if best > now and view.has_crashed:  # a probe goes on, whatever else ended its attempt
        return Turn(rung=best, move="down", why=_compared(outlook, now, best))
    if best < now and _is_known(view.rungs[now]):
        return Turn(rung=best, move="up", why=_compared(outlook, now, best))
    return probe(view, outlook) or Turn(rung=now, move="stay", why=_expected(view, outlook, now))


def review(view: View) -> Turn | None:
    """Return what a healthy training is worth being stopped for, or None.

    Args:
        view: Including what the running attempt has shown so far.
    """
    now = view.current
    if now is None:
        return None
    outlook = look(view)
    best = outlook.best
    is_clear = outlook.net[best] > _GAIN * outlook.net[now] and _is_known(view.rungs[now])
    if best < now and is_clear:
        return Turn(rung=best, move="up", why=_compared(outlook, now, best))
    return probe(view, outlook)


def probe(view: View, outlook: Outlook) -> Turn | None:
    """Return the try of a more aggressive rung that is due, or None."""
    now = view.current or 0
    up = next((rung for rung in range(now - 1, -1, -1) if not view.rungs[rung].is_out), None)
    if up is None or view.since_s < hold_s(view, up):
        return None
    kept = _kept(view.costs)
    one, other = ([outlook.speeds[rung] * share for share in kept] for rung in (up, up + 1))
    chance = outlook.rates.beats(up, one, other)
    if chance < _CHANCE:
        return None
    why = f"{_hours(view.since_s)} without reason to go down; a chance of {chance:.0%} to be better"
    return Turn(rung=up, move="probe", why=why)


def hold_s(view: View, rung: int) -> float:
    """Return how long another rung has to train before `rung` is tried again, seconds."""
    first_s = max(_HOLD_S, _HOLD_CRASHES * view.costs.crash_s)
    return float(first_s * 2 ** min(_MOST_DOUBLINGS, max(0, view.rungs[rung].left - 1)))


def speeds_of(rungs: Sequence[Standing]) -> tuple[float, ...]:
    """Return the speed of each rung: measured, or as far as the measured ones let guess."""
    measured = [each.steps_per_s for each in rungs]
    known = [index for index, speed in enumerate(measured) if speed is not None]
    if not known:
        return tuple(_expected_speed(rungs, index) for index in range(len(rungs)))
    found = []
    for index, speed in enumerate(measured):
        near = min(known, key=lambda other: abs(other - index))
        ratio = _expected_speed(rungs, index) / _expected_speed(rungs, near)
        found.append(speed if speed is not None else (measured[near] or 0.0) * ratio)
    return tuple(found)


def _expected_speed(rungs: Sequence[Standing], index: int) -> float:
    declared = [each.speed for each in rungs]
    if all(speed is not None for speed in declared):
        return declared[index] or 1.0
    return float(_GUESS**index)


def _in_question(view: View) -> list[int]:
    """Return the rungs down to the safest that was tried, and the next one."""
    tried = [
        rung
        for rung, each in enumerate(view.rungs)
        if each.exposure_s > 0 or each.crashes > 0 or rung == view.current
    ]
    last = max(tried, default=-1)
    after = [r for r in range(last + 1, len(view.rungs)) if not view.rungs[r].is_out][:1]
    return [*range(last + 1), *after]


def _first(view: View, outlook: Outlook) -> Turn:
    if all(each.exposure_s == 0 for each in view.rungs):
        usable = [rung for rung, each in enumerate(view.rungs) if not each.is_out]
        return Turn(
            rung=min(usable, default=0), move="start", why="the most aggressive comes first"
        )
    return Turn(rung=outlook.best, move="start", why=_expected(view, outlook, outlook.best))


def _is_known(standing: Standing) -> bool:
    return standing.busy_s >= _KNOWN_S or standing.crashes > 0


@lru_cache(maxsize=4)
def _kept(costs: Costs) -> tuple[float, ...]:
    """Return the share of a speed that each of `RATES` leaves."""
    return tuple(share_kept(rate, costs) for rate in RATES)


def _compared(outlook: Outlook, now: int, best: int) -> str:
    there = f"{outlook.net[best]:.3g} net steps/s expected instead of {outlook.net[now]:.3g}"
    return f"{there}; {_rate(outlook, now)} on the one before"


def _expected(view: View, outlook: Outlook, rung: int) -> str:
    if view.rungs[rung].exposure_s <= 0:
        return "nothing is known of it yet"
    return f"{outlook.net[rung]:.3g} net steps/s expected, {_rate(outlook, rung)}"


def _rate(outlook: Outlook, rung: int) -> str:
    low, high = (_per_hour(outlook.rates.quantile(rung, share)) for share in (0.025, 0.975))
    return f"{low} to {high} crashes/h"


def _per_hour(rate: float) -> str:
    """Return crashes a second as people say them: 0.012, 1.5, 320 an hour."""
    return f"{3600 * rate:.2g}" if 3600 * rate < _MANY else f"{3600 * rate:,.0f}"


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours >= 1 else f"{seconds / 60:.0f} m"


def review_s(view: View, lived_s: float) -> float:
    """Return when to look at a healthy training again, in seconds from now.

    Args:
        view: As it was when the attempt began.
        lived_s: How long it has trained since, seconds.
    """
    return max(_KNOWN_S, 4 * view.costs.crash_s, 0.25 * (view.since_s + lived_s))
