"""`Episodes`: an off-policy model, one episode at a time, for loops that count episodes.

    with Run("runs/dqn", total=300, unit="episode", seed=0) as run:
        model = DQN("MlpPolicy", env, train_freq=(1, "episode"), gradient_steps=100)
        episodes = Episodes(run, model)
        for episode in run:
            run.log(episodes.play())

The loop stays the program's, and so a step of the run is one of its episodes.

Layer: integrations. Imports run, and its siblings.
"""

import math
from typing import TYPE_CHECKING, Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.type_aliases import (
    MaybeCallback,
    TrainFreq,
    TrainFrequencyUnit,
)

from evertrain.core.errors import ConfigError
from evertrain.integrations.envs.method import AUTO
from evertrain.integrations.sb3.boundary import Boundary
from evertrain.integrations.sb3.learn import Rollout, refuse_foreign_loop, set_up

if TYPE_CHECKING:
    from evertrain.run.run import Run


class Episodes:
    """Plays and learns the episodes of a run, each when it is asked to.

    Attaches the model (as `model`), and restores the run: attach everything else before.
    An environment whose state is kept goes on where it was; any other is reset and
    seeded from (seed, steps so far) before each episode.

    Args:
        run: Counts episodes: `Run(..., total=300, unit="episode")`.
        model: DQN, SAC, TD3 or DDPG with one environment and `train_freq=(1, "episode")`, as
            the program builds it on a fresh start.
        total_timesteps: Environment steps of the whole training, for what follows the progress
            that remains, such as a schedule of the learning rate. None: it stays as at the
            beginning.
        callback: SB3 callbacks; their counters are saved too. One that ends the training
            finishes the run. `on_training_end` is not called: where the loop ends is not seen.

    Raises:
        ConfigError: The model does not learn after each episode.
        StateError: The checkpoint does not fit the program.
    """

    def __init__(
        self,
        run: "Run",
        model: BaseAlgorithm,
        *,
        total_timesteps: int | None = None,
        callback: MaybeCallback = None,
        env_state: str = AUTO,
    ) -> None:
        """Play nothing yet."""
        refuse_foreign_loop(model)
        _require_episodes(model)
        self._run = run
        self._model = model
        self._callbacks = set_up(model, callback, "")
        run.attach(model=model)
        run.restore()
        model._total_timesteps = math.inf if total_timesteps is None else total_timesteps  # type: ignore[assignment]  # noqa: SLF001
        self._boundary = Boundary(run, model, 1, env_state=env_state, has_tables=False)
        self._boundary.announce()
        self._callbacks.on_training_start({"self": model, "total_timesteps": run.total}, globals())
        self._rollout = Rollout(model, self._callbacks, log_interval=None)

    def play(self) -> dict[str, Any]:
        """Play one episode and learn from it.

        Returns:
            Its metrics, by SB3's names. Log them in the step that it is.
        """
        self._boundary.before()
        with self._run.phase("rollout"):
            row = self._rollout.play()
        if row is None:
            self._run.finish("a callback ended the training")
        return row or {}


def _require_episodes(model: BaseAlgorithm) -> None:
    """Refuse a model whose rollout is no episode."""
    found, frequency = None, vars(model).get("train_freq")
    if not isinstance(model, OffPolicyAlgorithm):
        found = f"a {type(model).__name__} is trained by rollouts of so many steps"
    elif model.n_envs != 1:
        found = f"the {type(model).__name__} has {model.n_envs} environments"
    elif frequency != TrainFreq(1, TrainFrequencyUnit.EPISODE):
        found = f"the {type(model).__name__} has train_freq={frequency}"
    if found is not None:
        raise ConfigError(
            f"{found}.",
            "an episode is a step of this run, so it must be a rollout of the model.",
            'Build it off policy, with one environment and train_freq=(1, "episode"); '
            "to count steps instead, call learn(run, model).",
        )
