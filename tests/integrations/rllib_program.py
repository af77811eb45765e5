"""A training with RLlib as a program: `python rllib_program.py RUN [FATAL_STEP]`."""

import sys
import warnings

import ray

from evertrain import Run, every
from evertrain.integrations.rllib import EnvStepWatchdog
from integrations import herds


def main(path: str, fatal_step: int = -1) -> None:
    """Train five iterations, killed at a step of the environment."""
    warnings.simplefilter("ignore")
    herds.Herd.fatal_step = fatal_step
    with Run(path, total=5, unit="iteration", seed=3, save=every(steps=1)) as run:
        algorithm = herds.build(herds.config())
        watchdog = EnvStepWatchdog(algorithm)
        run.attach(algorithm=algorithm, env_steps=watchdog)
        for _ in run:
            result = algorithm.train()
            watchdog.look(result)
            run.log(
                steps=watchdog.steps,
                reward=result["env_runners"]["episode_return_mean"],
                kl=float(result["learners"]["wolves"]["mean_kl_loss"]),
            )


if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    if len(sys.argv) == 2:
        main(sys.argv[1])
    else:
        main(f"{sys.argv[1]}-whole")
        herds.Herd.taken = 0
        main(sys.argv[1], int(sys.argv[2]))
