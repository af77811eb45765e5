"""Means and their standard errors."""

import numpy as np
import pytest

from evertrain.recipes.estimate import Estimate


def test_the_error_is_that_of_the_mean() -> None:
    """The sample deviation over the root of the count, of lists and arrays alike."""
    values = [1.0, 2.0, 3.0, 6.0]

    assert Estimate.of(values).mean == 3
    assert Estimate.of(values).error == pytest.approx(np.sqrt(14 / 3) / 2)
    assert Estimate.of(np.array(values, np.float32)) == Estimate.of(values)


def test_a_share_knows_that_both_are_of_the_same_sample() -> None:
    """The ratio of the means; where each part is half of its whole, nothing is uncertain."""
    part, whole = np.array([1.0, 3.0]), np.array([2.0, 2.0])
    share = Estimate.of_share(part, whole)

    assert (share.mean, share.error) == pytest.approx((100.0, 50.0))
    assert Estimate.of_share(part, 2 * part) == Estimate(50.0, 0.0)


def test_as_text() -> None:
    """In any unit, with as many digits as asked for."""
    estimate = Estimate(0.00841, 0.00072)

    assert f"{estimate.scaled(1000):.1f}" == "8.4 +-0.7"
    assert f"{estimate:.3f}" == "0.008 +-0.001"


def test_one_value_has_no_error() -> None:
    """Neither 0, which would be a claim, nor a warning."""
    assert f"{Estimate.of([7.94]):.1f}" == "7.9"
