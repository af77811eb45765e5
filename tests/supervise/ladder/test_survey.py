"""`evertrain.supervise.ladder.survey`: which rung is measured next, and when it is enough."""

import pytest

from evertrain.supervise.ladder import survey
from evertrain.supervise.ladder.cost import Costs
from evertrain.supervise.ladder.policy import Online, Survey
from evertrain.supervise.ladder.standing import Standing, Trial, View

HOUR = 3600.0
BUDGET_S = 4 * HOUR


def view(count: int = 3) -> View:
    """Return a ladder that nobody has measured."""
    costs = Costs(save_s=1.0, down_s=5.0, startup_s=25.0)
    return View(rungs=tuple(Standing() for _ in range(count)), costs=costs)


def after(before: View, rung: int, seconds: float, speed: float, crashes: int = 0) -> View:
    """Return `before` after `seconds` on `rung`, cut into lives by crashes."""
    found = before.moved(rung, "measure")
    for _ in range(max(1, crashes)):
        s = seconds / max(1, crashes)
        trial = Trial(lasted_s=s, exposure_s=s, steps=speed * s, busy_s=s, counts=crashes > 0)
        found = found.shown(rung, trial)
    return found


def test_the_rungs_take_turns() -> None:
    """Each as long as it is its turn; the one with the least time comes next."""
    known, order = view(), []
    for _ in range(7):
        turn = survey.choose(known, BUDGET_S)
        assert turn is not None
        order.append(turn.rung)
        known = after(known, turn.rung, survey.slice_s(known, BUDGET_S), 5.0)

    assert order == [0, 1, 2, 0, 1, 2, 0]


def test_a_turn_is_over_when_another_rung_has_waited_longer() -> None:
    """Not before, and not when nobody else is in question."""
    slice_s = survey.slice_s(view(), BUDGET_S)

    assert slice_s == BUDGET_S / 12
    assert not survey.is_over(after(view(), 0, 0.9 * slice_s, 5.0), BUDGET_S)
    assert survey.is_over(after(view(), 0, slice_s, 5.0), BUDGET_S)


def test_a_slice_is_mostly_training() -> None:
    """A short budget means fewer turns, not turns that are all start."""
    assert survey.slice_s(view(), 600.0) == 100.0
    assert survey.slice_s(view(), 60.0) == 20.0


def clear() -> View:
    """Return a ladder of which the middle is clearly the best."""
    known = after(view(), 0, 2000.0, 10.0, crashes=100)
    known = after(known, 1, 20_000.0, 8.0, crashes=2)
    return after(known, 2, 20_000.0, 2.0)


def test_it_ends_when_the_best_is_clear() -> None:
    """The rest of the budget is not spent."""
    assert survey.in_question(clear(), 60.0) == [1]
    assert survey.choose(clear(), BUDGET_S) is None
    assert survey.is_over(clear().moved(1, "measure"), BUDGET_S) is False  # in its turn


def test_it_goes_on_while_two_may_be_the_best() -> None:
    """Only with those two."""
    known = after(after(after(view(), 0, 9000.0, 9.0, 3), 1, 9000.0, 8.8), 2, 9000.0, 1.0)

    assert survey.in_question(known, 60.0) == [0, 1]


def test_nobody_is_judged_before_its_turn() -> None:
    """However good the others look."""
    known = after(after(view(), 0, 9000.0, 9.0), 1, 9000.0, 1.0)

    assert survey.in_question(known, 600.0) == [0, 1, 2]
    assert survey.in_question(after(known, 2, 60.0, 0.1), 600.0) == [0, 1, 2]
    assert survey.in_question(after(known, 2, 600.0, 0.1), 600.0) == [0]


def test_a_rung_that_never_ends_a_step_gets_no_fourth_try() -> None:
    """Nor one that is out."""
    known = after(view(), 0, 30.0, 0.0, crashes=3)

    assert survey.is_futile(known, 0)
    assert survey.in_question(known.without(2), 600.0) == [1]
    nothing_works = after(after(known, 1, 30.0, 0.0, crashes=3), 2, 30.0, 0.0, crashes=3)
    assert survey.choose(nothing_works, BUDGET_S) is None


@pytest.mark.parametrize(("measured_s", "is_over"), [(0.0, False), (BUDGET_S, True)])
def test_the_budget_is_the_end(measured_s: float, is_over: bool) -> None:  # noqa: FBT001
    """Of the running turn, and of all further ones."""
    known = View(rungs=view().rungs, current=0, since_s=1.0, measured_s=measured_s)
    policy = Survey(BUDGET_S)

    assert policy.is_over(known) is is_over
    assert (policy.turn(known) is None) is is_over


def test_when_to_look_again() -> None:
    """At the end of the turn or of the budget, whichever comes first; never all the time."""
    known = View(rungs=view().rungs, current=0, measured_s=BUDGET_S - 100.0)

    assert Survey(BUDGET_S).look_s(view(), 200.0) == pytest.approx(BUDGET_S / 12 - 200)
    assert Survey(BUDGET_S).look_s(view(), BUDGET_S / 12) == pytest.approx(BUDGET_S / 120)
    assert Survey(BUDGET_S).look_s(known, 30.0) == pytest.approx(70.0)
    assert Survey(BUDGET_S).look_s(known, 1e6) == 0.5
    assert Online().look_s(view(), 0.0) == 120.0
