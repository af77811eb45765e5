"""Small environments for the tests of the SB3 integration, and programs around them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecNormalize

from evertrain import Run, Store, every
from evertrain.checkpoint.manifest import state_digest
from evertrain.checkpoint.read import read_checkpoint
from evertrain.integrations.sb3 import learn

Observation = NDArray[np.float32]
ROLLOUT = 64  # steps of 2 environments
TOTAL = 6 * ROLLOUT


class StatelessWorld(gymnasium.Env[Observation, Any]):
    """A noisy point to be kept at the origin; it does not tell its state."""

    def __init__(self, *, is_discrete: bool = False) -> None:
        """Build it; `reset` starts it."""
        self.observation_space = gymnasium.spaces.Box(-9.0, 9.0, (3,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        if is_discrete:
            self.action_space = gymnasium.spaces.Discrete(3)
        self.point = np.zeros(3)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start somewhere."""
        super().reset(seed=seed, options=options)
        self.point = self.np_random.normal(size=3)
        return self.point.astype(np.float32), {}

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Push the point; the global generator of its process joins in."""
        push = float(np.ravel(action)[0])
        noise = self.np_random.normal(size=3) + 0.1 * np.random.normal()  # noqa: NPY002
        self.point = 0.9 * self.point + 0.1 * noise + 0.1 * push
        return self.point.astype(np.float32), -float(np.abs(self.point).sum()), False, False, {}


class World(StatelessWorld):
    """The same, with its state to give away."""

    def get_state(self) -> dict[str, Any]:
        """Return where the point is."""
        return {"point": self.point.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put the point there."""
        self.point = np.array(state["point"])


class Crash(Exception):  # noqa: N818
    """What ends a training in the tests."""


class CrashAt(BaseCallback):
    """Crashes in the middle of a rollout."""

    def __init__(self, step: int | None) -> None:
        """Remember at which step; None never does."""
        super().__init__()
        self._step = step

    def _on_step(self) -> bool:
        if self._step is not None and self.num_timesteps >= self._step:
            raise Crash
        return True


def build(
    make: Callable[[], gymnasium.Env[Any, Any]] = World,
    *,
    is_parallel: bool = False,
    algorithm: type[Any] = PPO,
    **options: Any,
) -> Any:
    """Return a small model, as a program builds it in every attempt."""

    def wrapped() -> gymnasium.Env[Any, Any]:
        return Monitor(gymnasium.wrappers.TimeLimit(make(), 23))

    inner: VecEnv = DummyVecEnv([wrapped] * 2)
    if is_parallel:
        inner = SubprocVecEnv([wrapped] * 2, start_method="fork")  # the fastest to start
    chosen: dict[str, Any] = {"n_steps": ROLLOUT // 2, "policy_kwargs": {"net_arch": [8]}} | options
    if algorithm is PPO:
        chosen = {
            "batch_size": 32,
            "n_epochs": 2,
            "learning_rate": lambda left: 1e-2 * left,
        } | chosen
    return algorithm("MlpPolicy", VecNormalize(inner), device="cpu", **chosen)


def train(
    path: Path,
    make_model: Callable[[], Any],
    *,
    crash_at: int | None = None,
    total: int = TOTAL,
    **options: Any,
) -> Any:
    """Run the whole program once: build, resume what is there, train to the end."""
    np.random.seed(None)  # noqa: NPY002
    torch.seed()
    with Run(path, total=total, seed=7, save=every(steps=1), resume="auto") as run:
        model = make_model()
        try:
            learn(run, model, callback=CrashAt(crash_at), log_interval=None, **options)
        finally:
            model.env.close()
    return model


def digest(path: Path) -> str:
    """Return the digest of everything that the last checkpoint of a run holds."""
    newest = Store(path).latest()
    assert newest is not None
    return state_digest(read_checkpoint(newest.path).manifest)


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the metrics of a run, less what tells when they were written."""
    with Run(path, total=1, resume="auto") as run:
        return [
            {k: v for k, v in row.items() if k not in {"time", "attempt"}} for row in run.metrics
        ]
