"""Trainings on ladders whose rates are known, against rules that are simpler.

Lives are drawn from exponential distributions, saves happen every sqrt(2*C/rate), and a crash
loses what was not saved: nothing here uses the formula that the rules under test believe in.
What a fixed rung makes is known exactly.

Usage: PYTHONPATH=tests python -m supervise.ladder.simulation [--ladders 200] [--hours 24]
"""

import argparse
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import mean

from evertrain.supervise.ladder import choice, survey
from evertrain.supervise.ladder.choice import Turn
from evertrain.supervise.ladder.cost import Costs
from evertrain.supervise.ladder.standing import Standing, Trial, View

# A graceful stop saves and ends, seconds.
STOP_S = 2.0
# What a measured speed is off by, about.
NOISE = 0.03
BUDGET_HOURS = 2.0

Rule = Callable[["Truth", float, random.Random], "Result"]


@dataclass(frozen=True)
class Truth:
    """A ladder as it really is.

    Attributes:
        speeds: Steps a second of each rung, most aggressive first.
        rates: Crashes a second of each rung.
        costs: What saving and crashing cost.
    """

    speeds: tuple[float, ...]
    rates: tuple[float, ...]
    costs: Costs

    def interval_s(self, rung: int) -> float:
        """Return how often a training saves on `rung`, seconds."""
        return max(1.0, math.sqrt(2 * self.costs.save_s / self.rates[rung]))

    def net(self, rung: int) -> float:
        """Return the net steps a second of a training that stays on `rung`, exactly.

        Source:
            Daly, Future Generation Computer Systems 22(3), 2006, eq. 20 without its expansion:
            the mean time to get T seconds of work done is (1/rate + D + R) * (e^(rate*(T+C)) - 1).
        """
        rate, work_s, costs = self.rates[rung], self.interval_s(rung), self.costs
        spent_s = (1 / rate + costs.crash_s) * math.expm1(rate * (work_s + costs.save_s))
        return self.speeds[rung] * work_s / spent_s

    @property
    def best(self) -> float:
        """The net steps a second of the best rung."""
        return max(self.net(rung) for rung in range(len(self.rates)))


@dataclass(frozen=True)
class Result:
    """What a rule made of a ladder.

    Attributes:
        progress: Net steps a second over the whole time, learning included.
        rung: The rung that it ends with.
    """

    progress: float
    rung: int


def draw(rng: random.Random) -> Truth:
    """Return a ladder: 3 to 5 rungs, rates from one in hours to hundreds an hour."""
    startup_s, save_s = log_uniform(rng, 5.0, 300.0), log_uniform(rng, 0.05, 10.0)
    costs = Costs(save_s=save_s, down_s=5.0, startup_s=startup_s)
    speeds, rates = [10.0], [log_uniform(rng, 0.01, 5.0) / costs.crash_s]
    for _ in range(rng.randint(2, 4)):
        speeds.append(speeds[-1] * rng.uniform(0.4, 0.97))
        rates.append(rates[-1] * log_uniform(rng, 0.02, 0.9))
    return Truth(tuple(speeds), tuple(rates), costs)


def log_uniform(rng: random.Random, low: float, high: float) -> float:
    """Return a number between `low` and `high`, each factor being as likely."""
    return float(low * (high / low) ** rng.random())


@dataclass
class Training:
    """A training as the rules see it, and its clock."""

    truth: Truth
    rng: random.Random
    view: View
    now_s: float = 0.0
    steps: float = 0.0

    @classmethod
    def begin(cls, truth: Truth, rng: random.Random) -> "Training":
        """Return one that has not begun."""
        rungs = tuple(Standing() for _ in truth.rates)
        return cls(truth, rng, View(rungs=rungs, costs=truth.costs))

    def attempt(self, turn: Turn, review: Callable[[View], object], until_s: float) -> None:
        """Train on the rung of `turn` until it crashes, `review` wants to move, or time is up."""
        truth, rung = self.truth, turn.rung
        self.view = self.view.moved(rung, turn.move)
        life_s = self.rng.expovariate(truth.rates[rung])
        left_s = until_s - self.now_s
        lived_s, is_moved = 0.0, False
        while not is_moved and lived_s < min(life_s, left_s):
            lived_s = min(life_s, left_s, lived_s + choice.review_s(self.view, lived_s))
            if lived_s < min(life_s, left_s):
                is_moved = bool(review(self.view.shown(rung, self.trial(rung, lived_s))))
        crashed = not is_moved and life_s <= left_s
        cycle_s = truth.interval_s(rung) + truth.costs.save_s
        saves = lived_s // cycle_s if crashed else lived_s / cycle_s
        self.steps += saves * truth.interval_s(rung) * truth.speeds[rung]
        trial = replace(self.trial(rung, lived_s), counts=crashed)
        self.view = self.view.shown(rung, trial)
        pause_s = truth.costs.crash_s if crashed else STOP_S + truth.costs.startup_s
        self.now_s += lived_s + pause_s

    def trial(self, rung: int, lived_s: float) -> Trial:
        """Return what `lived_s` seconds of training show."""
        cycle_s = self.truth.interval_s(rung) + self.truth.costs.save_s
        busy_s = lived_s * self.truth.interval_s(rung) / cycle_s
        speed = self.truth.speeds[rung] * math.exp(self.rng.gauss(0, NOISE))
        return Trial(
            lasted_s=lived_s + self.truth.costs.startup_s,
            exposure_s=lived_s,
            steps=speed * busy_s,
            busy_s=busy_s,
        )


