"""`ResilientVecEnv` in a run: restarts are told, and a resumed run restarts as the whole one."""

import copy
import os
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import SubprocVecEnv, VecNormalize

from evertrain import Run, every
from evertrain.checkpoint.tree import flatten, unflatten
from evertrain.core.journal import Journal
from evertrain.integrations.sb3 import (
    EvertrainCallback,
    ResilientVecEnv,
    RestartBudget,
    learn,
    vector,
)
from integrations.frail import LIMITS, Frail, only
from integrations.frail import build as build_frail
from integrations.worlds import ROLLOUT, Crash, World, build, digest, rows, train

pytestmark = pytest.mark.slow


class Crumbling(World):
    """A world that breaks where its point gets too far: often, and the same in every attempt."""

    def step(self, action: Any) -> Any:
        """Take a step, or break."""
        result = super().step(action)
        if abs(self.point[0]) > 1.0:
            raise ArithmeticError("too far")
        return result


def resilient(world: Any = Crumbling, **options: Any) -> Any:
    """Return a small model with environments of that kind."""

    def make() -> Any:
        return Monitor(gymnasium.wrappers.TimeLimit(world(), 23))

    chosen: dict[str, Any] = {"budget": RestartBudget(per_window=None), "limits": LIMITS} | options
    model = build(World)
    model.set_env(VecNormalize(ResilientVecEnv([make] * 2, "fork", **chosen)))
    return model


def anything(kind: Any, factories: list[Any], **options: Any) -> Any:
    """Return a forked vector of that kind; its results are arrays, whatever its types say."""
    return kind(factories, "fork", **options)


def restarts(path: Path) -> list[dict[str, Any]]:
    """Return what the journal tells of restarts."""
    return list(Journal(path / "journal.jsonl").events("env_restarted"))


def stored(tree: Any) -> Any:
    """Take a tree through the checkpoint's own form."""
    flat = copy.deepcopy(flatten(tree))
    return unflatten(flat.skeleton, flat.arrays)


def test_a_training_whose_environments_crash_resumes_exactly(tmp_path: Path) -> None:
    """Seeds of restarted environments, counts and last observations come back."""
    train(tmp_path / "whole", resilient)
    with pytest.raises(Crash):
        train(tmp_path / "cut", resilient, crash_at=3 * ROLLOUT + 20)
    train(tmp_path / "cut", resilient)

    found = restarts(tmp_path / "whole")
    assert len(found) >= 4
    assert len(restarts(tmp_path / "cut")) >= len(found)
    assert found[0]["cause"] == "exception"
    assert found[0]["message"] == "ArithmeticError: too far in step"
    assert "in step" in found[0]["traceback"]
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


class KillWorkers(BaseCallback):
    """Kills a worker when a rollout has ended: the update, and the save, find it dead."""

    def __init__(self) -> None:
        """Kill nobody yet."""
        super().__init__()
        self.killed = 0

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        [pid] = self.training_env.env_method("where", indices=1)
        os.kill(pid[0], signal.SIGKILL)
        self.killed += 1


class Known(Frail):
    """A frail environment that tells its state."""

    def get_state(self) -> dict[str, Any]:
        """Return the number of its steps."""
        return {"steps": self._steps}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put it back."""
        self._steps = state["steps"]


class Still(Known):
    """One that no action kills."""

    def step(self, action: Any) -> Any:
        """Take a step."""
        del action
        return super().step(0)


@pytest.mark.parametrize("way", ["learn", "callback"])
def test_a_save_survives_a_dead_worker(
    way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is replaced, and its episode ends at the first step of the next rollout."""
    killer = KillWorkers()
    with Run(tmp_path / "run", total=48, seed=1, save=every(steps=1)) as run:
        venv = ResilientVecEnv([Still] * 2, "fork", limits=LIMITS)
        model = PPO("MlpPolicy", venv, n_steps=8, batch_size=8, n_epochs=1, device="cpu")
        if way == "learn":
            learn(run, model, callback=killer, log_interval=None)
        else:
            callbacks: list[BaseCallback] = [killer, EvertrainCallback(run)]
            model.learn(48, callback=callbacks)
        venv.close()

    found = restarts(tmp_path / "run")
    assert killer.killed == 3
    assert [(each["index"], each["signal"]) for each in found] == [(1, "SIGKILL")] * 3
    assert {each["phase"] for each in found} <= {"idle", "call"}  # before it heard, or after
    assert [each["restarts"] for each in found] == [1, 2, 3]
    assert "evertrain: environment 1 died: killed by SIGKILL" in capsys.readouterr().out


def test_what_is_owed_and_who_serves_comes_back() -> None:
    """A checkpoint between a death and the step that tells of it loses neither."""
    options: dict[str, Any] = {
        "budget": RestartBudget(lifetime=0),
        "spare": lambda index: Known(70 + index),
    }
    factories = [Known, Known, Known]
    with (
        closing(anything(ResilientVecEnv, factories, **options)) as old,
        closing(anything(ResilientVecEnv, factories, **options)) as new,
    ):
        old.seed(1)
        old.reset()
        before = old.step(only(0, "nothing"))[0]
        os.kill(old.env_method("where", indices=1)[0][0], signal.SIGKILL)
        tree = stored(vector.capture(old))

        assert vector.mismatches(new, tree) == []
        assert vector.restore(new, tree)
        served = new.get_attr("index")
        expected, result = (each.step(only(0, "nothing")) for each in (old, new))
        later = [each.step(only(0, "nothing"))[0] for each in (old, new)]

    assert served == [0, 71, 0]
    assert result[2].tolist() == expected[2].tolist() == [False, True, False]
    assert np.array_equal(result[3][1]["terminal_observation"], before[1])
    assert result[3][1]["env_failure"] == expected[3][1]["env_failure"]
    assert np.array_equal(result[0], expected[0])
    assert np.array_equal(*later)


def test_either_class_goes_on_from_the_other_s_checkpoint() -> None:
    """A run that was begun with `SubprocVecEnv` need not start over, nor one that goes back."""
    for first, second in (
        (SubprocVecEnv, ResilientVecEnv),
        (ResilientVecEnv, SubprocVecEnv),
    ):
        with closing(anything(first, [Known, Known])) as old:
            old.seed(1)
            old.reset()
            old.step(only(0, "nothing", 2))
            tree = stored(vector.capture(old))
            expected = old.step(only(0, "nothing", 2))
        with closing(anything(second, [Known, Known])) as new:
            assert vector.restore(new, tree)
            assert np.array_equal(new.step(only(0, "nothing", 2))[0], expected[0])


def test_an_emergency_checkpoint_asks_nobody_who_owes_an_answer() -> None:
    """A second Ctrl+C may come in the middle of a step; its thread must not read the answer."""
    with closing(build_frail()) as venv:
        venv.seed(1)
        venv.reset()
        venv.step_async(only(0, "nothing"))

        tree = stored(vector.capture(venv))

        assert tree["worlds"] is None
        assert [each["seed"] for each in tree["slots"]] == [1, 2, 3]
        assert venv.step_wait()[1].tolist() == [1.0] * 3


def test_a_reset_forgets_what_is_owed() -> None:
    """As at a barrier: every environment begins anew, with the seeds that it is given."""
    with closing(build_frail()) as venv:
        venv.seed(1)
        expected = venv.reset()
        venv.step_async(only(1, "SIGKILL"))
        venv.seed(1)

        assert np.array_equal(venv.reset(), expected)
        assert venv.step(only(0, "nothing"))[2].tolist() == [False] * 3
