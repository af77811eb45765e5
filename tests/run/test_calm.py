"""Fast loops end their steps without asking anybody, and still miss nothing."""

import pytest

from evertrain import every, when_any
from evertrain.checkpoint.when import RESTLESS, Moment, auto, quiet_of
from evertrain.testing import FakeClock
from support import OpenRun


def moment(step: int, since_save_s: float = 0.0) -> Moment:
    """Return the boundary behind `step`."""
    return Moment(step=step, previous_step=step - 1, since_save_s=since_save_s, cost_s=0.1)


@pytest.mark.parametrize("step", [1, 9, 10, 11, 19, 20])
def test_a_quiet_rule_says_nothing(step: int) -> None:
    """What `quiet` promises holds at each step before it ends, and ends where the rule speaks."""
    rule = every(steps=10)
    until = int(quiet_of(rule, moment(step)).before_step)
    assert all(rule(moment(each)) is None for each in range(step + 1, until))
    assert rule(moment(until)) is not None


def test_quiet_ends_with_the_first_of_several() -> None:
    """Steps and time each end it on their own."""
    quiet = quiet_of(when_any(every(steps=10), every(seconds=60), auto()), moment(3, 2.0))
    assert quiet.before_step == 10
    assert quiet.for_s == pytest.approx(8.0)  # 0.1 s of cost at one per cent


def test_a_rule_of_the_users_is_asked_at_each_step(open_run: OpenRun) -> None:
    """It may speak at any step, for all we know."""
    asked: list[int] = []

    def mine(at: Moment) -> str | None:
        asked.append(at.step)
        return None

    assert quiet_of(mine, moment(1)) == RESTLESS
    for _ in open_run(save=mine, total=50):
        pass
    assert set(range(1, 51)) <= set(asked)


def test_no_multiple_is_missed_though_time_stands_still(open_run: OpenRun) -> None:
    """A thousand steps in no time are saved where the rule says, and logged one by one."""
    clock = FakeClock()
    run = open_run(save=every(steps=100), total=1000, clock=clock)
    for step in run:
        run.log(x=float(step), word="a", nan=float("nan"))
        assert run.step == step - 1
    assert run.iteration == 1000
    assert [row["step"] for row in run.metrics] == list(range(1, 1001))
    assert [row["x"] for row in run.metrics][-1] == 1000.0
    saved = [info.step for info in run.store.list()]
    assert saved[-2:] == [900, 1000]


def test_finish_in_the_middle_of_a_calm_stretch_counts_at_once(open_run: OpenRun) -> None:
    """The step that calls it is the last."""
    run, seen = open_run(save=every(steps=10_000), total=10_000, clock=FakeClock()), 0
    with run:
        for step in run:
            seen = step
            if step == 500:
                run.finish("enough")
    assert (seen, run.step) == (500, 500)


def test_the_best_is_never_passed_over(open_run: OpenRun) -> None:
    """A step that logs what ranks the run is judged, however fast the loop."""
    run = open_run(save=every(steps=10_000), total=300, best="max:x", clock=FakeClock())
    for step in run:
        run.wait()
        run.log(x=9.0 if step == 123 else -float(step))
    best = run.store.best()
    assert best is not None
    assert best.step == 123


def test_a_lowered_total_ends_the_loop(open_run: OpenRun) -> None:
    """The program may change its mind on how far to go."""
    run = open_run(save=every(steps=10_000), total=10_000, clock=FakeClock())
    last = 0
    for step in run:
        last = step
        if step == 50:
            run.total = 60
    assert last == 60


def test_an_advanced_step_counts_what_it_says(open_run: OpenRun) -> None:
    """`advance` inside a calm stretch is heard."""
    run = open_run(save=every(steps=10_000), total=1000, clock=FakeClock())
    seen = []
    for step in run:
        seen.append(step)
        if step == 20:
            run.advance(50)
    assert seen[19:21] == [20, 70]


def test_metrics_of_an_older_step_are_not_those_of_a_silent_one(open_run: OpenRun) -> None:
    """What an emergency checkpoint says of its step is what that step logged: nothing."""
    run = open_run(save=every(steps=10_000), total=1000, clock=FakeClock())
    with pytest.raises(ZeroDivisionError), run:
        for step in run:
            run.wait()
            if step <= 20:
                run.log(x=float(step))
            if step == 60:
                raise ZeroDivisionError
    wreck = next((run.path / "checkpoints" / "emergency").iterdir())
    assert '"metrics": {}' in (wreck / "metadata.json").read_text()
