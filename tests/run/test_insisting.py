"""When several signals are one request, and when they insist: a pure rule."""

import signal

import pytest

from evertrain.run.stop import Seen, is_forced

INT, TERM = int(signal.SIGINT), int(signal.SIGTERM)


@pytest.mark.parametrize(
    ("seen", "insists"),
    [
        ([], False),
        ([(5.0, INT)], False),
        ([(5.0, INT), (5.1, INT)], True),
        ([(5.0, INT), (5.1, TERM)], False),
        ([(5.1, TERM), (5.0, INT)], False),  # one handler interrupted the other
        ([(5.0, INT), (5.1, TERM), (5.2, TERM)], False),
        ([(5.0, INT), (6.5, TERM)], True),
        ([(5.0, INT), (5.1, TERM), (7.0, TERM)], True),
        ([(5.0, INT), (5.0, INT)], True),
    ],
)
def test_who_insists(seen: list[Seen], *, insists: bool) -> None:
    """The same signal again insists, another one only after a second."""
    assert is_forced(seen) is insists
