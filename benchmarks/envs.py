"""What a step of a vector of environments costs: ours, and the one that dies with its workers.

Both vectors stand side by side, and take a few steps in turn, many times: on a busy
machine the scheduler decides more than either of them. An environment that does nothing
shows the whole overhead; one that takes half a millisecond is still a fast one.

Usage: python benchmarks/envs.py [--quick] [--rounds N]
"""

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import SubprocVecEnv

from evertrain.integrations.sb3 import ResilientVecEnv
from measure import Measured, arguments, hush, scratch, stopwatch
from table import Report, compared

THEIRS, OURS = "SubprocVecEnv", "ResilientVecEnv"
COUNT = 4
MORE = {"trainer's CPU us": ("cpu_us", 1.0)}


class Work(gymnasium.Env[Any, Any]):
    """Keeps a processor busy for some time in each step, and shows an observation.

    Args:
        shape: Of the observation.
        busy_us: Microseconds a step.
    """

    def __init__(self, shape: tuple[int, ...], busy_us: float) -> None:
        """Make the observation once: what it costs is not measured."""
        dtype = np.uint8 if len(shape) > 1 else np.float32
        self.observation_space = gymnasium.spaces.Box(0, 1, shape, dtype)
        self.action_space = gymnasium.spaces.Box(-1, 1, (2,))
        self._seen = np.zeros(shape, dtype)
        self._busy_s = busy_us / 1e6
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        """Start an episode."""
        super().reset(seed=seed, options=options)
        self._steps = 0
        return self._seen, {}

    def step(self, action: Any) -> Any:
        """Work."""
        del action
        until_s = time.perf_counter() + self._busy_s
        while time.perf_counter() < until_s:
            pass
        self._steps += 1
        return self._seen, 1.0, False, self._steps == 200, {"steps": self._steps}


SIZES: dict[str, tuple[tuple[int, ...], float]] = {
    "8 numbers, a step that does nothing": ((8,), 0.0),
    "8 numbers, a step of 0.5 ms": ((8,), 500.0),
    "an image of 84 x 84 x 4, a step of 0.5 ms": ((84, 84, 4), 500.0),
}


def main() -> None:
    """Measure and judge."""
    asked = arguments(__doc__)
    hush()
    steps, rounds = (20, 3) if asked.quick else (40, asked.rounds or 60)
    with scratch(asked.dir) as place:
        report = Report("envs", place, is_quick=asked.quick)
        report.set(steps_a_round=steps, environments=COUNT)
        for title, (shape, busy_us) in list(SIZES.items())[: 1 if asked.quick else None]:
            with ExitStack() as stack:
                cases = {}
                for name, kind in ((THEIRS, SubprocVecEnv), (OURS, ResilientVecEnv)):
                    factories = [lambda s=shape, b=busy_us: Work(s, b)] * COUNT
                    venv: Any = stack.enter_context(closing(kind(factories, "fork")))
                    cases[name] = stepped(venv, steps)
                found = in_turn(cases, rounds)
            table = compared(title, found, "us", [THEIRS], unit="us", scale=1.0, more=MORE)
            mine, theirs = quarter(found, OURS), quarter(found, THEIRS)
            table.notes.append(
                f"fastest quarter: at most {mine:,.0f} us, {THEIRS} {theirs:,.0f} us, "
                f"ratio {mine / theirs:.3f}"
            )
            report.add(table)
            report.keep(title, found)
            what = f"{title}: {OURS} / {THEIRS}, fastest quarter"
            report.at_most(what, mine / theirs, 1.05)
        report.finish(asked.out)


def quarter(found: Measured, title: str) -> float:
    """Return what the fastest quarter of the pieces took at most: others let these be."""
    return statistics.quantiles(found.samples[title]["us"], n=4)[0]


def in_turn(cases: dict[str, Callable[[], dict[str, float]]], rounds: int) -> Measured:
    """Run every case once a round, the other one first each time; the first round warms up."""
    found = Measured({title: {} for title in cases})
    order = list(cases)
    for number in range(rounds + 1):
        order.reverse()
        for title in order:
            for quantity, value in cases[title]().items():
                if number > 0:
                    found.samples[title].setdefault(quantity, []).append(value)
    return found


def stepped(venv: Any, steps: int) -> Callable[[], dict[str, float]]:
    """Return a case that takes many steps."""
    actions = np.zeros((venv.num_envs, 2), np.float32)
    venv.reset()

    def case() -> dict[str, float]:
        began_s = time.process_time()
        with stopwatch() as elapsed_s:
            for _ in range(steps):
                venv.step(actions)
            took_s = elapsed_s()
        cpu_s = time.process_time() - began_s
        return {"us": 1e6 * took_s / steps, "cpu_us": 1e6 * cpu_s / steps}

    return case


if __name__ == "__main__":
    main()
