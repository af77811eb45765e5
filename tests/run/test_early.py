"""Ends before the end: `break` and `finish`, with and without a `with` block, in every loop."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from evertrain import Run, Stage, every
from evertrain.core.errors import SaveError
from evertrain.core.journal import Journal
from evertrain.core.lock import read_owner
from evertrain.run.saver import Saver
from support import OpenRun, walk

STAGES = [Stage("easy", steps=3), Stage("hard", steps=3)]
SELDOM = every(steps=100)


def _end(run: Run) -> tuple[int, str] | None:
    """Return step and reason of the one `finished` in the journal, or None."""
    rows = Journal(run.path / "journal.jsonl").events("finished")
    assert len(rows) <= 1
    return (rows[0]["step"], rows[0]["why"]) if rows else None


def break_inner(run: Run) -> None:
    """Leave both loops in the middle of the second stage."""
    for stage in run.stages(STAGES):
        for step in stage:
            run.state.seen = step
            if step == 5:
                break
        if run.step + 1 >= 5:
            break


def break_outer(run: Run) -> None:
    """Leave the curriculum when its first stage is done."""
    for stage in run.stages(STAGES):
        for step in stage:
            run.state.seen = step
        break


def break_before_a_stage(run: Run) -> None:
    """Leave the curriculum when its second stage would begin."""
    for stage in run.stages(STAGES):
        if stage.index == 2:
            break
        for step in stage:
            run.state.seen = step


def break_plain(run: Run) -> None:
    """Leave a loop over the run in its fourth step."""
    for step in run:
        run.state.seen = step
        if step == 4:
            break


def break_behind_a_step(run: Run) -> None:
    """Leave a loop over the run when its fourth step has ended already."""
    for step in run:
        run.state.seen = step
        run.end_step()
        if step == 4:
            break


LOOPS = [
    (break_plain, 4),
    (break_behind_a_step, 4),
    (break_inner, 5),
    (break_outer, 3),
    (break_before_a_stage, 3),
]


def _open(open_run: OpenRun, loop: Callable[[Run], None]) -> Run:
    run = open_run(total=10 if "stage" not in str(loop.__doc__) else None, save=SELDOM)
    run.state.seen = 0
    return run


@pytest.mark.parametrize(("loop", "step"), LOOPS)
def test_break_in_a_block_ends_the_run(
    open_run: OpenRun, loop: Callable[[Run], None], step: int
) -> None:
    """Whichever loop is left, the run is complete, with the state of its last step."""
    with _open(open_run, loop) as run:
        loop(run)

    assert _end(run) == (step, "the loop was left early")
    assert run.store.latest().step == step  # type: ignore[union-attr]
    assert run.store.load().state["run.state"]["seen"] == step


@pytest.mark.parametrize(("loop", "step"), LOOPS)
def test_break_without_a_block_and_finish_ends_the_run(
    open_run: OpenRun, loop: Callable[[Run], None], step: int
) -> None:
    """`finish` says what a block would have seen; `close` completes."""
    run = _open(open_run, loop)
    loop(run)
    run.finish("good enough")
    run.close()

    assert _end(run) == (step, "good enough")
    assert run.store.load().state["run.state"]["seen"] == step


@pytest.mark.parametrize(("loop", "step"), LOOPS)
def test_break_without_a_block_and_without_finish_is_no_end(
    open_run: OpenRun, loop: Callable[[Run], None], step: int
) -> None:
    """`close` alone gives the run back: it goes on later."""
    del step
    run = _open(open_run, loop)
    loop(run)
    run.close()

    assert _end(run) is None


@pytest.mark.parametrize(("loop", "step"), LOOPS)
def test_an_end_by_break_is_an_end(
    open_run: OpenRun, loop: Callable[[Run], None], step: int
) -> None:
    """The same program, started again, takes no step."""
    with _open(open_run, loop) as run:
        loop(run)
    with _open(open_run, loop) as again:
        loop(again)

    assert again.step == step
    assert again.state.seen == step
    assert run.iteration == again.iteration


def test_a_tick_loop_that_finishes_saves_its_last_step(open_run: OpenRun) -> None:
    """A step that had ended before anybody called it the last is saved as the final one."""
    with open_run(save=SELDOM) as run:
        run.state.seen = 0
        run.restore()
        while run.tick():
            run.state.seen = run.step
            if run.step == 4:
                run.finish("good enough")
                break

    assert _end(run) == (4, "good enough")
    last = run.store.latest()
    assert last is not None
    assert (last.step, last.kind) == (4, "final")
    assert run.store.load().state["run.state"]["seen"] == 4


def test_a_tick_loop_that_is_left_is_no_end(open_run: OpenRun) -> None:
    """`tick` cannot know whether more would have come."""
    with open_run() as run:
        run.restore()
        for _ in range(4):
            run.tick()

    assert _end(run) is None


def test_looking_at_the_first_stage_ends_nothing(open_run: OpenRun) -> None:
    """A program that asks what would run, and leaves, has trained nothing."""
    with open_run(total=None) as run:
        assert next(run.stages(STAGES)).name == "easy"

    assert _end(run) is None


def test_a_stop_is_no_end(open_run: OpenRun) -> None:
    """With `on_stop="return"`, a stopped loop is over and the run is not."""
    with open_run(total=None, save=SELDOM) as run:
        for stage in run.stages(STAGES):
            for step in stage:
                if step == 2:
                    run._signals.ask("SIGTERM")

    assert run.is_stopped
    assert _end(run) is None
    assert walk(open_run())[0] == 3


def test_an_exception_on_its_way_is_no_end(open_run: OpenRun) -> None:
    """`finish` in a step that then fails does not make its half-made state the last one."""
    run = open_run(save=SELDOM)
    with pytest.raises(ZeroDivisionError):
        try:
            for step in run:
                if step == 3:
                    run.finish()
                    step / 0
        finally:
            assert sys.exception() is not None
            run.close()

    assert _end(run) is None
    assert walk(open_run())[0] == 2


def test_an_end_that_cannot_be_saved_gives_the_run_back(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of the last save arrives; the lease does not stay behind."""
    run = open_run(save=SELDOM)

    def refuse(*_: object, **__: object) -> None:
        raise SaveError("no room", "it is full", "delete something")

    with pytest.raises(SaveError), run:
        for step in run:
            if step == 3:
                monkeypatch.setattr(Saver, "save", refuse)
                break

    assert _end(run) is None
    owner = read_owner(Path(run.path) / "lock")
    assert owner is not None
    assert owner.pid == 0


