"""`evertrain.supervise.ladder.choice`: which rung comes next, and why."""

from dataclasses import replace

import pytest

from evertrain.supervise.ladder import choice
from evertrain.supervise.ladder.choice import Turn
from evertrain.supervise.ladder.cost import Costs
from evertrain.supervise.ladder.standing import Standing, Trial, View

HOUR = 3600.0
COSTS = Costs(save_s=1.0, down_s=5.0, startup_s=55.0)  # a crash costs a minute


def view(count: int = 3, costs: Costs = COSTS) -> View:
    """Return a ladder that nobody has climbed."""
    return View(rungs=tuple(Standing() for _ in range(count)), costs=costs)


def after(before: View, rung: int, hours: float, speed: float, *, crashed: bool = False) -> View:
    """Return `before` after one attempt on `rung`."""
    s = hours * HOUR
    before = before if before.current == rung else before.moved(rung, "start")
    return before.shown(
        rung, Trial(lasted_s=s, exposure_s=s, steps=speed * s, busy_s=s, counts=crashed)
    )


def move(turn: Turn | None) -> tuple[int, str]:
    """Return what a turn does."""
    assert turn is not None
    return turn.rung, turn.move


def test_it_begins_with_the_most_aggressive() -> None:
    """Nothing is known of the rest."""
    assert move(choice.choose(view())) == (0, "start")


def test_it_begins_with_the_best_where_they_were_measured() -> None:
    """As `evertrain calibrate` leaves them."""
    known = view()
    for rung, (speed, crashes) in enumerate([(10.0, 60), (8.0, 2), (4.0, 0)]):
        for _ in range(crashes):
            known = after(known, rung, 1 / crashes, speed, crashed=True)
        known = after(known, rung, 0.1, speed)

    assert move(choice.choose(replace(known, current=None))) == (1, "start")


def test_a_crash_an_hour_is_worth_its_speed() -> None:
    """The guide calls that good; here a crash costs a minute, and a safer rung more."""
    known = view()
    for _ in range(5):
        known = after(known, 0, 1.0, 10.0, crashed=True)

    assert move(choice.choose(known)) == (0, "stay")


def test_a_rung_that_cannot_even_start_is_left_at_once() -> None:
    """Three crashes in seconds, and no step: the next one is tried."""
    known = view()
    for _ in range(2):
        known = after(known, 0, 3 / HOUR, 0.0, crashed=True)

    turn = choice.choose(known)

    assert move(turn) == (1, "down")
    assert "crashes/h on the one before" in turn.why


def test_only_the_next_untried_rung_is_in_question() -> None:
    """Of the last one nothing is known but that it is safer still."""
    known = view(5)
    for _ in range(10):
        known = after(known, 0, 3 / HOUR, 0.0, crashed=True)

    assert choice.choose(known).rung == 1


def crashing(rung: int, per_hour: int, speed: float, known: View) -> View:
    """Return `known` after an hour on `rung` with so many crashes."""
    for _ in range(per_hour):
        known = after(known, rung, 1 / per_hour, speed, crashed=True)
    return known


def test_a_safer_rung_that_is_much_slower_is_left_again() -> None:
    """What was guessed of its speed was wrong; no crash is needed to see that."""
    known = crashing(0, 12, 10.0, view())
    known = known.moved(1, "down")
    slow = after(known, 1, 0.1, 2.0)

    assert move(choice.review(slow)) == (0, "up")
    assert move(choice.choose(slow)) == (0, "up")


def test_not_before_its_speed_is_known() -> None:
    """The first steps are slow: nothing moves for them."""
    known = crashing(0, 12, 10.0, view()).moved(1, "down")
    first = after(known, 1, 20 / HOUR, 0.5)

    assert choice.review(first) is None
    assert move(choice.choose(first)) == (1, "stay")


