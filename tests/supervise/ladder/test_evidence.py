"""`evertrain.supervise.ladder.evidence`: what the journal tells, whoever wrote it to its end."""

from typing import Any

import pytest

from evertrain.core.clock import iso_utc
from evertrain.core.journal import Row
from evertrain.supervise.ladder.evidence import costs_of, view_of
from evertrain.supervise.ladder.observe import unfinished
from evertrain.supervise.ladder.rung import Ladder, Rung
from evertrain.supervise.ladder.standing import HALF_LIFE_S

FAST, SAFE = Rung(name="fast", args=("-x", "2")), Rung(name="safe", args=("-x", "1"))
LADDER = Ladder("ladder.yaml", (FAST, SAFE))


def row(event: str, at_s: float = 0.0, **fields: Any) -> Row:
    """Return one event, `at_s` seconds into some day."""
    return {"time": iso_utc(1.7e9 + at_s), "event": event, **fields}


def begun(rung: Rung, move: str = "stay", at_s: float = 0.0, attempt: int = 1) -> Row:
    """Return the start of an attempt on `rung`."""
    return row("rung", at_s, attempt=attempt, rung=rung.key, move=move)


def ended(rung: Rung, seconds: float = 100.0, at_s: float = 0.0, **fields: Any) -> Row:
    """Return the end of an attempt of which nine tenths were training, at 5 steps a second."""
    return row(
        "rung_ended",
        at_s,
        attempt=1,
        rung=rung.key,
        seconds=seconds,
        exposure=0.9 * seconds,
        steps=4.0 * seconds,
        busy=0.8 * seconds,
        **fields,
    )


def test_attempts_add_up() -> None:
    """Time, steps, crashes of each rung, how often it was left, what is in force since when."""
    rows = [
        begun(FAST, "start"),
        ended(FAST, counts=True, end="crash"),
        begun(SAFE, "down"),
        ended(SAFE, 60.0, counts=False, end="other crash"),
        begun(SAFE),
        ended(SAFE, 40.0, counts=False, end="moved"),
    ]

    view = view_of(rows, LADDER)
    fast, safe = view.rungs

    assert (fast.crashes, safe.crashes) == pytest.approx((1.0, 0.0), rel=0.01)
    assert safe.exposure_s == pytest.approx(90.0, rel=0.01)
    assert safe.lasted_s == pytest.approx(100.0, rel=0.01)
    assert fast.steps_per_s == pytest.approx(5.0)
    assert fast.left == pytest.approx(1, rel=0.01)
    assert view.current == 1
    assert view.since_s == pytest.approx(90.0)
    assert view.measured_s == 0.0


def test_a_day_of_training_halves_what_was_before() -> None:
    """A rung that was bad last week gets another chance; the speed is not touched by that."""
    view = view_of([ended(FAST, 1000.0, counts=True)], LADDER)
    later = view_of([ended(FAST, 1000.0, counts=True), ended(SAFE, HALF_LIFE_S / 0.9)], LADDER)

    assert later.rungs[0].crashes == pytest.approx(view.rungs[0].crashes / 2)
    assert later.rungs[0].steps_per_s == view.rungs[0].steps_per_s
    assert later.rungs[1].exposure_s == pytest.approx(HALF_LIFE_S)


def test_an_edited_ladder_keeps_what_still_fits() -> None:
    """Renamed and moved rungs keep their past; what is no longer there is passed over."""
    rows = [begun(FAST, "start"), ended(FAST, counts=True), begun(SAFE, "down"), ended(SAFE)]
    faster = Rung(name="faster", args=("-x", "3"))
    renamed = Rung(name="plain", args=("-x", "1"))

    view = view_of(rows, Ladder("x", (faster, renamed)))

    assert view.rungs[0].lasted_s == 0.0
    assert view.rungs[1].lasted_s == 100.0
    assert view.current == 1


def test_measuring_has_a_budget_until_it_is_done() -> None:
    """Only turns of the survey count, with the pauses behind crashes; the next one starts at 0."""
    rows = [
        begun(FAST, "stay"),
        ended(FAST, 500.0),
        begun(FAST, "measure"),
        ended(FAST, 60.0, end="crash", counts=True, at_s=100.0),
        begun(SAFE, "measure", at_s=110.0),
        ended(SAFE, 60.0, at_s=170.0),
    ]

    assert view_of(rows, LADDER).measured_s == pytest.approx(60 + 60 + 10)
    assert view_of([*rows, row("calibrated")], LADDER).measured_s == 0.0


def test_a_rung_that_does_not_work_stays_out() -> None:
    """For as long as the journal says so."""
    view = view_of([begun(FAST), ended(FAST, is_out=True), begun(SAFE, "out")], LADDER)

    assert [each.is_out for each in view.rungs] == [True, False]
    assert view.current == 1


def test_costs_are_medians_of_what_was_paid() -> None:
    """C, T and R from the attempts, D from end to start; a clock that was set is outvoted."""
    rows = []
    for number in range(5):
        at_s = 1000.0 * number - (1e7 if number == 2 else 0.0)
        rows += [begun(FAST, at_s=at_s)]
        rows += [ended(FAST, at_s=at_s + 993, save=0.5, interval=60.0, startup=8.0, end="crash")]
    rows[3] |= {"save": 40.0, "startup": 4000.0}

    costs = costs_of(rows)

    assert (costs.save_s, costs.interval_s, costs.startup_s) == (0.5, 60.0, 8.0)
    assert costs.down_s == pytest.approx(7.0)
    assert costs_of([]).interval_s is None


@pytest.mark.parametrize("value", [None, "x", -1.0, True, float("nan"), 1e300, [1]])
def test_rows_that_say_nonsense_say_nothing(value: object) -> None:
    """Whatever stands in the journal, there is a view."""
    fields: dict[str, Any] = dict.fromkeys(
        ["seconds", "exposure", "steps", "busy", "save", "startup"], value
    )
    rows = [
        row("rung", rung=value, attempt=value, move=value),
        row("rung_ended", rung=FAST.key, **fields),
        {"event": "rung_ended", "rung": FAST.key},
        {"event": "rung"},
    ]

    view = view_of(rows, LADDER)

    assert view.rungs[0].lasted_s == 0.0
    assert view.rungs[0].steps_per_s is None
    assert unfinished(rows) is None


def test_what_a_killed_supervisor_left_is_taken_up() -> None:
    """Its attempt counts with the time that the journal knows, and as no crash."""
    rows = [
        begun(FAST, at_s=0.0, attempt=7),
        row("launched", 1.0, attempt=7),
        row("resumed", 11.0, attempt=7, step=100),
        row("saved", 41.0, attempt=7, step=400, blocked=0.5),
        row("saved", 71.0, attempt=7, step=700, blocked=0.5),
    ]

    left = unfinished(rows)

    assert left is not None
    assert (left.rung, left.attempt) == (FAST.key, 7)
    trial = left.shown.trial
    assert (trial.lasted_s, trial.exposure_s, trial.steps) == (71.0, 61.0, 600.0)
    assert not trial.counts
    by_the_shim = unfinished([*rows, row("ended", 90.0, attempt=7, by="shim", seconds=85.5)])
    assert by_the_shim is not None
    assert by_the_shim.shown.trial.lasted_s == 85.5
    assert unfinished([*rows, ended(FAST)]) is None
    assert unfinished([]) is None
