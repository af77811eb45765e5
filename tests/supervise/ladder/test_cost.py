"""`evertrain.supervise.ladder.cost`: what a crash rate leaves of a speed."""

import math
import random

import pytest

from evertrain.supervise.ladder.cost import Costs, share_kept

HOUR = 3600.0


@pytest.mark.parametrize("per_hour", [0.01, 0.1, 0.5])
def test_rare_crashes_cost_what_the_formula_of_the_literature_says(per_hour: float) -> None:
    """1 - sqrt(2*C*rate) - (D + R)*rate, up to terms of the second order."""
    rate, costs = per_hour / HOUR, Costs(save_s=5.0, down_s=10.0, startup_s=50.0)
    first_order = 1 - math.sqrt(2 * 5.0 * rate) - 60.0 * rate

    assert share_kept(rate, costs) == pytest.approx(first_order, abs=2 * (1 - first_order) ** 2)
    assert share_kept(rate, costs) != pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(
    ("speed", "per_hour", "net"),
    [(12.5, 7.5, 10.0), (8, 2.5, 7.3), (4, 0.5, 3.9), (1.5, 0.01, 1.5)],
)
def test_the_settings_of_the_guide(speed: float, per_hour: float, net: float) -> None:
    """Extreme, aggressive, balanced and conservative, as docs/ladder.md compares them."""
    costs = Costs(save_s=2.0, down_s=5.0, startup_s=60.0)

    assert speed * share_kept(per_hour / HOUR, costs) == pytest.approx(net, abs=0.05)


def lived(rate: float, costs: Costs, interval_s: float, rng: random.Random) -> float:
    """Return the share of the time that a simulated training got on in."""
    now_s = done_s = 0.0
    while now_s < 3_000 / rate:
        life_s = rng.expovariate(rate)
        done_s += life_s // (interval_s + costs.save_s) * interval_s
        now_s += life_s + costs.crash_s
    return done_s / now_s


@pytest.mark.parametrize("interval_s", [None, 300.0])
@pytest.mark.parametrize("per_hour", [1.0, 20.0, 60.0])
def test_frequent_crashes_cost_what_a_simulation_says(
    per_hour: float, interval_s: float | None
) -> None:
    """Also where crashes come as fast as restarts, and with a fixed interval."""
    rate = per_hour / HOUR
    costs = Costs(save_s=4.0, interval_s=interval_s, down_s=5.0, startup_s=40.0)
    used_s = interval_s or math.sqrt(2 * 4.0 / rate)

    assert share_kept(rate, costs) == pytest.approx(
        lived(rate, costs, used_s, random.Random(2)), rel=0.05, abs=0.003
    )


def test_the_ends_of_the_scale() -> None:
    """Nothing crashes: only saving costs. Everything does: nothing is left, nothing breaks."""
    saving = Costs(save_s=1.0, interval_s=9.0)

    assert share_kept(0.0, Costs(save_s=1.0)) == 1.0
    assert share_kept(0.0, saving) == pytest.approx(0.9)
    assert share_kept(10.0, saving) == pytest.approx(0.0, abs=1e-6)
    assert share_kept(1e6, Costs()) == pytest.approx(0.0, abs=1e-6)
    falling = [share_kept(rate, Costs(save_s=2.0)) for rate in (0, 1e-5, 1e-3, 1e-1, 1.0)]
    assert falling == sorted(falling, reverse=True)
    assert len(set(falling)) == 5
