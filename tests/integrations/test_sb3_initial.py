"""`init_from` and Stable-Baselines3: the policy is taken, the training starts anew."""

from pathlib import Path
from typing import Any

import pytest
import torch
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env

from evertrain import Run, every
from evertrain.integrations.sb3 import learn
from integrations.worlds import World


def _model(algorithm: Any = PPO, seed: int = 1) -> Any:
    env = make_vec_env(World, n_envs=2)
    return algorithm("MlpPolicy", env, n_steps=32, seed=seed, device="cpu")


@pytest.mark.slow
def test_the_policy_is_taken_and_nothing_else(tmp_path: Path) -> None:
    """Counters, moments and environments are those of a fresh start, which then trains in full."""
    teacher = _model()
    with Run(tmp_path / "source", total=128, seed=1, save=every(steps=1)) as run:
        learn(run, teacher, log_interval=None)

    pupil = _model(seed=2)
    with Run(tmp_path / "run", total=64, seed=2, init_from=tmp_path / "source") as run:
        run.attach(model=pupil)
        run.restore()
        for key, value in teacher.policy.state_dict().items():
            assert torch.equal(pupil.policy.state_dict()[key], value)
        assert (run.step, pupil.num_timesteps, pupil._n_updates) == (0, 0, 0)
        assert pupil.policy.optimizer.state_dict()["state"] == {}
        learn(run, pupil, log_interval=None)

    assert (run.step, pupil.num_timesteps) == (64, 64)


@pytest.mark.slow
def test_another_algorithm_may_take_the_policy(tmp_path: Path) -> None:
    """What is compared is the policy: its shapes are the same."""
    teacher, pupil = _model(), _model(A2C, seed=2)
    with Run(tmp_path / "source", total=64, seed=1) as run:
        learn(run, teacher, log_interval=None)
    with Run(tmp_path / "run", total=64, init_from=tmp_path / "source") as run:
        run.attach(model=pupil)
        run.restore()

    for key, value in teacher.policy.state_dict().items():
        assert torch.equal(pupil.policy.state_dict()[key], value)
