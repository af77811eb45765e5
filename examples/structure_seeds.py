"""Compare several trainings of the recipe `structure` with the LQR, on motions of its own.

python examples/structure_seeds.py [--motions 200] [--seed 2026] RUN RUN RUN

Each run is a training with a seed of its own, of the same building and stages. Its policy
is the one of its end; the one before is that of the same seed without a step of training.
All of them meet the same motions, which neither training nor its examinations ever saw.
"""

import argparse
from pathlib import Path
from typing import Any, Final

from evertrain import load_policy
from evertrain.core.rundir import RunDir, read_identity
from evertrain.recipes.estimate import Estimate
from evertrain.recipes.policy import policy_of
from evertrain.recipes.structure.config import StructureConfig
from evertrain.recipes.structure.evaluate import Policy, Score, evaluate
from evertrain.recipes.structure.train import build
from evertrain.run.rng import Seeder

_LQR: Final = 1  # of three scores a stage: passive damper, LQR, policy
_POLICY: Final = 2
_TASK: Final = {"building", "damper", "motion", "control", "stages"}


def main() -> None:
    """Print a table, a row per stage."""
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", type=Path, nargs="+", help="trainings, each of its own seed")
    parser.add_argument("--motions", type=int, default=200, help="of each stage")
    parser.add_argument("--seed", type=int, default=2026, help="of the motions")
    args = parser.parse_args()
    configs = [config_of(path) for path in args.runs]
    for path, config in zip(args.runs, configs, strict=True):
        if task(config) != task(configs[0]):
            parser.error(f"{path} has another building, or other stages, than {args.runs[0]}")
    before, after = [], []
    for path, config in zip(args.runs, configs, strict=True):
        before.append(examined(untrained(config), config, args.motions, args.seed))
        after.append(examined(load_policy(path).predict, config, args.motions, args.seed))
    print("| stage | LQR, % | before, % | after, % | of the LQR, % | each seed |")
    print("|---|---|---|---|---|---|")
    for index, lqr in enumerate(after[0][_LQR::3]):
        print(
            row(
                lqr,
                [each[3 * index + _POLICY] for each in before],
                [each[3 * index + _POLICY] for each in after],
            )
        )


def config_of(path: Path) -> StructureConfig:
    """Return what a run was trained with."""
    identity = read_identity(RunDir(path))
    assert identity is not None, f"{path} is no run"
    return StructureConfig.model_validate(identity.config)


def task(config: StructureConfig) -> dict[str, Any]:
    """Return what the controllers are examined on, whoever has learned it, and however."""
    learned = {"stages": {"__all__": {"ppo", "steps"}}}
    return config.model_dump(include=_TASK, exclude=learned)


def examined(policy: Policy, config: StructureConfig, motions: int, seed: int) -> list[Score]:
    """Return its scores, and those of the references, in every stage."""
    return evaluate(policy, config, motions=motions, seed=seed)


def untrained(config: StructureConfig) -> Policy:
    """Return the policy with which the training of this seed begins."""
    Seeder(config.seed).seed_new()
    policy: Policy = policy_of(build(config))
    return policy


def row(lqr: Score, before: list[Score], after: list[Score]) -> str:
    """Return one stage: reductions of the roof's peak, means over the seeds."""
    shares = [each.share_percent.mean for each in after]
    return " | ".join(
        [
            f"| {lqr.stage}",
            f"{lqr.roof_reduction_percent:.1f}",
            f"{Estimate.of([each.roof_reduction_percent.mean for each in before]):.1f}",
            f"{Estimate.of([each.roof_reduction_percent.mean for each in after]):.1f}",
            f"{Estimate.of(shares):.0f}",
            ", ".join(f"{each.share_percent:.0f}" for each in after) + " |",
        ]
    )


if __name__ == "__main__":
    main()