def online(truth: Truth, hours: float, rng: random.Random) -> Result:
    """The supervisor's rule."""
    training, end_s = Training.begin(truth, rng), 3600 * hours
    while training.now_s < end_s:
        training.attempt(choice.choose(training.view), choice.review, end_s)
    return Result(training.steps / end_s, choice.look(training.view).best)


def calibrated(truth: Truth, hours: float, rng: random.Random) -> Result:
    """`evertrain calibrate` for two hours, however long the training is."""
    training, budget_s = Training.begin(truth, rng), 3600 * min(hours, BUDGET_HOURS)
    while training.now_s < budget_s and (turn := survey.choose(training.view, budget_s)):
        training.attempt(turn, lambda view: survey.is_over(view, budget_s), budget_s)
    view = training.view
    return Result(training.steps / max(1.0, training.now_s), choice.look(view).best)


def step_down_at_a_crash(truth: Truth, hours: float, rng: random.Random) -> Result:
    """The usual rule: each crash is answered with the next safer setting, for good."""
    training, end_s, rung = Training.begin(truth, rng), 3600 * hours, 0
    while training.now_s < end_s:
        before = training.view.rungs[rung].crashes
        training.attempt(Turn(rung=rung, move="stay", why=""), lambda _: None, end_s)
        if training.view.rungs[rung].crashes > before * 0.5:
            rung = min(rung + 1, len(truth.rates) - 1)
    return Result(training.steps / end_s, rung)


def fixed(rung: int) -> Rule:
    """Return the rule that stays on `rung`, counted from the end if negative."""

    def stay(truth: Truth, hours: float, rng: random.Random) -> Result:
        at = rung % len(truth.rates)
        return Result(truth.net(at), at)

    return stay


RULES: dict[str, Rule] = {
    "ladder, online": online,
    f"calibrate, {BUDGET_HOURS:g} hours": calibrated,
    "one rung down at each crash": step_down_at_a_crash,
    "always the most aggressive": fixed(0),
    "always the safest": fixed(-1),
}


@dataclass(frozen=True)
class Score:
    """How a rule did on many ladders, as shares of what the best rung makes.

    Attributes:
        choice: Mean net progress of the rung it ends with.
        progress: Mean net progress over the whole time, learning included.
        worst: Nine ladders of ten did as well as this with that rung, or better.
    """

    choice: float
    progress: float
    worst: float


def score(rule: Rule, *, ladders: int, hours: float, seed: int = 0) -> Score:
    """Return how `rule` does on `ladders` drawn from `seed`."""
    chosen, made = [], []
    for number in range(ladders):
        truth = draw(random.Random(f"{seed} {number}"))
        result = rule(truth, hours, random.Random(f"{seed} {number} lives"))
        chosen.append(truth.net(result.rung) / truth.best)
        made.append(result.progress / truth.best)
    return Score(mean(chosen), mean(made), sorted(chosen)[len(chosen) // 10])


def main() -> None:
    """Print the table of docs/ladder.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ladders", type=int, default=200)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    print(f"{words.ladders} ladders, {words.hours:g} hours each, seed {words.seed}\n")
    print("| rule | rung that it ends with | nine ladders of ten: at least | the whole time |")
    print("|---|---|---|---|")
    for name, rule in RULES.items():
        found = score(rule, ladders=words.ladders, hours=words.hours, seed=words.seed)
        progress = "-" if rule is calibrated else f"{found.progress:.1%}"
        cells = [name, f"{found.choice:.1%}", f"{found.worst:.0%}", progress]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
