"""Other environments, accepted by `partial`: what is of all of them together is kept, and told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecEnv,
    VecEnvWrapper,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
)

from evertrain import Run, every
from evertrain.core.errors import StateError
from evertrain.integrations.sb3 import EvertrainCallback, learn
from integrations.worlds import World

STEPS = 384


class Mine(VecNormalize):
    """A class of the program's own, with a count of its own."""

    def __init__(self, venv: VecEnv) -> None:
        super().__init__(venv)
        self.resets = 0

    def reset(self) -> Any:
        self.resets += 1
        return super().reset()


class Counting(VecEnvWrapper):
    """A class of the program's own that is not known to keep statistics."""

    def __init__(self, venv: VecEnv) -> None:
        super().__init__(venv)
        self.steps = np.zeros(venv.num_envs)

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        self.steps += 1
        return self.venv.step_wait()


def _build(count: int, wrap: Callable[[VecEnv], VecEnv], algorithm: Any = PPO) -> Any:
    options = {"batch_size": 32} if algorithm is PPO else {}
    env = wrap(DummyVecEnv([World] * count))
    return algorithm("MlpPolicy", env, n_steps=32, seed=1, device="cpu", **options)


def _train(path: Path, model: Any, total: int, *partial: str, own_learn: bool = False) -> Any:
    """Train, and return the statistics as they were when the run had been restored."""
    found: dict[str, Any] = {}
    with Run(path, total=total, save=every(steps=64), partial=partial) as run:
        restore = run.restore

        def look() -> None:
            restore()
            if not found:  # it is called with each step, and does nothing then
                found.update(_statistics(model))

        run.restore = look  # type: ignore[method-assign]
        if own_learn:
            model.learn(total, callback=EvertrainCallback(run), log_interval=None)
        else:
            learn(run, model, log_interval=None)
    return found


def _statistics(model: Any) -> dict[str, Any]:
    norm = model.get_vec_normalize_env()
    parts = {"obs": norm.obs_rms, "ret": norm.ret_rms}
    return {
        name: (each.mean.tolist(), each.var.tolist(), float(each.count))
        for name, each in parts.items()
    }


@pytest.mark.parametrize("own_learn", [False, True])
@pytest.mark.parametrize("wrap", [VecNormalize, Mine])
def test_statistics_outlive_another_number_of_environments(
    wrap: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, own_learn: bool
) -> None:
    """They are of all environments together; returns and episodes of each begin anew."""
    model = _build(2, wrap)
    _train(tmp_path, model, STEPS, own_learn=own_learn)
    capsys.readouterr()

    other = _build(3, wrap)
    names = ["model.env.num_envs"]
    found = _train(tmp_path, other, 2 * STEPS, *names, own_learn=own_learn)

    assert found == _statistics(model)
    assert other.env.returns.shape == (3,)
    assert other.env.obs_rms.count > model.env.obs_rms.count + STEPS
    kind = wrap.__name__
    assert (
        "not restored: model.env.num_envs: 2 environments there, 3 here; all environments begin"
        f" new episodes; these are kept: {kind}.obs_rms, {kind}.ret_rms"
    ) in capsys.readouterr().out


def test_statistics_outlive_other_wrappers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each wrapper takes up what the first of its class has left."""
    model = _build(2, lambda env: VecNormalize(VecMonitor(env)))
    model.env.venv.episode_count = 40
    _train(tmp_path, model, STEPS)
    capsys.readouterr()

    other = _build(2, lambda env: VecMonitor(Counting(VecNormalize(env))))
    found = _train(tmp_path, other, 2 * STEPS, "model.env.wrappers")

    assert found == _statistics(model)
    assert other.env.episode_count >= 40
    assert "kept: VecMonitor.episode_count, VecNormalize.obs_rms" in capsys.readouterr().out


def test_statistics_of_other_observations_start_fresh(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What does not fit is not forced in, and is told with what the program's own keep."""
    model = _build(2, lambda env: VecNormalize(Counting(env)))
    _train(tmp_path, model, STEPS)
    capsys.readouterr()

    other = _build(3, lambda env: VecNormalize(VecFrameStack(Counting(env), 2)))
    accepted = ["model.env.*", "model.policy.*", "model.policy.optimizer*"]
    found = _train(tmp_path, other, 2 * STEPS, *accepted)

    assert found["obs"][2] < 10
    assert found["ret"] == _statistics(model)["ret"]
    said = capsys.readouterr().out
    assert "fresh: VecNormalize.obs_rms, Counting; these are kept: VecNormalize.ret_rms" in said
    assert "not restored: model.env.wrappers: " in said
    assert "not restored: model.policy.mlp_extractor.policy_net.0.weight: shape" in said


def test_the_error_says_what_is_lost(tmp_path: Path) -> None:
    """Before it is accepted, one knows what that costs; all that differs is named at once."""
    _train(tmp_path, _build(2, VecNormalize), 64)

    with pytest.raises(StateError, match="if accepted: all environments begin new") as caught:
        _train(tmp_path, _build(3, lambda env: VecMonitor(VecNormalize(env))), 128)
    assert "'model.env.num_envs', 'model.env.wrappers'" in caught.value.fix


@pytest.mark.parametrize("pattern", ["model.class", "*"])
def test_another_algorithm_is_refused_whatever_is_accepted(pattern: str, tmp_path: Path) -> None:
    """Little of a model has a place in one of another class: that would be no resume."""
    _train(tmp_path, _build(2, VecNormalize, A2C), 64)

    with pytest.raises(StateError, match=r"model\.class: A2C there, PPO here") as caught:
        _train(tmp_path, _build(2, VecNormalize), 128, pattern)
    assert "partial=" not in caught.value.fix
