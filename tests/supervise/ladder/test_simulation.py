"""On ladders whose rates are known, the choice is within 5 % of the best; simpler rules are not."""

import random

import pytest

from supervise.ladder.simulation import (
    calibrated,
    draw,
    fixed,
    online,
    score,
    step_down_at_a_crash,
)

pytestmark = pytest.mark.slow

LADDERS, HOURS = 12, 12.0
SURVEYED, BUDGET_HOURS = 60, 2.0


def test_a_training_finds_the_best_rung() -> None:
    """Rung and whole progress, learning included, of 12 ladders for 12 hours each."""
    found = score(online, ladders=LADDERS, hours=HOURS)

    assert found.choice >= 0.95
    assert found.progress >= 0.95


def test_a_survey_finds_the_best_rung() -> None:
    """Of 60 ladders within two hours each."""
    assert score(calibrated, ladders=SURVEYED, hours=BUDGET_HOURS).choice >= 0.95


def test_the_simpler_rules_do_not() -> None:
    """So the ladders are no easy ones: neither end is right, and fleeing from a crash is worse."""
    assert score(fixed(0), ladders=SURVEYED, hours=HOURS).choice < 0.95
    assert score(fixed(-1), ladders=SURVEYED, hours=HOURS).choice < 0.8
    assert score(step_down_at_a_crash, ladders=LADDERS, hours=HOURS).choice < 0.8


def test_what_a_fixed_rung_makes_is_what_a_simulated_one_makes() -> None:
    """The measure of it all is right: exact and simulated progress agree."""
    for number in range(6):
        truth = draw(random.Random(f"check {number}"))
        one = type(truth)((truth.speeds[0],), (truth.rates[0],), truth.costs)
        hours = 2_000 / truth.rates[0] / 3600
        lived = step_down_at_a_crash(one, hours, random.Random(f"lives {number}"))
        assert lived.progress == pytest.approx(one.net(0), rel=0.08)
