"""What is known of each rung of a ladder, and how an attempt adds to it. Pure.

What was long ago counts less: the weight of an attempt halves with every day of training
since, so that a machine or a simulator which has changed is found out.

Layer: supervise. Imports nothing from evertrain but its neighbors.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from evertrain.supervise.ladder.cost import Costs
from evertrain.supervise.ladder.posterior import Count

HALF_LIFE_S: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What one attempt showed of its rung.

    Attributes:
        lasted_s: How long it lasted, seconds.
        exposure_s: How long it trained, seconds: not while it started.
        steps: How far it came, counting what is done again, too.
        busy_s: In how much of that time, seconds; without the saves.
        counts: Whether it ended with a crash that a setting can cause.
    """

    lasted_s: float = 0.0
    exposure_s: float = 0.0
    steps: float = 0.0
    busy_s: float = 0.0
    counts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """All that is known of one rung. The numbers fade, so none is a whole one.

    Attributes:
        crashes: Crashes that count.
        exposure_s: Training, seconds.
        steps: Steps done.
        busy_s: Time that they took, seconds.
        lasted_s: Time that its attempts took, with their starts, seconds.
        left: How often the training was driven down from it. Fades like the rest.
        is_out: Whether it does not work at all with this command.
        speed: What the ladder expects of it, or None.
    """

    crashes: float = 0.0
    exposure_s: float = 0.0
    steps: float = 0.0
    busy_s: float = 0.0
    lasted_s: float = 0.0
    left: float = 0.0
    is_out: bool = False
    speed: float | None = None

    @property
    def count(self) -> Count:
        """Its crashes, for the posterior."""
        return Count(self.crashes, self.exposure_s)

    @property
    def steps_per_s(self) -> float | None:
        """Its measured speed, or None."""
        return self.steps / self.busy_s if self.steps > 0 and self.busy_s > 0 else None

    def plus(self, trial: Trial) -> "Standing":
        """Return it with one more attempt."""
        return replace(
            self,
            crashes=self.crashes + trial.counts,
            exposure_s=self.exposure_s + trial.exposure_s,
            steps=self.steps + trial.steps,
            busy_s=self.busy_s + trial.busy_s,
            lasted_s=self.lasted_s + trial.lasted_s,
        )

    def faded(self, share: float) -> "Standing":
        """Return it as so long ago that only `share` of it counts."""
        return replace(
            self,
            crashes=self.crashes * share,
            exposure_s=self.exposure_s * share,
            steps=self.steps * share,
            busy_s=self.busy_s * share,
            lasted_s=self.lasted_s * share,
            left=self.left * share,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What there is to decide from.

    Attributes:
        rungs: What is known of each, most aggressive first.
        current: The one in force, from 0, or None at the very beginning.
        since_s: Training on it since it came into force, seconds.
        has_crashed: Whether a crash that counts came in that time.
        costs: What saving and crashing cost.
        measured_s: Time that `evertrain calibrate` has spent since it last came to an end, seconds.
    """

    rungs: tuple[Standing, ...]
    current: int | None = None
    since_s: float = 0.0
    has_crashed: bool = False
    costs: Costs = field(default_factory=Costs)
    measured_s: float = 0.0

    def shown(self, rung: int, trial: Trial) -> "View":
        """Return it after an attempt on `rung`; what was before fades."""
        share = 0.5 ** (trial.exposure_s / HALF_LIFE_S)
        rungs = [each.faded(share) for each in self.rungs]
        rungs[rung] = rungs[rung].plus(trial)
        view = replace(self, rungs=tuple(rungs))
        if rung != self.current:
            return view
        has_crashed = self.has_crashed or trial.counts
        return replace(view, since_s=self.since_s + trial.exposure_s, has_crashed=has_crashed)

    def moved(self, rung: int, move: str) -> "View":
        """Return it with `rung` in force.

        Args:
            rung: The one that begins.
            move: Why, as in `Turn.move`.
        """
        now, rungs = self.current, list(self.rungs)
        if move == "down" and now is not None:
            rungs[now] = replace(rungs[now], left=rungs[now].left + 1)
        if rung == now:
            return self
        return replace(self, rungs=tuple(rungs), current=rung, since_s=0.0, has_crashed=False)

    def without(self, rung: int) -> "View":
        """Return it with `rung` out of use."""
        rungs = list(self.rungs)
        rungs[rung] = replace(rungs[rung], is_out=True)
        return replace(self, rungs=tuple(rungs))
