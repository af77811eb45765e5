"""`evertrain.supervise.policy.backoff`: how long to wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evertrain.supervise.end import End
from evertrain.supervise.options import SuperviseOptions
from evertrain.supervise.policy.backoff import wait_s
from supervise.policy.attempts import crash, preempted

OK, STUCK, UNKNOWN = crash("some"), crash("none"), crash("unknown")
GROWING = SuperviseOptions(backoff=True)


@pytest.mark.parametrize(
    ("ends", "shortest_s", "longest_s"),
    [
        ([OK], 1.0, 2.0),
        ([STUCK], 5.0, 10.0),
        ([OK, STUCK], 5.0, 10.0),
        ([STUCK, STUCK], 10.0, 20.0),
        ([STUCK] * 3, 20.0, 40.0),
        ([STUCK] * 5, 80.0, 160.0),
        ([STUCK] * 6, 150.0, 300.0),
        ([STUCK] * 2000, 150.0, 300.0),
        ([STUCK, STUCK, OK], 1.0, 2.0),
        ([STUCK, preempted(), STUCK], 10.0, 20.0),
        ([UNKNOWN, UNKNOWN], 10.0, 20.0),
        ([UNKNOWN, crash("unknown", seconds=700.0)], 1.0, 2.0),
    ],
)
def test_it_doubles_without_progress(ends: list[End], shortest_s: float, longest_s: float) -> None:
    """10, 20, 40 ... 300 s, half of it jitter; 1 to 2 s after progress, or a long life."""
    assert wait_s(ends, GROWING, 0.0) == shortest_s
    assert wait_s(ends, GROWING, 1.0) == longest_s
    assert wait_s(ends, SuperviseOptions(delay_s=7.0), 0.5) == 7.0


@given(st.lists(st.sampled_from([OK, STUCK, UNKNOWN, preempted()])), st.floats(0, 1))
def test_it_always_waits_a_little_and_never_long(ends: list[End], luck: float) -> None:
    """From one second to five minutes, whatever happened."""
    assert 1.0 <= wait_s(ends, GROWING, luck) <= 300.0
