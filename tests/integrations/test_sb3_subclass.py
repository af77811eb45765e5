"""A vector of the program's own class: what it counts comes back, what does not is told."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from evertrain.integrations.sb3 import subclass
from integrations.worlds import ROLLOUT, Crash, World, digest, train


class Counting(DummyVecEnv):
    """It pays for each step that it has ever taken."""

    def __init__(self, factories: Any) -> None:
        super().__init__(factories)
        self.steps = 0
        self.first = self.envs[0]

    def step_wait(self) -> Any:
        observations, rewards, dones, infos = super().step_wait()
        self.steps += 1
        return observations, rewards + 0.01 * self.steps, dones, infos


class CountingWorkers(SubprocVecEnv):
    """The same, with its environments in workers."""

    def __init__(self, factories: Any) -> None:
        super().__init__(factories, start_method="fork")
        self.returns = np.zeros(2)

    def step_wait(self) -> Any:
        observations, rewards, dones, infos = super().step_wait()
        self.returns += rewards
        return observations, rewards + 0.01 * self.returns, dones, infos


class Closed(Counting):
    """It counts where nobody can look."""

    def __init__(self, factories: Any) -> None:
        super().__init__(factories)
        self.numbers = itertools.cycle([1, 2, 3])


def program(kind: Any) -> PPO:
    """Return a small PPO on two environments."""
    venv = kind([World] * 2)
    net = {"net_arch": [8]}
    return PPO(
        "MlpPolicy", venv, n_steps=ROLLOUT // 2, batch_size=32, n_epochs=1, policy_kwargs=net
    )


@pytest.mark.parametrize("kind", [Counting, CountingWorkers])
def test_attributes_of_its_own_come_back(
    kind: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They decide about rewards, and so about everything."""
    train(tmp_path / "whole", lambda: program(kind))
    with pytest.raises(Crash):
        train(tmp_path / "cut", lambda: program(kind), crash_at=3 * ROLLOUT + 20)
    train(tmp_path / "cut", lambda: program(kind))

    assert "not an exact resume" not in capsys.readouterr().out
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")


def test_what_cannot_be_kept_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At the start, and by each resume."""
    with pytest.raises(Crash):
        train(tmp_path, lambda: program(Closed), crash_at=3 * ROLLOUT + 20)
    hidden = ".numbers is a itertools.cycle, which cannot be looked into"
    assert f"of the vector: {hidden}" in capsys.readouterr().out

    train(tmp_path, lambda: program(Closed))

    assert f"not an exact resume: the vector: {hidden}" in capsys.readouterr().out


def test_sb3_s_own_have_none() -> None:
    """Buffers that each step fills again are no state."""
    assert subclass.capture(DummyVecEnv([World])) is None


def test_another_class_is_told() -> None:
    """What the one counted has no place in the other."""
    tree = subclass.capture(Counting([World]))
    assert tree is not None

    [problem] = subclass.restore(Closed([World]), tree)

    assert problem.startswith("the vector: it was Counting, and a fresh one has a ")


class Deaf(Counting):
    """It asks no environment anything."""

    def env_method(self, *_: Any, **__: Any) -> list[Any]:
        return [None] * self.num_envs


def test_a_vector_that_asks_nobody_is_reset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It counts as not made of Gymnasium's environments, whose states are unknown."""
    train(tmp_path, lambda: program(Deaf), total=ROLLOUT)

    said = capsys.readouterr().out
    assert "environment state: by barrier" in said
    assert "they are not Gymnasium's" in said
