"""How often a run crashes, in the words of the guide that came with aggressive settings."""

import pytest

from evertrain.monitor.stability import Stability

HOUR = 3600.0


@pytest.mark.parametrize(
    ("crashes", "ran_s", "verdict"),
    [
        (0, 60.0, ""),
        (0, HOUR - 1, ""),
        (0, HOUR, "an hour or more without one: stable"),
        (1, 300.0, "in the first ten minutes: a safer setting is advised"),
        (1, 2 * HOUR, "0.5 an hour: good"),
        (2, 2 * HOUR, "1.0 an hour: bearable"),
        (6, 2 * HOUR, "3.0 an hour: bearable"),
        (7, 2 * HOUR, "3.5 an hour: too aggressive; a safer setting may get further"),
        (2000, HOUR, "2,000.0 an hour: too aggressive; a safer setting may get further"),
    ],
)
def test_the_guide_s_bounds(crashes: int, ran_s: float, verdict: str) -> None:
    """Below one an hour is good, above three too aggressive, and early ones are told at once."""
    assert Stability(crashes, ran_s).verdict == verdict


def test_a_rate_takes_ten_minutes() -> None:
    """One crash in the first minute is no sixty an hour."""
    assert Stability(1, 60.0).per_h is None
    assert Stability(1, 600.0).per_h == 6.0
