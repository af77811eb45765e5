"""`iterations`: RLlib's loop in a run, exact also where environments tell no state.

Layer: integrations. Imports run, and its siblings.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from evertrain.integrations.rllib.adapter import room_of
from evertrain.integrations.rllib.watchdog import EnvStepWatchdog

if TYPE_CHECKING:
    from evertrain.run.run import Run


def iterations(
    run: "Run",
    algorithm: Any,
    *,
    watchdog: EnvStepWatchdog | None = None,
    env_state: str = "auto",
) -> Iterator[Mapping[str, Any]]:
    """Yield the result of each iteration that is left of the run; resumes exactly.

    Attaches the algorithm (as `algorithm`) and the watchdog (as `env_steps`), restores
    both, and calls `algorithm.train()`. Where the state of environments cannot be kept, and on
    RLlib's old API stack, all episodes begin anew behind each iteration, drawn from the
    seed and the iteration: so every checkpoint is one from which the run goes on exactly.

    Args:
        run: Counts iterations: `Run(..., total=100, unit="iteration")`.
        algorithm: As `config.build_algo()` returned it, on a fresh start as in each restart.
        watchdog: Ends the training when no environment takes a step; the default one if None.
        env_state: How the state of environments is kept: "auto" tries what works; "state",
            "attributes", "replay", "barrier" (see docs/exactness.md). A resumed run keeps it
            as it did before.

    Raises:
        NoStepsError: RLlib goes on, but nothing is played any more.
        StateError: The checkpoint does not fit the program, or the state of its environments
            cannot be kept as was asked for.
        Stopped: A stop was requested; the state is saved.
        UsageError: There is no such way to keep it.
    """
    from evertrain.integrations.envs import method  # it imports Gymnasium, as does the next
    from evertrain.integrations.rllib import environments

    method.check(env_state, "env_state")
    watchdog = watchdog or EnvStepWatchdog(algorithm)
    room = room_of(algorithm)
    if environments.of(algorithm) is None:
        room.choose(algorithm, env_state)
    run.attach(algorithm=algorithm, env_steps=watchdog)
    run.restore()
    environments.insist(algorithm, env_state)
    keeping = environments.of(algorithm)
    for iteration in run:
        if keeping is not None and keeping.begins_anew:
            room.reset(algorithm, _seed(algorithm, iteration))
        result = algorithm.train()
        watchdog.look(result)
        yield result


def _seed(algorithm: Any, iteration: int) -> int:
    words = np.random.SeedSequence([algorithm.config.seed or 0, iteration])
    return int(words.generate_state(1)[0]) // 4
