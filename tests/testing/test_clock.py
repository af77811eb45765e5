"""The clock that tests turn by hand."""

import threading

import pytest

from evertrain.testing import FakeClock


def test_stands_still() -> None:
    """Time passes only when it is told to."""
    clock = FakeClock(now_s=10.0, monotonic_s=1.0)
    assert (clock.now_s(), clock.now_s(), clock.monotonic_s()) == (10.0, 10.0, 1.0)
    clock.advance(2.5)
    assert (clock.now_s(), clock.monotonic_s()) == (12.5, 3.5)


def test_wait_passes_at_once() -> None:
    """Waiting takes its whole time unless the event is set, and no real time at all."""
    clock, event = FakeClock(monotonic_s=0.0), threading.Event()
    assert not clock.wait(event, 3600.0)
    assert clock.monotonic_s() == 3600.0
    event.set()
    assert clock.wait(event, 3600.0)
    assert not FakeClock().wait(threading.Event(), -1.0)
    assert clock.monotonic_s() == 3600.0


def test_jump() -> None:
    """The time of day can go back; the monotonic clock cannot."""
    clock = FakeClock(now_s=100.0, monotonic_s=5.0)
    clock.jump(-60.0)
    assert (clock.now_s(), clock.monotonic_s()) == (40.0, 5.0)
    with pytest.raises(ValueError, match="jump"):
        clock.advance(-1.0)
