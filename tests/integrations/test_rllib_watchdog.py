"""RLlib returns normally when nothing was played: who counts new steps notices."""

import logging
import math
from pathlib import Path
from typing import Any

import pytest

from evertrain.integrations.rllib import EnvStepWatchdog, NoStepsError, faults
from evertrain.integrations.rllib.watchdog import new_steps
from evertrain.testing.clock import FakeClock

EMPTY: list[dict[str, Any]] = [
    {},
    {"env_runners": {}},
    {"env_runners": {"num_env_steps_sampled": 0}},
    {"env_runners": {"num_env_steps_sampled": math.nan}},
    {"num_env_steps_sampled_this_iter": 0},
]


def played(steps: int) -> dict[str, Any]:
    """Return the result of an iteration."""
    return {"env_runners": {"num_env_steps_sampled": float(steps)}, "training_iteration": 1}


@pytest.mark.parametrize("result", EMPTY)
def test_an_empty_result_has_no_steps(result: dict[str, Any]) -> None:
    """Whatever RLlib leaves out."""
    assert new_steps(result) == 0


def test_both_api_stacks_say_how_many_there_were() -> None:
    """Each under a name of its own."""
    assert new_steps(played(64)) == 64
    assert new_steps({"env_runners": {}, "num_env_steps_sampled_this_iter": 32}) == 32


def test_steps_are_added_up_over_restarts() -> None:
    """The count of the last attempt goes on."""
    first, second = EnvStepWatchdog(None), EnvStepWatchdog(None)
    first.look(played(64))
    first.look(played(64))
    second.load_state_dict(first.state_dict())

    assert second.look(played(10)) == 10
    assert second.steps == 138


def test_a_runner_may_be_replaced() -> None:
    """A few empty iterations are what RLlib needs; what comes then begins a new count."""
    clock = FakeClock()
    watchdog = EnvStepWatchdog(None, max_empty=3, clock=clock)

    for _ in range(4):
        watchdog.look({})
        watchdog.look({})
        watchdog.look(played(1))
    assert watchdog.empty == 0


def test_iterations_without_a_step_end_the_training() -> None:
    """With what RLlib said of its runners."""
    watchdog = EnvStepWatchdog(None, max_empty=3)
    logger = logging.getLogger("ray.rllib.utils.actor_manager")
    logger.error("Ray error (the simulator is gone), taking actor 1 out of service.")
    watchdog.look({})
    watchdog.look({})

    with pytest.raises(NoStepsError, match=r"3 iterations .*the simulator is gone"):
        watchdog.look({})


def test_what_was_said_before_is_forgotten() -> None:
    """A runner that was replaced yesterday is not today's cause."""
    watchdog = EnvStepWatchdog(None, max_empty=1)
    logging.getLogger("ray.rllib.utils.actor_manager").error("yesterday")
    watchdog.look(played(1))

    with pytest.raises(NoStepsError, match="no runner said why"):
        watchdog.look({})


def test_an_old_log_is_not_todays_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a runner's log only what was written since the last step counts; RLlib's word first."""
    monkeypatch.setattr(faults, "_log_dir", lambda: tmp_path)
    line = "Worker exception caught during `apply()`: {}\n"
    log = tmp_path / "worker-1.err"
    log.write_text(line.format("yesterday"))
    watchdog = EnvStepWatchdog(None, max_empty=1)
    with pytest.raises(NoStepsError, match="no runner said why"):
        watchdog.look({})
    watchdog.look(played(1))
    with log.open("a") as file:
        file.write(line.format("the door is locked"))

    with pytest.raises(NoStepsError, match="the door is locked"):
        watchdog.look({})
    logging.getLogger("ray.rllib.utils.actor_manager").error("the runner ran out of memory")
    with pytest.raises(NoStepsError, match="out of memory"):
        watchdog.look({})


def test_watchdogs_leave_nothing_behind() -> None:
    """However many there were, RLlib's logger has one listener of theirs."""
    logger = logging.getLogger("ray.rllib.utils.actor_manager")
    EnvStepWatchdog(None)
    before = len(logger.handlers)

    EnvStepWatchdog(None)

    assert len(logger.handlers) == before


def test_minutes_without_a_step_end_it_too() -> None:
    """A hanging runner takes a minute for each empty iteration; one alone may be a long step."""
    clock = FakeClock()
    watchdog = EnvStepWatchdog(None, max_empty=100, max_minutes=5, clock=clock)
    clock.advance(3_600)
    watchdog.look({})

    with pytest.raises(NoStepsError, match="2 iterations"):
        watchdog.look({})
