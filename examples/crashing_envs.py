"""Train PPO on environments that crash and hang at random, and count what it survived.

python examples/crashing_envs.py [RUN]
"""

import ctypes
import random
import sys
import time
from collections import Counter
from typing import Any

import gymnasium
from stable_baselines3 import PPO
from stable_baselines3.common.monitor import Monitor

from evertrain import Run
from evertrain.core.journal import Journal
from evertrain.integrations.sb3 import EnvLimits, ResilientVecEnv, RestartBudget, learn

TOTAL = 20_480


class Unstable(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Raises, segfaults or hangs once in some thousand steps."""

    def step(self, action: Any) -> Any:
        """Take a step, if all goes well."""
        chance = random.random() * 5_000
        if chance < 1:
            raise ArithmeticError("the solver diverged")
        if chance < 2:
            ctypes.string_at(0)
        if chance < 3:
            time.sleep(3600)
        return super().step(action)


def make_env() -> Any:
    """Return one environment."""
    return Monitor(Unstable(gymnasium.make("CartPole-v1")))


def main(path: str) -> None:
    """Train, and say how often environments died of what."""
    with Run(path, total=TOTAL, seed=0) as run:
        venv = ResilientVecEnv(
            [make_env] * 4, limits=EnvLimits(step_s=2.0), budget=RestartBudget(per_window=None)
        )
        learn(run, PPO("MlpPolicy", venv, n_steps=512, device="cpu"), log_interval=None)
        rewards = [
            row["rollout/ep_rew_mean"] for row in run.metrics if "rollout/ep_rew_mean" in row
        ]
        venv.close()
        journal = Journal(run.path / "journal.jsonl")
    causes = Counter(row["cause"] for row in journal.events("env_restarted"))
    print(f"\nreward {rewards[0]:.0f} -> {rewards[-1]:.0f}; environments that died: {dict(causes)}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "runs/crashing-envs")
