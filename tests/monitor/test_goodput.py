"""Seven classes that add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evertrain.monitor.goodput import KINDS, Account, Spent, total

SECONDS = st.floats(0, 1e7, allow_nan=False)


@given(st.lists(SECONDS, min_size=len(KINDS), max_size=len(KINDS)))
def test_percents_add_up_to_one_hundred(seconds: list[float]) -> None:
    """Each is within a tenth of the truth, and none is negative."""
    account = Account(**dict(zip([f"{kind}_s" for kind in KINDS], seconds, strict=True)))
    percent = account.percent()

    assert list(percent) == list(KINDS)
    if account.total_s == 0:
        assert set(percent.values()) == {0.0}
        return
    assert sum(round(10 * value) for value in percent.values()) == 1000
    for kind, value in account.seconds().items():
        assert abs(percent[kind] - 100 * value / account.total_s) <= 0.1 + 1e-9


def test_the_largest_remainder_is_rounded_up() -> None:
    """Three thirds: the first gets what is left over."""
    account = Account(useful_s=1, startup_s=1, saving_s=1)

    assert account.percent() == {**dict.fromkeys(KINDS, 0.0), "useful": 33.4} | {
        "startup": 33.3,
        "saving": 33.3,
    }


def test_a_run_that_has_not_lived() -> None:
    """Nothing divided by nothing is no goodput."""
    assert Account().goodput == 0
    assert total([]) == Account()


def test_the_whole_is_the_sum_of_the_attempts() -> None:
    """Class by class."""
    parts = [Spent(1, Account(useful_s=3, replayed_s=1)), Spent(2, Account(useful_s=5))]

    assert total(parts) == Account(useful_s=8, replayed_s=1)
    assert total(parts).goodput == pytest.approx(8 / 9)
