"""What was found out about each rung, as the rows of a table. Pure.

Layer: supervise. Imports core only.
"""

from dataclasses import dataclass
from typing import Final

from evertrain.core.clock import human_duration
from evertrain.supervise.ladder import survey
from evertrain.supervise.ladder.choice import Outlook, look
from evertrain.supervise.ladder.rung import Ladder
from evertrain.supervise.ladder.standing import View

HEAD: Final = (
    "rung", "trained", "steps/s", "crashes", "crashes/h (95 %)", "net steps/h (95 %)", "verdict"
)  # fmt: skip
_HOUR_S: Final = 3600.0
_MANY: Final = 10
_LOW, _HIGH = 0.025, 0.975  # the ends of a 95 % interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One rung.

    Attributes:
        name: Its name.
        settings: What it sets.
        trained_s: Training that was seen of it, seconds.
        crashes: Crashes that count.
        steps_per_s: Measured speed, or None.
        crashes_per_h: The rate that is expected, and the ends of its 95 % interval; None where
            nothing was seen.
        net_per_h: Net steps an hour that are expected, and the ends of that interval, or None.
        verdict: For people.
    """

    name: str
    settings: str
    trained_s: float
    crashes: float
    steps_per_s: float | None
    crashes_per_h: tuple[float, float, float] | None
    net_per_h: tuple[float, float, float] | None
    verdict: str


def lines_of(view: View, ladder: Ladder) -> list[Line]:
    """Return a line for each rung, most aggressive first."""
    outlook, best = look(view), recommended(view)
    return [_line(view, ladder, outlook, rung, best) for rung in range(len(ladder.rungs))]


def cells(line: Line) -> tuple[str, ...]:
    """Return `line` as texts under `HEAD`."""
    return (
        line.name,
        human_duration(line.trained_s),
        "-" if line.steps_per_s is None else f"{line.steps_per_s:.3g}",
        f"{line.crashes:.3g}",
        "-" if line.crashes_per_h is None else _range(line.crashes_per_h),
        "-" if line.net_per_h is None else _range(line.net_per_h),
        line.verdict,
    )


def _range(numbers: tuple[float, float, float]) -> str:
    middle, low, high = (f"{n:.2g}" if n < _MANY else f"{n:,.0f}" for n in numbers)
    return f"{middle} ({low} to {high})"


def recommended(view: View) -> int | None:
    """Return the rung with the best net progress among the measured ones, or None."""
    net = look(view).net
    measured = [
        rung
        for rung, each in enumerate(view.rungs)
        if each.steps_per_s is not None and not survey.is_futile(view, rung)
    ]
    return max(measured, key=lambda rung: net[rung], default=None)


def _line(view: View, ladder: Ladder, outlook: Outlook, rung: int, best: int | None) -> Line:
    standing = view.rungs[rung]
    seen = standing.exposure_s > 0 or standing.crashes > 0
    rates = outlook.rates
    low, high = (rates.quantile(rung, share) for share in (_LOW, _HIGH))
    net = None
    if standing.steps_per_s is not None:
        worst, top = (survey.net_at(view, outlook, rung, at) for at in (_HIGH, _LOW))
        net = (_HOUR_S * outlook.net[rung], _HOUR_S * worst, _HOUR_S * top)
    return Line(
        name=ladder.rungs[rung].name,
        settings=ladder.rungs[rung].settings,
        trained_s=standing.exposure_s,
        crashes=standing.crashes,
        steps_per_s=standing.steps_per_s,
        crashes_per_h=(_HOUR_S * rates.mean(rung), _HOUR_S * low, _HOUR_S * high) if seen else None,
        net_per_h=net,
        verdict=_verdict(view, outlook, rung, best),
    )


def _verdict(view: View, outlook: Outlook, rung: int, best: int | None) -> str:
    standing = view.rungs[rung]
    if standing.is_out:
        return "does not work with this command"
    if survey.is_futile(view, rung):
        return "never ended a step"
    if standing.steps_per_s is None:
        return "not measured" if standing.lasted_s <= 0 else "no step seen"
    if best is None or rung == best:
        return "best"
    here = survey.net_at(view, outlook, rung, survey.LOW)
    there = survey.net_at(view, outlook, best, survey.HIGH)
    if here >= there:
        return "not told apart from the best"
    return "crashes too often" if rung < best else "slower than its safety is worth"
