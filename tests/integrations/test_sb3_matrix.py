"""Each algorithm, in one process and in workers, normalized or not: killed and exactly resumed.

The environments are Gymnasium's own, which tell nothing about their state. The kill is
SIGKILL, in the middle of a rollout and of an episode, to a process that the test forks.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecNormalize

from evertrain import Run, every
from evertrain.integrations.sb3 import EvertrainCallback, learn
from integrations.worlds import digest, rows

pytestmark = pytest.mark.slow

ROLLOUT = 32  # steps of 2 environments
TOTAL = 5 * ROLLOUT
KILL = 3 * ROLLOUT + 10

_OFF_POLICY: dict[str, Any] = {
    "learning_starts": 20,
    "train_freq": ROLLOUT // 2,
    "buffer_size": 100,
}
PROGRAMS: dict[str, tuple[type[Any], str, dict[str, Any]]] = {
    "PPO": (PPO, "CartPole-v1", {"n_steps": ROLLOUT // 2, "batch_size": 16, "n_epochs": 2}),
    "A2C": (A2C, "CartPole-v1", {"n_steps": ROLLOUT // 2}),
    "DQN": (DQN, "CartPole-v1", {**_OFF_POLICY, "target_update_interval": 40}),
    "SAC": (SAC, "Pendulum-v1", _OFF_POLICY),
    "TD3": (TD3, "Pendulum-v1", {**_OFF_POLICY, "learning_rate": lambda left: 1e-3 * left}),
}


class KillAt(BaseCallback):
    """Kills its own process, which gets no chance to say anything."""

    def __init__(self, step: int | None) -> None:
        super().__init__()
        self._step = step

    def _on_step(self) -> bool:
        if self._step is not None and self.num_timesteps >= self._step:
            os.kill(os.getpid(), signal.SIGKILL)
        return True


def build(name: str, kind: type[VecEnv], *, is_normalized: bool) -> Any:
    """Return a small model, as a program builds it in every attempt."""
    algorithm, env_id, options = PROGRAMS[name]

    def make() -> gymnasium.Env[Any, Any]:
        return Monitor(gymnasium.make(env_id))

    inner = SubprocVecEnv([make] * 2, "fork") if kind is SubprocVecEnv else DummyVecEnv([make] * 2)
    venv = VecNormalize(inner) if is_normalized else inner
    noise = {"action_noise": NormalActionNoise(np.zeros(1), np.ones(1))} if name == "TD3" else {}
    return algorithm("MlpPolicy", venv, policy_kwargs={"net_arch": [8]}, **options, **noise)


def train(
    path: Path,
    make: Callable[[], Any],
    kill_at: int | None = None,
    callback: Callable[[Any], BaseCallback] | None = None,
    *,
    has_own_learn: bool = False,
) -> Any:
    """Run the whole program once."""
    np.random.seed(None)  # noqa: NPY002
    torch.seed()
    with Run(path, total=TOTAL, seed=7, save=every(steps=1)) as run:
        model = make()
        others = [callback(model)] if callback else []
        if has_own_learn:
            model.env.seed(5)
            model.action_space.seed(5)
            listeners = [*others, KillAt(kill_at), EvertrainCallback(run)]
            model.learn(TOTAL, callback=listeners, log_interval=None)
        else:
            learn(run, model, callback=[*others, KillAt(kill_at)], log_interval=None)
        model.env.close()
    return model


def kill(act: Callable[[], Any]) -> None:
    """Let a forked process do something that ends it with SIGKILL."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            act()
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    with suppress(ProcessLookupError):  # its workers, which hold each other's pipes open
        os.killpg(pid, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


@pytest.mark.parametrize("is_normalized", [True, False], ids=["normalized", "plain"])
@pytest.mark.parametrize("kind", [DummyVecEnv, SubprocVecEnv])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_killed_training_goes_on_exactly(
    name: str, kind: type[VecEnv], tmp_path: Path, *, is_normalized: bool
) -> None:
    """All that the last checkpoint holds, and every metric, equals an uninterrupted run's."""

    def make() -> Any:
        return build(name, kind, is_normalized=is_normalized)

    train(tmp_path / "whole", make)
    kill(lambda: train(tmp_path / "cut", make, KILL))
    resumed = train(tmp_path / "cut", make)

    assert 0 < resumed._num_timesteps_at_start < TOTAL  # it did resume
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


@pytest.mark.parametrize("has_own_learn", [False, True], ids=["learn", "model.learn"])
def test_evaluations_are_those_of_an_uninterrupted_run(
    tmp_path: Path, *, has_own_learn: bool
) -> None:
    """The best score so far is kept, no row is doubled, and no first model counts as the best."""

    def watch(path: Path) -> Callable[[Any], BaseCallback]:
        def make_callback(model: Any) -> BaseCallback:
            venv = DummyVecEnv([lambda: Monitor(gymnasium.make("CartPole-v1"))])
            venv.seed(11)
            return EvalCallback(
                VecNormalize(venv, training=False),
                eval_freq=10,
                n_eval_episodes=2,
                log_path=str(path / "log"),
                best_model_save_path=str(path / "best"),
                verbose=0,
            )

        return make_callback

    def run_it(name: str, kill_at: int | None = None) -> None:
        make = lambda: build("PPO", DummyVecEnv, is_normalized=True)  # noqa: E731
        files = watch(tmp_path / f"{name} files")
        train(tmp_path / name, make, kill_at, files, has_own_learn=has_own_learn)

    run_it("whole")
    kill(lambda: run_it("cut", KILL))
    run_it("cut")

    whole, cut = (
        np.load(tmp_path / f"{name} files/log/evaluations.npz") for name in ("whole", "cut")
    )
    assert len(whole["timesteps"]) == TOTAL // 20
    for key in ("timesteps", "results", "ep_lengths"):
        assert np.array_equal(whole[key], cut[key]), key
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")
