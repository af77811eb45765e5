"""`evertrain.supervise.ladder.posterior`: what crashes say of rates that are in order."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evertrain.supervise.ladder.posterior import PRIOR_CRASHES, RATES, Count, posterior

HOUR = 3600.0
COUNTS = st.builds(Count, st.integers(0, 30).map(float), st.floats(0, 1e6))


@pytest.mark.parametrize(
    ("crashes", "hours", "low", "high"),
    # 2.5 % and 97.5 % points of Gamma(crashes + 1/2), over the hours: half of those of chi-square
    # with 2 * crashes + 1 degrees of freedom.
    [(0, 3.0, 0.00016, 0.837), (1, 1.0, 0.108, 4.674), (10, 2.0, 2.571, 8.870)],
)
def test_one_rung_has_its_gamma_distribution(
    crashes: int, hours: float, low: float, high: float
) -> None:
    """Mean and 95 % interval are those of the tables."""
    found = posterior([Count(crashes, hours * HOUR)], prior_s=0.01)

    assert found.mean(0) * HOUR == pytest.approx((crashes + PRIOR_CRASHES) / hours, rel=0.02)
    assert found.quantile(0, 0.025) * HOUR == pytest.approx(low, rel=0.2, abs=3e-4)
    assert found.quantile(0, 0.975) * HOUR == pytest.approx(high, rel=0.05)


def sampled(counts: list[Count], prior_s: float, rng: random.Random) -> list[list[float]]:
    """Return rates of all rungs drawn from their Gammas, those out of order thrown away."""
    found = []
    for _ in range(40_000):
        rates = [
            rng.gammavariate(each.crashes + PRIOR_CRASHES, 1 / (each.exposure_s + prior_s))
            for each in counts
        ]
        if rates == sorted(rates, reverse=True):
            found.append(rates)
    return found


@pytest.mark.parametrize(
    "counts",
    [
        [Count(3, 2 * HOUR), Count(1, HOUR), Count(0, 5 * HOUR)],
        [Count(1, HOUR), Count(4, 2 * HOUR)],  # against the order
        [Count(2, 0.1 * HOUR), Count(0, 0.0), Count(1, HOUR)],
    ],
)
def test_several_rungs_are_what_ordered_draws_are(counts: list[Count]) -> None:
    """Means, quantiles and comparisons are those of draws from which disorder was rejected."""
    draws = sampled(counts, 60.0, random.Random(1))
    found = posterior(counts, prior_s=60.0)

    for rung in range(len(counts)):
        rates = sorted(rates[rung] for rates in draws)
        assert found.mean(rung) == pytest.approx(sum(rates) / len(rates), rel=0.05)
        assert found.quantile(rung, 0.5) == pytest.approx(rates[len(rates) // 2], rel=0.1)
    is_better = [1.0 - 600 * first > 0.9 - 600 * second for first, second, *_ in draws]
    one, other = ([top - 600 * rate for rate in RATES] for top in (1.0, 0.9))
    chance = found.beats(0, one, other)
    assert chance == pytest.approx(sum(is_better) / len(is_better), abs=0.03)


@given(st.lists(COUNTS, min_size=2, max_size=6))
def test_a_safer_rung_never_seems_to_crash_more(counts: list[Count]) -> None:
    """Whatever was counted, means and quantiles are in order, and weights are a distribution."""
    found = posterior(counts, prior_s=30.0)
    means = [found.mean(rung) for rung in range(len(counts))]
    highs = [found.quantile(rung, 0.975) for rung in range(len(counts))]

    assert all(sum(weights) == pytest.approx(1.0) for weights in found.marginals)
    assert all(a >= b * 0.999 for a, b in pairwise(means))
    assert all(a >= b * 0.999 for a, b in pairwise(highs))
    assert all(RATES[0] <= rate <= RATES[-1] for rate in means)


def test_a_crash_above_teaches_about_below_and_health_below_does_not_excuse() -> None:
    """Health of an aggressive rung vouches for the safer ones; crashes of a safer one accuse it."""
    untried = Count()
    vouched = posterior([Count(0, 10 * HOUR), untried], prior_s=60.0)
    accused = posterior([untried, Count(10, HOUR)], prior_s=60.0)

    assert vouched.quantile(1, 0.975) <= vouched.quantile(0, 0.975) < 1 / HOUR
    assert accused.quantile(0, 0.025) >= accused.quantile(1, 0.025) > 4 / HOUR
