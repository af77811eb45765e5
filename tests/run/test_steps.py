"""Counting: which steps a loop gets, before and after a crash, and how it ends."""

from typing import Any

import numpy as np
import pytest

from evertrain import Run, every
from evertrain.core.errors import UsageError
from evertrain.core.journal import Journal
from support import OpenRun, walk


def _events(run: Run, name: str) -> list[dict[str, object]]:
    return list(Journal(run.path / "journal.jsonl").events(name))


def test_a_fresh_run_yields_every_step(open_run: OpenRun) -> None:
    """Steps are numbered from 1 to the total, each once."""
    assert walk(open_run(total=5)) == [1, 2, 3, 4, 5]


def test_a_crashed_run_goes_on_with_the_next_step(open_run: OpenRun) -> None:
    """After a crash behind step 4 the loop gets step 5."""
    walk(open_run(), until=4)

    run = open_run()

    assert run.step == 4
    assert run.resumed_from is not None
    assert walk(run) == [5, 6, 7, 8, 9, 10]


def test_a_step_that_did_not_end_is_done_again(open_run: OpenRun) -> None:
    """What happened inside a step that never ended is not counted."""
    run = open_run()
    for step in run:
        if step == 4:
            break
    run.close()

    assert walk(open_run())[0] == 4


def test_a_checkpoint_holds_the_state_after_its_step(open_run: OpenRun) -> None:
    """The checkpoint called 3 is the state after step 3, not before or during it."""
    run = open_run()
    run.state.seen = 0
    for step in run:
        run.state.seen = step
        if step == 3:
            run.end_step()
            break

    assert run.store.load(3).state["run.state"]["seen"] == 3


def test_a_finished_run_yields_nothing_and_restores_its_end(open_run: OpenRun) -> None:
    """Running the same program again says so, changes nothing, and has the final state."""
    run = open_run(total=3)
    run.state.x = 0
    for step in run:
        run.state.x = step

    run = open_run(total=3)
    run.state.x = 0

    assert walk(run) == []
    assert run.state.x == 3
    assert [row["step"] for row in _events(run, "finished")] == [3, 3]


@pytest.mark.parametrize("why", ["complete", "target reached", "None"])
def test_finished_stays_finished_whatever_the_word(open_run: OpenRun, why: str) -> None:
    """What ends a run early may be called complete, too."""
    for step in (run := open_run()):
        if step == 3:
            run.finish(why)

    assert walk(open_run()) == []
    assert walk(open_run(total=11)) == [4, 5, 6, 7, 8, 9, 10, 11]


def test_a_run_that_was_finished_before_its_first_step_stays_so(open_run: OpenRun) -> None:
    """Until more is asked of it, or a fresh start."""
    run = open_run()
    run.finish("nothing to do")
    run.close()

    assert walk(open_run()) == []
    assert walk(open_run(resume="never"), until=2) == [1, 2]
    assert walk(open_run(), until=3) == [3]


def test_a_raised_total_of_an_unstarted_run_goes_on(open_run: OpenRun) -> None:
    """As of any other that was finished."""
    run = open_run(total=2)
    run.finish()
    run.close()

    assert walk(open_run(total=3)) == [1, 2, 3]


def test_a_raised_total_goes_on(open_run: OpenRun) -> None:
    """A complete run of 3 steps becomes one of 5, and the journal says so."""
    walk(open_run(total=3))

    run = open_run(total=5)

    assert walk(run) == [4, 5]
    assert _events(run, "config_changed")[-1]["changes"] == {"total": [3, 5]}


def test_a_total_below_the_present_step_is_complete(open_run: OpenRun) -> None:
    """Asking for less than is done takes nothing back."""
    walk(open_run(), until=6)

    assert walk(open_run(total=4)) == []


def test_strides_count_more_than_one(open_run: OpenRun) -> None:
    """Each iteration of a loop with stride 4 ends a step of that number."""
    run = open_run(total=10, stride=4)

    assert walk(run) == [4, 8, 12]
    assert (run.step, run.iteration) == (12, 3)


def test_advance_says_what_a_step_really_counted(open_run: OpenRun) -> None:
    """A rollout that was longer than the stride counts what it counted."""
    run = open_run(total=10, stride=4)
    ended = []
    for _ in run:
        run.advance(3)
        run.advance(2)
        run.end_step()
        ended.append(run.step)

    assert ended == [5, 10]


def test_advance_cannot_go_back(open_run: OpenRun) -> None:
    """A negative count is refused: resuming needs numbers that only grow."""
    run = open_run()
    next(run)

    with pytest.raises(UsageError, match="only grows"):
        run.advance(-1)


def test_numpys_integers_count(open_run: OpenRun) -> None:
    """Counts come out of arrays; what is saved is a plain number."""
    run = open_run(total=10, stride=4)
    next(run)
    run.advance(np.int64(2))  # type: ignore[arg-type]
    run.tick()
    run.tick(np.int32(3))  # type: ignore[arg-type]

    assert run.step == 5
    assert type(run.step) is int


