"""Steps in lines of output; an expression that backtracks for ever is interrupted, or refused."""

import re
import signal

import pytest

from evertrain.core.errors import ConfigError
from evertrain.supervise.options import SuperviseOptions
from evertrain.supervise.progress.pattern import TooSlowError, number_of, problem_of, search


@pytest.mark.parametrize(
    ("pattern", "line", "step"),
    [
        (r"step (\d+)", "step 12/100 loss 0.25", 12),
        (r"step ([\d,]+)", "step 1,200,000", 1_200_000),
        (r"(\w+) (?P<step>\d+)", "epoch 7", 7),
        (r"step (\d+)", "\x1b[32mstep \x1b[1m88\x1b[0m", 88),
        (r"step (\d+)|epoch", "epoch", None),
        (r"step (\S+)", "step 1.5", None),
        (r"step (\S+)", "step ١٢", None),
        (r"step (\d+)", "x" * 2000 + "step 5", None),
    ],
)
def test_the_step_of_a_line(pattern: str, line: str, step: int | None) -> None:
    """The group is a whole number, with separators or without, in the first 2,000 characters."""
    assert search(re.compile(pattern), [line]) == step


def test_the_first_line_with_a_step_counts() -> None:
    """Lines without one are passed over."""
    assert search(re.compile(r"step (\d+)"), ["loss 1", "step 3", "step 4"]) == 3


def test_a_number_that_no_counter_reaches_is_none() -> None:
    """A line of output may hold anything."""
    assert number_of("9" * 18) == int("9" * 18)
    assert number_of("9" * 19) is None
    assert number_of("") is None


def test_a_search_without_end_is_interrupted() -> None:
    """And whoever owned the alarm before has it again."""
    before = signal.getsignal(signal.SIGVTALRM)
    with pytest.raises(TooSlowError):
        search(re.compile(r"(a+)+$"), ["a" * 60 + "b"], 0.05)
    assert signal.getsignal(signal.SIGVTALRM) is before
    assert signal.getitimer(signal.ITIMER_VIRTUAL)[0] == 0.0


def test_what_is_not_reached_in_time_is_left_out() -> None:
    """Each line is quick: there are only too many of them."""
    pattern = re.compile(r".*?(\d+) steps")
    assert search(pattern, [*["7 " * 150] * 10_000, "7 steps"], 0.05) is None


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        (r"step (\d+", "is no regular expression"),
        (r"step \d+", "has no group for the number"),
        (r"(\w+\s*)+:", "it backtracks without end"),
        (r"^(\d+,?)+ (\d+)", "it backtracks without end"),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(pattern: str, problem: str) -> None:
    """A training that runs for a week must not find that out alone."""
    assert problem in (problem_of(pattern) or "")
    with pytest.raises(ConfigError, match=problem):
        SuperviseOptions(progress=pattern)


@pytest.mark.parametrize("pattern", [r"step[ =:]+(\d+)", r".*?(\d+)/\d+ \[", r"([\d,]+) steps"])
def test_what_people_write_is_taken(pattern: str) -> None:
    """No rule of thumb about nested quantifiers: it is tried out."""
    assert problem_of(pattern) is None
