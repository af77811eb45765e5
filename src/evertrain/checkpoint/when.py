"""When to save: pure rules that answer with a reason, or with None.

Layer: checkpoint. Imports core only.
"""

import math
from dataclasses import dataclass
from typing import Final, Protocol

from evertrain.core.clock import human_duration
from evertrain.core.errors import ConfigError

# However cheap a save is, more often than this serves nobody: seconds, and of a life that is
# short, saves; a crash loses half the time between two, so at most a fortieth of it.
CALM_S: Final = 5.0
SAVES_A_LIFE: Final = 20
LEAST_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A boundary between two steps, as a rule sees it.

    Attributes:
        step: Step that just ended.
        previous_step: Step that ended before it; `stride` or more lie between.
        last_save_step: Step of the newest checkpoint; 0 if there is none.
        since_save_s: Seconds since it was saved, or since the start.
        cost_s: What a save costs the loop, seconds, as measured. None: not measured yet.
        mtbf_s: Mean time between crashes of this run, seconds. None: it never crashed.
        unit: What a step is called.
        is_saving: Whether the last save is still being written.
    """

    step: int
    previous_step: int
    last_save_step: int = 0
    since_save_s: float = 0.0
    cost_s: float | None = None
    mtbf_s: float | None = None
    unit: str = "step"
    is_saving: bool = False


@dataclass(frozen=True, slots=True)
class Quiet:
    """How long a rule is sure to say nothing: a fast loop need not ask it at each step.

    Attributes:
        before_step: It says nothing at steps below this one, as long as time does not tell it to.
        for_s: It says nothing for so many seconds, as long as steps do not tell it to.
    """

    before_step: float = math.inf
    for_s: float = math.inf


# What is known of a rule that does not say: it may speak at the next step.
RESTLESS: Final = Quiet(0, 0.0)


class When(Protocol):
    """A rule that says whether something is due: a pure function."""

    def __call__(self, moment: Moment, /) -> str | None:
        """Return why it is due now, or None."""


@dataclass(frozen=True, slots=True)
class Every:
    """A `When`: each multiple of a number of steps, or each stretch of time.

    Attributes:
        steps: Steps between two moments, or None.
        period_s: Seconds between two saves, or None.
    """

    steps: int | None
    period_s: float | None

    def __call__(self, moment: Moment, /) -> str | None:
        """See `When`. A multiple that a stride jumps over counts."""
        if self.steps is not None:
            is_due = moment.step // self.steps > moment.previous_step // self.steps
            return f"every {self.steps} {moment.unit}s" if is_due else None
        period_s = self.period_s or 0.0
        is_due = moment.since_save_s >= period_s
        return f"{human_duration(period_s)} since the last save" if is_due else None

    def quiet(self, moment: Moment) -> Quiet:
        """See `Quiet`."""
        if self.steps is not None:
            return Quiet(before_step=(moment.step // self.steps + 1) * self.steps)
        return Quiet(for_s=(self.period_s or 0.0) - moment.since_save_s)

    def __str__(self) -> str:
        """Return "every(steps=10)"."""
        if self.steps is not None:
            return f"every(steps={self.steps})"
        return f"every(seconds={self.period_s:g})"


@dataclass(frozen=True, slots=True)
class WhenAny:
    """A `When`: whenever one of several rules says so.

    Attributes:
        rules: The rules.
    """

    rules: tuple[When, ...]

    def __call__(self, moment: Moment, /) -> str | None:
        """See `When`."""
        reasons = [reason for rule in self.rules if (reason := rule(moment)) is not None]
        return ", ".join(reasons) or None

    def quiet(self, moment: Moment) -> Quiet:
        """See `Quiet`."""
        each = [quiet_of(rule, moment) for rule in self.rules]
        return Quiet(min(one.before_step for one in each), min(one.for_s for one in each))

    def __str__(self) -> str:
        """Return "when_any(every(steps=10), every(seconds=300))"."""
        return f"when_any({', '.join(map(str, self.rules))})"


@dataclass(frozen=True, slots=True)
class Auto:
    """A `When`: as often as an overhead budget and the run's crashes make sensible.

    Attributes:
        overhead: Largest share of the time that saving may take.
    """

    overhead: float

    def interval_s(self, moment: Moment) -> float:
        """Return the seconds between two saves.

        Source:
            Young, Communications of the ACM 17(9), 1974: sqrt(2 C MTBF)
            loses the least time; the budget bounds it from below.
        """
        cost_s = max(0.0, moment.cost_s or 0.0)
        best_s = math.sqrt(2.0 * cost_s * moment.mtbf_s) if moment.mtbf_s else 0.0
        return max(cost_s / self.overhead, best_s, _floor_s(moment.mtbf_s))

    def __call__(self, moment: Moment, /) -> str | None:
        """See `When`. It never asks while a save is in flight."""
        interval_s = self.interval_s(moment)
        if moment.is_saving or moment.since_save_s < interval_s:
            return None
        cost = "unknown" if moment.cost_s is None else f"{moment.cost_s:.3f} s"
        return (
            f"auto: {human_duration(interval_s)} since the last save"
            f" (a save costs {cost}, budget {self.overhead:.1%})"
        )

    def quiet(self, moment: Moment) -> Quiet:
        """See `Quiet`."""
        return Quiet(for_s=self.interval_s(moment) - moment.since_save_s)

    def why(self, moment: Moment) -> str:
        """Return what decides the interval, for people."""
        interval_s, cost_s = self.interval_s(moment), moment.cost_s or 0.0
        if interval_s <= _floor_s(moment.mtbf_s):
            return f"a save costs {cost_s:.3f} s; more often serves nobody"
        if interval_s <= cost_s / self.overhead:
            return f"a save costs {cost_s:.3f} s, and may cost {self.overhead:.1%} of the time"
        life = human_duration(moment.mtbf_s or 0.0)
        return f"a save costs {cost_s:.3f} s, and with a crash every {life} this loses the least"

    def __str__(self) -> str:
        """Return "auto(overhead=0.01)"."""
        return f"auto(overhead={self.overhead:g})"


def _floor_s(mtbf_s: float | None) -> float:
    """Return the least time between two saves, seconds."""
    if mtbf_s is None:
        return CALM_S
    return min(CALM_S, max(LEAST_S, mtbf_s / SAVES_A_LIFE))


def quiet_of(rule: When, moment: Moment) -> Quiet:
    """Return how long `rule` is sure to say nothing. One of the user's may speak at any step."""
    quiet = getattr(rule, "quiet", None)
    return quiet(moment) if callable(quiet) else RESTLESS