@pytest.mark.parametrize("count", [True, 1.5, "2", None, -1, 10**30])
def test_what_is_no_count_is_refused(open_run: OpenRun, count: Any) -> None:
    """A step number is a whole number."""
    run = open_run()
    next(run)

    with pytest.raises(UsageError, match="cannot count"):
        run.advance(count)


def test_tick_serves_while_loops(open_run: OpenRun) -> None:
    """A loop that is not a for-loop counts the same way, and resumes the same way."""
    run = open_run(total=3)
    run.restore()
    while run.tick():
        pass
    assert run.step == 3
    run.close()

    assert walk(open_run(total=4)) == [4]


def test_tick_before_restore_is_refused(open_run: OpenRun) -> None:
    """A program that forgets to restore is told at its first step, not at its first resume."""
    with pytest.raises(UsageError, match="before the state was restored"):
        open_run().tick()


def test_rules_fire_on_crossing_a_multiple(open_run: OpenRun) -> None:
    """A rule for every 10 steps fires once for each ten, whatever the stride."""
    run = open_run(total=40, stride=4)
    fired = [step for step in run if run.due(every(steps=10))]

    assert fired == [12, 20, 32, 40]


def test_finish_ends_the_run_completely(open_run: OpenRun) -> None:
    """A run that says it is done is saved, journalled as finished, and not resumed."""
    run = open_run()
    for step in run:
        if step == 4:
            run.finish("target reached")

    assert run.step == 4
    assert _events(run, "finished")[-1]["why"] == "target reached"
    assert run.store.list()[-1].kind == "final"


def test_break_ends_the_run_completely(open_run: OpenRun) -> None:
    """Leaving the loop early is a decision, not a crash: the step counts and the run is over."""
    with open_run(save=every(steps=100)) as run:
        for step in run:
            if step == 4:
                break

    assert _events(run, "finished")[-1]["step"] == 4
    assert run.store.list()[-1].step == 4


def test_leaving_the_block_without_a_loop_is_not_an_end(open_run: OpenRun) -> None:
    """A program that never iterated has finished nothing."""
    with open_run() as run:
        pass

    assert _events(run, "finished") == []


def test_an_endless_run_goes_on(open_run: OpenRun) -> None:
    """Without a total there is no progress to tell and no end."""
    run = open_run(total=None)

    assert walk(run, until=50)[-1] == 50
    assert run.progress is None


def test_progress_is_a_fraction(open_run: OpenRun) -> None:
    """Four of ten steps are 0.4."""
    run = open_run()
    walk(run, until=4)

    assert run.progress == 0.4


@pytest.mark.parametrize("options", [{"total": 0}, {"total": -1}, {"stride": 0}])
def test_impossible_counts_are_refused(open_run: OpenRun, options: dict[str, int]) -> None:
    """A run of no steps, or of steps of no length, is refused before anything is touched."""
    with pytest.raises(UsageError):
        open_run(**options)


def test_the_first_step_is_saved_whatever_the_rule(open_run: OpenRun) -> None:
    """What cannot be stored shows in minute one: the first checkpoint is taken after step 1."""
    run = open_run(save=every(steps=5))
    walk(run, until=3)

    assert [info.step for info in run.store.list()] == [1]


def test_the_last_step_is_saved_whatever_the_rule(open_run: OpenRun) -> None:
    """The end of the training is always kept."""
    run = open_run(total=7, save=every(steps=5))
    walk(run)

    assert [(info.step, info.kind) for info in run.store.list()][-1] == (7, "final")


def test_a_run_that_was_ended_early_stays_ended(open_run: OpenRun) -> None:
    """After `break` the same program takes no step; asking for more goes on."""
    with open_run() as run:
        for step in run:
            if step == 3:
                break

    assert walk(open_run()) == []
    assert walk(open_run(total=12))[0] == 4


def test_a_step_that_counts_nothing_is_no_second_checkpoint(open_run: OpenRun) -> None:
    """`advance(0)` with a save due, or a stop, finds the step's checkpoint there and goes on."""
    run = open_run(total=3, save=every(steps=1))
    taken = 0
    for _ in run:
        taken += 1
        if taken in {2, 3}:
            run.advance(0)

    assert (run.step, taken) == (3, 5)
    assert [info.step for info in run.store.list()] == [1, 2, 3]


def test_the_loaded_state_is_not_kept(open_run: OpenRun) -> None:
    """Once restored, a checkpoint of many gigabytes does not stay in memory beside the state."""
    walk(open_run(), until=2)
    run = open_run()
    run.restore()

    assert run._origin.choice.loaded is not None
    assert run._origin.choice.loaded.state == {}


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_failed_start_leaves_the_run_free(open_run: OpenRun, seed: int) -> None:
    """A seed that no generator takes is refused before anything is touched."""
    with pytest.raises(UsageError, match="a seed is 0 to"):
        open_run(seed=seed)

    assert open_run(seed=1).attempt == 1


@pytest.mark.parametrize("count", [-2, 1.5, "a", True])
def test_a_step_counts_whole_numbers(open_run: OpenRun, count: Any) -> None:
    """What is no count is refused before anything is counted."""
    run = open_run()
    run.restore()

    with pytest.raises(UsageError, match="cannot count"):
        run.tick(count)

    assert run.step == 0
