"""`evertrain.supervise.options`: what cannot work is refused, all of it at once."""

import math

import pytest

from evertrain.core.errors import ConfigError
from evertrain.supervise.options import SuperviseOptions


def test_every_fault_is_named_at_once() -> None:
    """One error lists all wrong options, each with its value."""
    with pytest.raises(ConfigError) as caught:
        SuperviseOptions(
            max_crashes=-1,
            delay_s=math.nan,
            grace_s=0,
            resume_arg="--go",
            resume="",
            hang="kill",
            hang_timeout_s=0,
        )
    with pytest.raises(ConfigError) as more:
        SuperviseOptions(window_s=0, min_goodput=1.5)
    text = str(caught.value)
    for fault in (
        "--max-crashes is -1",
        "--delay is nan",
        "--grace is 0",
        "--resume is empty",
        "--hang is 'kill'",
        "--hang-timeout is 0",
        "--resume-arg needs --checkpoints",
        "--resume-arg is '--go', but must contain {path} or {step}",
    ):
        assert fault in text
    assert caught.value.exit_code == 78
    assert "--window is 0" in str(more.value)
    assert "--min-goodput is 1.5" in str(more.value)


def test_unmatched_quotes_are_found_before_the_first_crash() -> None:
    """A template that cannot be split would otherwise fail hours later."""
    with pytest.raises(ConfigError, match="unmatched quotes"):
        SuperviseOptions(checkpoints="*.pt", resume_arg="--resume '{path}")


@pytest.mark.parametrize(
    "extreme",
    [{"max_crashes": 0}, {"delay_s": 0}, {"grace_s": 0.001}, {"window_s": 1}, {"min_goodput": 0}],
)
def test_extremes_that_work_are_accepted(extreme: dict[str, float]) -> None:
    """0 crashes is unlimited, no delay and a tiny grace are choices."""
    SuperviseOptions(**extreme)  # type: ignore[arg-type]


def test_on_a_ladder_crashes_have_their_price() -> None:
    """No number of them ends it, unless a person says so."""
    assert SuperviseOptions().limit == 10
    assert SuperviseOptions(ladder="ladder.yaml").limit == 0
    assert SuperviseOptions(ladder="ladder.yaml", max_crashes=4).limit == 4
