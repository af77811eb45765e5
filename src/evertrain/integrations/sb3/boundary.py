"""The safe point between two rollouts: log, save, stop, and reset where state is unknown.

Environments whose state can be kept are saved with everything else. For the
others the barrier stands in: on a fixed schedule, in every run alike, all of
them are reset and seeded from (seed, step). Only there does a step of the run
end, so that every checkpoint is one from which the run goes on exactly.

Layer: integrations. Imports run, and its siblings.
"""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm

from evertrain.core.errors import UsageError
from evertrain.integrations.sb3 import numbers, vector
from evertrain.integrations.sb3.begin import seed_for_reset
from evertrain.integrations.sb3.keeping import keeping_of, settle
from evertrain.integrations.sb3.model import not_kept

if TYPE_CHECKING:
    from evertrain.run.run import Run

BARRIER_ROLLOUTS: Final = 8
_HELP: Final = "docs/exactness.md"


class Boundary:
    """Ends the steps of a run at the rollouts of a model.

    Args:
        run: Whose steps they are.
        model: Attached, and with an environment.
        barrier_rollouts: Rollouts between two barriers, 1 or more; used only for
            environments without state.
        env_state: How that of the environments is kept: "auto", "state", "attributes",
            "replay" or "barrier".
        has_tables: Whether SB3 prints tables, and empties its logger with them.
    """

    def __init__(
        self,
        run: "Run",
        model: BaseAlgorithm,
        barrier_rollouts: int,
        *,
        env_state: str,
        has_tables: bool,
    ) -> None:
        """Count from a barrier.

        Raises:
            StateError: The environments cannot be kept as `env_state` says.
            UsageError: There is no environment, or an argument cannot mean anything.
        """
        if barrier_rollouts < 1:
            raise UsageError(
                f"barrier_rollouts={barrier_rollouts}.",
                "it counts the rollouts between two resets of the environments.",
                "Give it 1 or more.",
            )
        self._run = run
        self._model = model
        self._env = _env_of(model)
        self._has_tables = has_tables
        self._rollouts = 0
        stage = run.stage.name if run.stage is not None else ""
        is_new = settle(self._env, env_state, stage)
        self._doubts = vector.confirm(self._env)
        self._owes_reset = is_new or bool(self._doubts)
        self._keeping = keeping_of(self._env)
        self._has_barriers = self._keeping is None or self._keeping.has_barriers
        self._per_step = barrier_rollouts if self._has_barriers else 1

    def announce(self) -> None:
        """Say how the environments' state is kept, and let them tell of their restarts."""
        vector.report_to(self._run, self._env)
        lost = not_kept(self._model)
        if lost:
            self._run.say(
                f"not kept: {'; '.join(lost)}. Where a training depends on it, see {_HELP}"
            )
        about = "" if self._keeping is None else self._keeping.about
        if not self._has_barriers:
            self._run.say(f"environment state: {about}")
            for doubt in self._doubts:
                self._run.say(f"not an exact resume: {doubt}. The environments are reset.")
            return
        length = getattr(self._model, "n_steps", None)
        per = f" ({self._per_step * length * self._env.num_envs:,} steps)" if length else ""
        self._run.say(
            f"environment state: by barrier every {self._per_step} rollouts{per}, "
            f"where all of them are reset: {about}"
        )

    def owe_reset(self, *, always: bool = False) -> None:
        """Where the state is unknown, reset when the rollout begins: SB3 looks for it earlier.

        Args:
            always: Reset them also where it is known.
        """
        if always or self._model._last_obs is None:  # noqa: SLF001
            self._owes_reset = True
            self._model._last_obs = np.empty(0)  # noqa: SLF001

    def before(self) -> None:
        """Begin a rollout: after a barrier, or an unknown state, with a reset."""
        model = self._model
        numbers.begin(model, has_tables=self._has_tables)
        model.num_timesteps = max(model.num_timesteps, self._run.step)
        is_at_barrier = self._has_barriers and self._rollouts == 0
        if is_at_barrier or self._owes_reset or model._last_obs is None:  # noqa: SLF001
            self._reset()
            self._owes_reset = False

    def after(self, row: dict[str, Any], *, is_last: bool) -> bool:
        """End a rollout; a step of the run too, if it is safe here or nothing follows.

        Args:
            row: Metrics of the rollout.
            is_last: Whether no rollout follows.

        Returns:
            Whether there is more to do.

        Raises:
            Stopped: A stop was requested; the state is saved.
        """
        self._rollouts += 1
        if self._rollouts < self._per_step and not is_last:
            self._run.log(row, at=self._model.num_timesteps)
            return True
        self._rollouts = 0
        self._run.log(row)
        return self._run.tick(self._model.num_timesteps - self._run.step)

    def _reset(self) -> None:
        """Reset and seed every environment from (seed, step), whatever happened before."""
        model = self._model
        seed_for_reset(model, model.num_timesteps)
        if model.action_noise is not None:
            model.action_noise.reset()
        model._last_obs = self._env.reset()  # noqa: SLF001
        model._last_episode_starts = np.ones((self._env.num_envs,), dtype=bool)  # noqa: SLF001
        normalize = model.get_vec_normalize_env()
        if normalize is not None:
            model._last_original_obs = normalize.get_original_obs()  # noqa: SLF001


def _env_of(model: BaseAlgorithm) -> Any:
    if model.env is not None:
        return model.env
    raise UsageError(
        f"the {type(model).__name__} has no environment.",
        "there is nothing to collect rollouts from.",
        "Give it one: PPO(policy, env), or model.set_env(env).",
    )
