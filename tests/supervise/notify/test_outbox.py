"""`evertrain.supervise.notify.outbox`: together, not too often, not for ever."""

import pytest

from evertrain.supervise.notify.event import Note
from evertrain.supervise.notify.outbox import GAP_S, MAX_TRIES, SETTLE_S, Outbox


def crash(number: int) -> Note:
    """Return the note of a crash."""
    return Note("crash", f"crash {number}")


def test_the_first_goes_soon_the_others_together() -> None:
    """A crash loop of one a second is a message a minute, which tells all of them."""
    outbox, now_s, messages = Outbox(), 100.0, []
    for number in range(180):
        outbox.add(crash(number), now_s)
        due_s = outbox.due_s()
        assert due_s is not None
        if now_s >= due_s:
            messages.append(len(outbox.take()[0]))
            outbox.sent(now_s)
        now_s += 1.0
    assert messages == [3, 60, 60]
    assert outbox.lost == 0


def test_after_silence_it_goes_soon_again() -> None:
    """The gap is between two messages."""
    outbox = Outbox()
    outbox.add(crash(1), 0.0)
    outbox.sent(10.0)
    outbox.add(crash(2), 10.0 + 2 * GAP_S)
    assert outbox.due_s() == pytest.approx(10.0 + 2 * GAP_S + SETTLE_S)


def test_what_fails_is_tried_again_with_patience_and_a_bound() -> None:
    """5, 10, 20, 40, 80 s later; then it is given up, and what comes next is tried anew."""
    outbox, now_s = Outbox(), 0.0
    outbox.add(crash(1), now_s)
    waits = []
    for _ in range(MAX_TRIES):
        outbox.failed(now_s)
        due_s = outbox.due_s()
        if due_s is not None:
            waits.append(due_s - now_s)
            now_s = due_s
    assert waits == [5, 10, 20, 40, 80]
    assert (outbox.due_s(), outbox.lost) == (None, 1)
    outbox.add(crash(2), now_s)
    assert outbox.due_s() == pytest.approx(now_s + GAP_S)


def test_what_comes_meanwhile_is_taken_along() -> None:
    """A try that failed does not make two messages of one."""
    outbox = Outbox()
    outbox.add(crash(1), 0.0)
    outbox.failed(0.0)
    outbox.add(crash(2), 1.0)
    assert outbox.due_s() == pytest.approx(5.0), "the new one does not hurry the old one"
    assert outbox.take() == ([crash(1), crash(2)], 0)


def test_a_place_that_asks_for_time_gets_it() -> None:
    """Retry-After counts, up to five minutes."""
    outbox = Outbox()
    outbox.add(crash(1), 0.0)
    outbox.failed(0.0, after_s=30.0)
    assert outbox.due_s() == pytest.approx(30.0)
    outbox.failed(30.0, after_s=86_400.0)
    assert outbox.due_s() == pytest.approx(330.0)


def test_very_many_are_counted() -> None:
    """The first and the last are kept, and memory is bounded."""
    outbox = Outbox()
    for number in range(10_000):
        outbox.add(crash(number), 0.0)
    notes, omitted = outbox.take()
    assert len(notes) + omitted == 10_000
    assert len(notes) <= 100
    assert (notes[0], notes[-1]) == (crash(0), crash(9999))
