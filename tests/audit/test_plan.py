"""When to kill: spread over the training, and never before an attempt has saved."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evertrain.audit.plan import AuditOptions, Strike, next_strike, strikes
from evertrain.core.errors import ConfigError


@given(
    steps=st.lists(st.integers(1, 10_000), min_size=2, max_size=50, unique=True).map(sorted),
    data=st.data(),
)
def test_strikes_are_spread(steps: list[int], data: st.DataObject) -> None:
    """Ascending, each behind a checkpoint of its own, and never behind the last."""
    kills = data.draw(st.integers(1, len(steps) - 1))
    seed = data.draw(st.integers(0, 99))

    found = strikes(steps, kills, 2.0, random.Random(seed))

    at = [each.step for each in found]
    assert len(at) == kills
    assert at == sorted(set(at))
    assert set(at) <= set(steps[:-1])
    assert all(0.0 <= each.delay_s <= 2.0 for each in found)


def test_too_few_checkpoints() -> None:
    """Each attempt has to save before it is killed."""
    with pytest.raises(ConfigError, match="saves 3 checkpoints, and is to be killed 3 times"):
        strikes([1, 2, 3], 3, 1.0, random.Random(0))


@pytest.mark.parametrize(
    ("newest", "expected"),
    [(None, 20), (10, 20), (20, 30), (35, None), (40, None)],
    ids=["first", "as planned", "later than planned", "only the last is left", "all saved"],
)
def test_an_attempt_saves_before_it_is_killed(newest: int | None, expected: int | None) -> None:
    """What is there already does not count; the last checkpoint is too late."""
    found = next_strike(Strike(20, 0.5), [10, 20, 30, 40], newest)

    assert (found.step if found else None) == expected


def test_all_faults_of_the_options_are_told() -> None:
    """One error names every value that cannot work."""
    with pytest.raises(ConfigError, match=r"--kills is 0; --until is -1\."):
        AuditOptions(kills=0, steps=3, until=-1)
