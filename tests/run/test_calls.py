"""What the methods of a run are given is judged at the call, in words."""

from collections.abc import Callable
from typing import Any

import pytest

from evertrain import Run, Stage, every
from evertrain.core.errors import UsageError
from evertrain.core.heartbeat import read_beat
from support import OpenRun

STAGES = [Stage("a", steps=1), Stage("b", steps=1)]
CALLS: dict[str, Callable[[Any], object]] = {
    "due(5)": lambda run: run.due(5),
    "due(None)": lambda run: run.due(None),
    "due(every)": lambda run: run.due(every),
    "phase(5)": lambda run: run.phase(5),
    "phase(surrogate)": lambda run: run.phase("\ud800"),
    "say(5)": lambda run: run.say(5),
    "say(None)": lambda run: run.say(None),
    "stages(None)": lambda run: run.stages(None),
    "stages(str)": lambda run: run.stages("ab"),
    "stages([None])": lambda run: run.stages([None]),
    "stages(empty generator)": lambda run: run.stages(iter([])),
    "stages(apply)": lambda run: run.stages(STAGES, apply=3),
    "finish(object)": lambda run: run.finish(object()),
    "finish(None)": lambda run: run.finish(None),
    "finish(empty)": lambda run: run.finish(""),
    "finish(blank)": lambda run: run.finish(" \n"),
    "finish(surrogate)": lambda run: run.finish("\ud800"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_cannot_mean_anything_is_refused(open_run: OpenRun, name: str) -> None:
    """It is told at the call, and the training goes on."""
    run = open_run(total=2)
    next(run)

    with pytest.raises(UsageError) as caught:
        CALLS[name](run)

    assert str(caught.value).isprintable() or "\n" in str(caught.value)
    assert list(run) == [2]


@pytest.mark.parametrize("name", ["", " ", "a\nb", 3, None, "\ud800"])
def test_a_stage_has_a_name(name: Any) -> None:
    """It is printed, and `stage:NAME` goes back to it."""
    with pytest.raises(UsageError, match="is called"):
        Stage(name, steps=1)


@pytest.mark.parametrize("steps", [1.5, True, "3", None, -1, 10**30])
def test_a_stage_has_a_whole_length(steps: Any) -> None:
    """Half a step, or True, is none."""
    with pytest.raises(UsageError, match="steps"):
        Stage("a", steps=steps)


@pytest.mark.parametrize("overrides", [None, "lr", 5, [("lr", 1)]])
def test_overrides_go_by_name(overrides: Any) -> None:
    """Anything else would fail when the stage begins, hours later."""
    with pytest.raises(UsageError, match="overrides"):
        Stage("a", steps=1, overrides=overrides)


def test_a_phase_shields_and_ends(open_run: OpenRun) -> None:
    """Its name is in the heartbeat while it lasts; after the run is closed it does nothing."""
    run: Run = open_run(total=2)
    next(run)
    with run.phase("eval"):
        beat = read_beat(run.path / "heartbeat")
        assert beat is not None
        assert beat.phase == "eval"
    beat = read_beat(run.path / "heartbeat")
    assert beat is not None
    assert beat.phase == "first"
    run.close()
    with run.phase("eval", isolate_rng=True):
        pass
