"""How fast a BlueSky simulator flies at each pace, and how long it takes to put one back.

python benchmarks/atc.py [--steps 400]

One simulator, in this process; the policy is chance.
"""

import argparse
import time

import numpy as np

from evertrain.integrations.bluesky import BlueSkyEnv
from evertrain.recipes.atc.config import SimulatorConfig
from evertrain.recipes.atc.world import physics

PACES = {
    "sector": (10, 20, 30, 40, 60),
    "merge": (100,),
}


def main() -> None:
    """Print a row for each scenario and pace."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=400)
    steps = parser.parse_args().steps
    print("| scenario | timewarp | steps/s | put back after 100 actions, s |")
    print("|---|---|---|---|")
    for scenario, paces in PACES.items():
        for timewarp in paces:
            chosen = {"scenario": scenario, "timewarp": timewarp}
            env = BlueSkyEnv(physics(SimulatorConfig.model_validate(chosen)))
            print(f"| {scenario} | {timewarp} | {pace(env, steps):.0f} | {put_back(env):.2f} |")
            env.close()


def pace(env: BlueSkyEnv, steps: int) -> float:
    """Return actions a second, resets between episodes included."""
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    began_s = time.perf_counter()
    for _ in range(steps):
        _, _, terminated, truncated, _ = env.step(rng.uniform(-1, 1, 2).astype(np.float32))
        if terminated or truncated:
            env.reset()
    return steps / (time.perf_counter() - began_s)


def put_back(env: BlueSkyEnv) -> float:
    """Return the seconds that it takes to fly an episode of 100 actions again."""
    env.reset(seed=1)
    for _ in range(100):
        env.step(np.zeros(2, np.float32))
    state = env.get_state()
    began_s = time.perf_counter()
    env.set_state(state)
    return time.perf_counter() - began_s


if __name__ == "__main__":
    main()
