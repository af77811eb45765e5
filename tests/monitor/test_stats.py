"""A run in figures."""

from math import inf, nan

from evertrain.monitor.stats import RECENT, Metric, causes_of, metrics_of, saves_of


def test_what_saves_cost() -> None:
    """Counts and bytes of all, medians of the newest."""
    old = [{"event": "saved", "blocked": 9.0, "written": 1, "bytes": 10}] * 3
    new = [{"event": "saved", "blocked": 0.5, "seconds": 2.0, "written": 1, "bytes": 10}] * RECENT
    failed = [{"event": "save_failed"}] * 2
    found = saves_of([*old, *failed, *new])

    assert (found.count, found.failed_count) == (3 + RECENT, 2)
    assert (found.blocked_s, found.seconds) == (0.5, 2.0)
    assert (found.written_bytes, found.logical_bytes) == (3 + RECENT, 10 * (3 + RECENT))


def test_saves_that_say_nothing() -> None:
    """Files may hold anything."""
    found = saves_of([{"event": "saved", "blocked": "long", "written": -5}, {}])

    assert (found.count, found.blocked_s, found.written_bytes) == (1, None, 0)


def test_why_it_crashed() -> None:
    """The worst first; what is no text is no cause."""
    rows = [{"event": "crashed", "cause": each} for each in ["a", "b", "b", 7, None]]

    assert causes_of(rows) == [("b", 2), ("a", 1)]
    assert causes_of([{"event": "failed", "cause": "a"}]) == []


def test_metrics_and_their_extremes() -> None:
    """NaN and infinities are counted, and are no extremes."""
    values = [3.0, nan, -2.0, inf, 1.0]
    rows = [{"step": step, "x": value} for step, value in enumerate(values, 1)]
    (found,) = metrics_of(rows)

    assert found == Metric(
        name="x", count=5, first=3.0, last=1.0, low=(-2.0, 3), high=(3.0, 1), odd_count=2
    )
    (none,) = metrics_of([{"step": 1, "y": inf}])
    assert (none.low, none.high, none.odd_count) == (None, None, 1)
