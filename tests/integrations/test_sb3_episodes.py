"""`Episodes`: a loop that counts episodes of an SB3 model, resumed bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import DDPG, DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.noise import OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from evertrain import Run, every
from evertrain.core.errors import ConfigError
from evertrain.integrations.sb3 import Episodes
from integrations.worlds import Crash, CrashAt, StatelessWorld, World, digest, rows
from support import resumed_from

EPISODES = 6
STEPS = 23  # in each


def discrete(kind: type[StatelessWorld]) -> Callable[[], StatelessWorld]:
    """Return a factory of worlds with three actions."""

    def make() -> StatelessWorld:
        world = kind()
        world.action_space = gymnasium.spaces.Discrete(3)
        return world

    return make


def build(algorithm: type[Any], make: Callable[[], Any], **options: Any) -> Any:
    """Return a small model that learns after each episode."""
    inner = DummyVecEnv([lambda: Monitor(gymnasium.wrappers.TimeLimit(make(), STEPS))])
    chosen = {
        "learning_starts": 30,
        "train_freq": (1, "episode"),
        "gradient_steps": 5,
        "buffer_size": 80,
        "batch_size": 16,
        "policy_kwargs": {"net_arch": [8]},
    }
    return algorithm("MlpPolicy", VecNormalize(inner), device="cpu", **chosen | options)


PROGRAMS: dict[str, Callable[[], Any]] = {
    "DQN": lambda: build(DQN, discrete(World), target_update_interval=30),
    "DQN, reset before each episode": lambda: build(DQN, discrete(StatelessWorld)),
    "DDPG with noise": lambda: build(
        DDPG, World, action_noise=OrnsteinUhlenbeckActionNoise(np.zeros(1), np.ones(1))
    ),
}


def train(
    path: Path, make_model: Callable[[], Any], *, crash_at: int | None = None, total: int = EPISODES
) -> Any:
    """Run the whole program once, as a loop over episodes."""
    np.random.seed(None)  # noqa: NPY002
    torch.seed()
    with Run(path, total=total, unit="episode", seed=7, save=every(steps=1)) as run:
        model = make_model()
        episodes = Episodes(
            run, model, total_timesteps=EPISODES * STEPS, callback=CrashAt(crash_at)
        )
        for _ in run:
            run.log(episodes.play())
    return model


@pytest.mark.parametrize("name", PROGRAMS)
def test_killed_in_an_episode_it_ends_where_it_would_have(name: str, tmp_path: Path) -> None:
    """A step is an episode; the crash in the middle of the fifth costs half of it."""
    whole = train(tmp_path / "whole", PROGRAMS[name])
    with pytest.raises(Crash):
        train(tmp_path / "cut", PROGRAMS[name], crash_at=4 * STEPS + 11)

    resumed = train(tmp_path / "cut", PROGRAMS[name])

    assert resumed_from(tmp_path / "cut") > 0
    assert resumed.num_timesteps == whole.num_timesteps == EPISODES * STEPS
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")
    logged = rows(tmp_path / "whole")
    assert rows(tmp_path / "cut") == logged
    assert [row["step"] for row in logged] == list(range(1, EPISODES + 1))
    assert [row["rollout/ep_len_mean"] for row in logged] == [STEPS] * EPISODES
    assert logged[-1]["train/n_updates"] == (EPISODES - 1) * 5


def test_a_schedule_follows_the_whole_training(tmp_path: Path) -> None:
    """Of all episodes and all attempts; without a length it stays at its beginning."""

    def falling() -> Any:
        return build(DQN, discrete(World), learning_rate=lambda left: 1e-2 * left)

    train(tmp_path / "run", falling, total=4)
    train(tmp_path / "run", falling)

    rates = [row["train/learning_rate"] for row in rows(tmp_path / "run")[1:]]
    assert rates == pytest.approx([1e-2 * (1 - n / EPISODES) for n in range(2, EPISODES + 1)])
    with Run(tmp_path / "endless", total=3, unit="episode") as run:
        episodes = Episodes(run, falling())
        found = [episodes.play() for _ in run]
    assert [row["train/learning_rate"] for row in found[1:]] == [1e-2, 1e-2]


class Enough(BaseCallback):
    """Ends the training in its third episode."""

    def _on_step(self) -> bool:
        return self.num_timesteps < 2 * STEPS + 5


def test_a_callback_may_end_the_training(tmp_path: Path) -> None:
    """Then the run is finished, and stays so."""
    with Run(tmp_path / "run", total=EPISODES, unit="episode", seed=1) as run:
        episodes = Episodes(run, PROGRAMS["DQN"](), callback=Enough())
        played = [episodes.play() for _ in run]

    assert len(played) == 3
    assert played[-1] == {}
    with Run(tmp_path / "run", total=EPISODES, unit="episode") as again:
        Episodes(again, PROGRAMS["DQN"]())
        assert list(again) == []


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: build(DQN, discrete(World), train_freq=4), "train_freq="),
        (lambda: build(DQN, discrete(World), train_freq=(2, "episode")), "train_freq="),
        (lambda: PPO("MlpPolicy", DummyVecEnv([World]), device="cpu"), "a PPO is trained by"),
        (
            lambda: DQN("MlpPolicy", DummyVecEnv([discrete(World)] * 2), device="cpu"),
            "2 environments",
        ),
    ],
    ids=["by steps", "by two episodes", "on policy", "two environments"],
)
def test_a_model_whose_rollout_is_no_episode_is_refused(
    make: Callable[[], Any], problem: str, tmp_path: Path
) -> None:
    """A step of the run would be something else than an episode."""
    with (
        Run(tmp_path / "run", total=3, unit="episode") as run,
        pytest.raises(ConfigError, match=problem),
    ):
        Episodes(run, make())
