"""Compare several trainings of the recipe `atc` with simple controllers, on episodes of their own.

python examples/atc_seeds.py [--episodes 400] [--seed 2026] RUN RUN RUN

Each run is a training with a seed of its own, on the same simulator. Its policy is the one
of its end; the one before is that of the same seed without a step of training. All of them
fly the same episodes, which neither training nor its examinations ever saw.
"""

import argparse
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Final

from stable_baselines3.common.vec_env import VecEnv

from evertrain import load_policy
from evertrain.core.rundir import RunDir, read_identity
from evertrain.recipes.atc.config import AtcConfig
from evertrain.recipes.atc.evaluate import Controller, Flight, direct, fly, straight
from evertrain.recipes.atc.train import build
from evertrain.recipes.atc.world import examination_envs
from evertrain.recipes.estimate import Estimate
from evertrain.recipes.policy import policy_of
from evertrain.run.rng import Seeder

_SHOWN: Final = ("reward", "intrusions", "conflicts", "drift_deg")

Flights = Sequence[Flight]


def main() -> None:
    """Print a table, a row per controller."""
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", type=Path, nargs="+", help="trainings, each of its own seed")
    parser.add_argument("--episodes", type=int, default=400)
    parser.add_argument("--seed", type=int, default=2026, help="of the first episode")
    args = parser.parse_args()
    configs = [config_of(path) for path in args.runs]
    for path, config in zip(args.runs, configs, strict=True):
        if config.simulator != configs[0].simulator:
            parser.error(f"{path} was trained on another simulator than {args.runs[0]}")
    with closing(examination_envs(configs[0])) as venv:
        flown = partial(fly, venv=venv, episodes=args.episodes, seed=args.seed)
        reference = flown(straight)
        turn = direct(venv.get_attr("observed")[0], configs[0].simulator.scenario)
        print(f"| {args.episodes} episodes | {' | '.join(_SHOWN)} | reward, less straight on |")
        print("|---" * (len(_SHOWN) + 2) + "|")
        print(row("straight on", reference, reference), flush=True)
        print(row("to the waypoint", flown(turn), reference), flush=True)
        for config in configs:
            before = flown(untrained(config, venv))
            print(row(f"before, seed {config.seed}", before, reference), flush=True)
        after = []
        for config, path in zip(configs, args.runs, strict=True):
            after.append(flown(load_policy(path).predict))
            print(row(f"after, seed {config.seed}", after[-1], reference), flush=True)
        if len(after) > 1:
            print(summary(after, reference))


def config_of(path: Path) -> AtcConfig:
    """Return what a run was trained with."""
    identity = read_identity(RunDir(path))
    assert identity is not None, f"{path} is no run"
    return AtcConfig.model_validate(identity.config)


def untrained(config: AtcConfig, venv: VecEnv) -> Controller:
    """Return the policy with which the training of this seed begins."""
    Seeder(config.seed).seed_new()
    return policy_of(build(config, venv))


def row(name: str, flights: Flights, reference: Flights) -> str:
    """Return a controller's line: means over the episodes, and their standard errors."""
    return line(name, columns(flights, reference))


def summary(runs: Sequence[Flights], reference: Flights) -> str:
    """Return the line of all seeds: means over the seeds, and their standard errors."""
    means = [[fmean(column) for column in columns(run, reference)] for run in runs]
    return line("after, over the seeds", list(zip(*means, strict=True)))


def columns(flights: Flights, reference: Flights) -> list[list[float]]:
    """Return what was measured, and last by how much each episode went better."""
    pairs = zip(flights, reference, strict=True)
    gains = [one["reward"] - other["reward"] for one, other in pairs]
    return [*([each[key] for each in flights] for key in _SHOWN), gains]


def line(name: str, numbers: Sequence[Sequence[float]]) -> str:
    """Return a line of the table, a column for each sample."""
    return f"| {name} | {' | '.join(f'{Estimate.of(each):.1f}' for each in numbers)} |"


if __name__ == "__main__":
    main()