def test_a_stop_behind_a_step_that_counted_nothing_says_what_is_on_disk(
    open_run: OpenRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """The step has its checkpoint, from before: that is told, and what is lost is done again."""
    run = open_run(save=every(steps=1))
    run.state.taken = 0
    for taken, _ in enumerate(run, start=1):
        run.state.taken = taken
        if taken in {3, 4}:
            run.advance(0)
        if taken == 4:
            run._signals.ask("SIGTERM")
    said = capsys.readouterr().out

    assert (run.step, run.is_stopped) == (2, True)
    assert "saved, and ready" not in said
    assert "the checkpoint of step 2 is 2 iteration(s) old" in said
    stopped = Journal(run.path / "journal.jsonl").last("stopped")
    assert stopped is not None
    assert stopped["unsaved"] == 2
    again = open_run()
    again.state.taken = 0
    again.restore()
    assert (again.step, again.iteration, again.state.taken) == (2, 2, 2)


def test_a_stop_that_is_saved_says_so(
    open_run: OpenRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """The journal leaves out what is not missing."""
    run = open_run(save=SELDOM)
    for step in run:
        if step == 3:
            run._signals.ask("SIGTERM")

    assert "saved, and ready to resume" in capsys.readouterr().out
    stopped = Journal(run.path / "journal.jsonl").last("stopped")
    assert stopped is not None
    assert "unsaved" not in stopped


def test_an_end_behind_a_step_that_counted_nothing_says_what_is_on_disk(
    open_run: OpenRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkpoint is never overwritten, also not by the last one."""
    with open_run(save=every(steps=1)) as run:
        run.restore()
        run.tick()
        run.tick(0)
        run.finish()

    assert _end(run) == (1, "finished early")
    assert "the checkpoint of step 1 is 1 iteration(s) old" in capsys.readouterr().out
