"""What is known of the crash rates of a ladder, given its crashes. Pure.

Crashes come as a Poisson process; what is known of a rate before its first crash is a Gamma
distribution, and a safer rung crashes no more often than a more aggressive one. Without that
last clause each rate would have a Gamma distribution of its own. With it, the rates are a
chain of ordered variables: on a grid of rates, one pass down the ladder and one up it give
the exact distribution of each, and so does a pass over pairs for "is the next one better?".

Layer: supervise. Imports nothing from evertrain.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

# Jeffreys' prior for a rate: half a crash, in next to no time.
PRIOR_CRASHES: Final = 0.5
_LOWEST, _HIGHEST, _COUNT = 1e-8, 10.0, 145
# Crashes a second, ascending: from one in three years to ten a second, 16 a decade.
RATES: Final = tuple(
    _LOWEST * (_HIGHEST / _LOWEST) ** (index / (_COUNT - 1)) for index in range(_COUNT)
)
_LOGS: Final = tuple(math.log(rate) for rate in RATES)

Weights = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """What was seen of one rung.

    Attributes:
        crashes: How many; with fading memory not a whole number.
        exposure_s: In how much training, seconds.
    """

    crashes: float = 0.0
    exposure_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is known of each rung's crash rate.

    Attributes:
        marginals: For each rung, most aggressive first, the probability of each of `RATES`.
        above: For each rung, the weight of each rate with all more aggressive rungs added up.
        below: The same with all safer rungs.
    """

    marginals: tuple[Weights, ...]
    above: tuple[Weights, ...]
    below: tuple[Weights, ...]

    def mean(self, rung: int, worth: Sequence[float] = RATES) -> float:
        """Return the expected rate of `rung`, or of what it is worth at each of `RATES`."""
        weights = self.marginals[rung]
        return sum(weight * each for weight, each in zip(weights, worth, strict=True))

    def quantile(self, rung: int, share: float) -> float:
        """Return the rate below which the rate of `rung` lies with probability `share`."""
        sums = list(accumulate(self.marginals[rung]))
        at = min(bisect_right(sums, share * sums[-1]), _COUNT - 1)
        before = sums[at - 1] if at else 0.0
        part = (share * sums[-1] - before) / (sums[at] - before) if sums[at] > before else 1.0
        # Each rate stands for the stretch around it.
        low = _LOGS[max(0, at - 1)] + _LOGS[at]
        high = _LOGS[at] + _LOGS[min(at + 1, _COUNT - 1)]
        return math.exp((low + part * (high - low)) / 2)

    def beats(self, rung: int, one: Sequence[float], other: Sequence[float]) -> float:
        """Return the probability that `rung` is worth more than the next safer one.

        Args:
            rung: The more aggressive of the two; not the last.
            one: What it is worth at each of `RATES`; falls as the rate rises.
            other: The same of the safer one.
        """
        worth = [-each for each in one]
        upper = [0.0, *accumulate(self.above[rung])]
        better = total = 0.0
        for index, weight in enumerate(self.below[rung + 1]):
            end = bisect_left(worth, -other[index])
            half = self.above[rung][index] / 2  # at the same point of the grid, half is above
            total += weight * (upper[-1] - upper[index] - half)
            better += weight * max(0.0, upper[end] - upper[index] - half)
        return better / total if total > 0 else 0.0


def posterior(counts: Sequence[Count], *, prior_s: float) -> Posterior:
    """Return what `counts` say of the rates, most aggressive rung first.

    Args:
        counts: What was seen of each rung.
        prior_s: Training in which `PRIOR_CRASHES` are imagined of each rung, seconds above 0.
    """
    own = [_likelihood(count, prior_s) for count in counts]
    above = _pass(own, from_high=True)
    below = _pass(own[::-1], from_high=False)[::-1]
    marginals = []
    for mine, up, down in zip(own, above, below, strict=True):
        products = [
            a * b / weight if weight > 0 else 0.0
            for a, b, weight in zip(up, down, mine, strict=True)
        ]
        marginals.append(_scaled(products))
    return Posterior(tuple(marginals), above, below)


def _likelihood(count: Count, prior_s: float) -> Weights:
    """Return the Gamma density of one rung alone, in steps of the logarithm."""
    crashes, exposure_s = count.crashes + PRIOR_CRASHES, count.exposure_s + prior_s
    logs = [crashes * log - exposure_s * rate for log, rate in zip(_LOGS, RATES, strict=True)]
    highest = max(logs)
    return tuple(math.exp(max(-700.0, log - highest)) for log in logs)


def _pass(own: Sequence[Weights], *, from_high: bool) -> tuple[Weights, ...]:
    """Return each rung's weights times what all the rungs before it allow."""
    found: list[Weights] = []
    for mine in own:
        allowed = _beyond(found[-1], from_high=from_high) if found else (1.0,) * _COUNT
        found.append(_scaled([a * b for a, b in zip(mine, allowed, strict=True)]))
    return tuple(found)


def _beyond(weights: Weights, *, from_high: bool) -> list[float]:
    """Return for each rate how much of `weights` lies beyond it.

    Of what lies at the same point of the grid, half does.
    """
    ordered = weights[::-1] if from_high else weights
    sums = [total - weight / 2 for total, weight in zip(accumulate(ordered), ordered, strict=True)]
    return sums[::-1] if from_high else sums


def _scaled(weights: Sequence[float]) -> Weights:
    total = sum(weights)
    return tuple(weight / total for weight in weights) if total > 0 else tuple(weights)