def every(
    *,
    steps: int | None = None,
    seconds: float | None = None,
    minutes: float | None = None,
    hours: float | None = None,
) -> Every:
    """Return the rule: each multiple of `steps`, or after each stretch of time.

    Exactly one argument is given. Steps fire on crossing a multiple, so a loop
    that advances by 2,048 misses none.

    Raises:
        ConfigError: None or several are given, or one is not positive.
    """
    given = {
        name: value
        for name, value in (
            ("steps", steps),
            ("seconds", seconds),
            ("minutes", minutes),
            ("hours", hours),
        )
        if value is not None
    }
    if len(given) != 1:
        raise ConfigError(
            f"every() got {', '.join(given) or 'nothing'}.",
            "a rule counts one thing.",
            "Give one: every(steps=100). Combine two: when_any(every(...), every(...))",
        )
    [(name, value)] = given.items()
    if not _is_positive(value, is_whole=name == "steps"):
        raise ConfigError(
            f"every({name}={value!r}).",
            "it must be a whole number, 1 or more." if name == "steps" else "it must be positive.",
            "Write for example every(steps=100) or every(minutes=5).",
        )
    if name == "steps":
        return Every(int(value), None)
    return Every(None, float(value) * {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0}[name])


def when_any(*rules: When) -> WhenAny:
    """Return the rule: whenever one of `rules` says so.

    Raises:
        ConfigError: There is no rule, or one is none.
    """
    given: tuple[object, ...] = rules
    odd = [rule for rule in given if not callable(rule)]
    if odd:
        raise ConfigError(
            f"when_any({odd[0]!r:.80}) has no rule.",
            "a rule is a function from a moment to a reason, or to None.",
            "Give it rules: when_any(every(steps=100), every(minutes=5))",
        )
    if not rules:
        raise ConfigError(
            "when_any() has no rule.",
            "it would never save.",
            "Give it rules: when_any(every(steps=100), every(minutes=5))",
        )
    return WhenAny(rules)


def auto(overhead: float = 0.01) -> Auto:
    """Return the rule: the interval that loses the least time, within an overhead budget.

    Args:
        overhead: Largest share of the time that saving may take, above 0, at most 1.

    Raises:
        ConfigError: It is outside.
    """
    if not 0.0 < overhead <= 1.0:
        raise ConfigError(
            f"auto(overhead={overhead!r}).",
            "it is a share of the training time, above 0 and at most 1.",
            "Write auto(overhead=0.01) for one percent.",
        )
    return Auto(float(overhead))


def _is_positive(value: object, *, is_whole: bool) -> bool:
    kinds = (int,) if is_whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        return False
    return math.isfinite(value) and value > 0 and (not is_whole or value >= 1)