def left_after_bad_luck() -> View:
    """Return a training that fled from the top after two early crashes."""
    known = after(after(view(2), 0, 0.02, 10.0, crashed=True), 0, 0.02, 10.0, crashed=True)
    return known.moved(1, "down")


def test_health_is_rewarded_with_a_probe() -> None:
    """Not before the hold-down is over, and then without a crash to wait for."""
    known = left_after_bad_luck()
    hold_hours = choice.hold_s(known, 0) / HOUR

    assert choice.review(after(known, 1, 0.9 * hold_hours, 8.0)) is None
    assert move(choice.review(after(known, 1, 1.1 * hold_hours, 8.0))) == (0, "probe")
    assert move(choice.choose(after(known, 1, 1.1 * hold_hours, 8.0))) == (0, "probe")


def test_each_failed_probe_doubles_the_hold_down() -> None:
    """Twenty crashes' worth of time, then forty, then eighty."""
    known = left_after_bad_luck()
    held = [choice.hold_s(known, 0)]
    for _ in range(2):
        known = known.moved(0, "probe").moved(1, "down")
        held.append(choice.hold_s(known, 0))

    assert held == [pytest.approx(base * 60 * 20, rel=0.01) for base in (1, 2, 4)]


def test_a_probe_goes_on_until_it_crashes() -> None:
    """A stop, a restart of the supervisor or a full disk is no verdict on it."""
    probing = after(left_after_bad_luck(), 1, 1.0, 9.5).moved(0, "probe")
    stopped = after(probing, 0, 0.05, 10.0)

    assert choice.look(stopped).best == 1
    assert move(choice.choose(stopped)) == (0, "stay")
    assert move(choice.choose(after(stopped, 0, 0.01, 10.0, crashed=True))) == (1, "down")


def test_a_rung_that_was_put_between_two_is_in_question() -> None:
    """Its speed and its rate lie between theirs."""
    known = crashing(0, 90, 10.0, view(3))
    known = after(known.moved(2, "down"), 2, 3.0, 1.0)

    assert choice.look(known).best == 1


def test_what_is_hopeless_is_not_probed() -> None:
    """Fifty crashes in an hour leave no chance to be better."""
    known = crashing(0, 50, 10.0, view(2)).moved(1, "down")

    assert choice.review(after(known, 1, 6.0, 9.5)) is None


def test_a_rung_that_does_not_work_is_passed_over() -> None:
    """Down from it to the next one, and never up to it."""
    known = after(view(), 1, 1.0, 5.0).moved(0, "probe").without(0)

    assert move(choice.choose(known)) == (1, "out")
    assert choice.review(after(known.moved(1, "out"), 1, 20.0, 5.0)) is None


def test_what_the_ladder_expects_of_speeds_is_believed_until_they_are_measured() -> None:
    """A rung that is said to run at a third is not fled to as one at 85 %."""
    crashed = crashing(0, 40, 9.0, view(2))
    slow = tuple(
        replace(each, speed=speed) for each, speed in zip(crashed.rungs, (3.0, 1.0), strict=True)
    )

    assert choice.choose(crashed).rung == 1
    assert choice.choose(replace(crashed, rungs=slow)).rung == 0
    assert choice.speeds_of(slow) == pytest.approx((9.0, 3.0))


def test_speeds_are_guessed_from_the_nearest_measured_one() -> None:
    """Each step down is taken to cost 15 %."""
    rungs = (Standing(), Standing(steps=80.0, busy_s=10.0), Standing(), Standing())

    assert choice.speeds_of(rungs) == pytest.approx((8 / 0.85, 8.0, 8 * 0.85, 8 * 0.85**2))


def test_looks_become_rare() -> None:
    """A training that has been healthy for a day is not looked at every minute."""
    young, old = view(), after(view(), 0, 24.0, 1.0)

    assert choice.review_s(young, 0.0) == 240.0
    assert choice.review_s(old, 0.0) == 6 * HOUR
