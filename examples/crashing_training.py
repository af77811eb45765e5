"""Train in a simulator that raises, segfaults and hangs at random, the more the faster it runs.

evertrain run --max-crashes 10 --delay 5 -- python examples/crashing_training.py --timewarp 40
"""

import argparse
import ctypes
import os
import random
import time
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from evertrain import Run, every

CANDIDATES, ELITES = 16, 4


class Simulator(gymnasium.Wrapper[Any, Any, Any, Any]):
    """CartPole in a simulator that a time warp makes unstable.

    Args:
        timewarp: How many times faster than real time; up to 10 it is stable.
        luck: Decides what goes wrong, and when. It is the machine's, not the training's: a
            training that goes on need not meet the same crash again.
    """

    def __init__(self, timewarp: float, luck: random.Random) -> None:
        """Start the simulator."""
        super().__init__(gymnasium.make("CartPole-v1", max_episode_steps=200))
        self._step_s = 0.02 / timewarp
        self._crashes_a_step = max(0.0, timewarp - 10) / 300_000
        self._luck = luck

    def step(self, action: Any) -> Any:
        """Take a step, if all goes well."""
        time.sleep(self._step_s)
        if self._luck.random() < self._crashes_a_step:
            match self._luck.choice(["raises", "segfaults", "hangs"]):
                case "raises":
                    raise ConnectionError("the simulator closed the connection")
                case "segfaults":
                    ctypes.string_at(0)
                case _:
                    time.sleep(3600)
        return super().step(action)


def play(env: Simulator, policy: NDArray[np.float64], seed: int) -> float:
    """Return the reward of one episode."""
    seen, _ = env.reset(seed=seed)
    total, is_over = 0.0, False
    while not is_over:
        seen, reward, terminated, truncated, _ = env.step(int(seen @ policy > 0))
        total += float(reward)
        is_over = terminated or truncated
    return total


def main() -> None:
    """Draw policies around a mean, and move the mean to the best of them: cross-entropy."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--timewarp", type=float, default=10)
    parser.add_argument("--generations", type=int, default=40)
    parser.add_argument("--luck", help="a word: the same word, the same crashes")
    args = parser.parse_args()
    attempt = os.environ.get("EVERTRAIN_ATTEMPT", "1")
    env = Simulator(args.timewarp, random.Random(args.luck and f"{args.luck} {attempt}"))
    rng = np.random.default_rng(0)
    print(f"Simulator at {args.timewarp:g} x, {args.generations} generations", flush=True)
    with Run(
        "runs/crashing_training",
        total=args.generations,
        unit="generation",
        save=every(steps=1),
        best="max:reward",
    ) as run:
        run.attach(rng=rng)
        state = run.state
        state.mean, state.spread = np.zeros(4), np.ones(4)
        for _ in run:
            policies = rng.normal(state.mean, state.spread, size=(CANDIDATES, 4))
            rewards = [play(env, each, int(rng.integers(2**31))) for each in policies]
            elite = policies[np.argsort(rewards)[-ELITES:]]
            state.mean, state.spread = elite.mean(0), elite.std(0) + 0.1
            run.log(reward=float(np.mean(rewards)))


if __name__ == "__main__":
    main()
