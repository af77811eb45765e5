"""`EvertrainCallback`: for programs that call `model.learn` themselves.

The safe point is the start of a rollout. SB3 resets counters and environment
when `learn` begins; the callback then puts everything back, so SB3's own loop
goes on from the restored step and trains only what is left.

Layer: integrations. Imports run, and its siblings.
"""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch
from stable_baselines3.common.callbacks import BaseCallback

from evertrain.checkpoint.plugin import Tree
from evertrain.core.errors import ConfigError
from evertrain.integrations.envs.method import AUTO
from evertrain.integrations.sb3 import listener, settings
from evertrain.integrations.sb3.begin import (
    begin_again,
    seed_for_reset,
    seed_once,
    take_back_first_reset,
)
from evertrain.integrations.sb3.boundary import BARRIER_ROLLOUTS, Boundary
from evertrain.integrations.sb3.learn import complete, numbers_of, schedules_as_numbers
from evertrain.integrations.sb3.model import exploration, put_exploration
from evertrain.integrations.sb3.override import apply_again

if TYPE_CHECKING:
    from evertrain.run.run import Run


class EvertrainCallback(BaseCallback):
    """Makes `model.learn(total_timesteps=TOTAL, callback=EvertrainCallback(run))` resume exactly.

    `TOTAL` is that of the whole run, in every attempt. Put it last in a list of
    callbacks, so that the others have seen the rollout before it is saved. SB3
    counts the rollouts of its `log_interval` anew in each attempt: with another
    one than 1 or None its tables move after a resume, and so do the means that
    span several rollouts between two tables (`logger.record_mean`).
    Each stage begins with new episodes: SB3 resets the environments when `learn` begins.
    That is also the first thing that a training does, before any callback is asked: what
    environments keep of an earlier episode is seeded only if the model has a seed.

    Args:
        run: Counts timesteps; `run.total` equals `TOTAL`, or is None.
        env_state: How the state of the environments is kept; see `learn`.
        barrier_rollouts: For the barrier: rollouts between two resets of all environments.
    """

    def __init__(
        self, run: "Run", *, env_state: str = AUTO, barrier_rollouts: int = BARRIER_ROLLOUTS
    ) -> None:
        """Touch nothing before the training starts."""
        super().__init__()
        self._run = run
        self._env_state = env_state
        self._barrier_rollouts = barrier_rollouts
        self._boundary: Boundary | None = None
        self._owes_row = False
        self._episodes = 0
        self._noise: tuple[Tree, torch.Tensor] | None = None
        self._numbers: AbstractContextManager[None] | None = None
        self._is_over = False

    def _on_training_start(self) -> None:
        """Put everything back, undoing the reset with which SB3 begins."""
        run, model, total = self._run, self.model, int(self.locals["total_timesteps"])
        _refuse_other_total(run, total)
        stage = run.stage
        take_back_first_reset(model)
        seed_once(model)
        listener.register(model, self.locals.get("callback", self), stage.name if stage else "")
        settings.begin(model)
        run.attach(model=model)
        run.restore()
        listener.begin(model)
        begins_stage = stage is not None and 0 < run.step == stage.start
        if begins_stage and model.num_timesteps:  # restored; else SB3 has just done it
            begin_again(model, total, run.step)
            apply_again(model)
        self.num_timesteps = model.num_timesteps
        has_tables = bool(self.locals.get("log_interval", 1))
        self._boundary = Boundary(
            run,
            model,
            self._barrier_rollouts,
            env_state=self._env_state,
            has_tables=has_tables,
        )
        self._boundary.announce()
        self._boundary.owe_reset(always=begins_stage)
        if run.resumed_from is not None and model.use_sde and not begins_stage:
            self._noise = (exploration(model), torch.random.get_rng_state())

    def _on_rollout_start(self) -> None:
        """End the previous step at the safe point."""
        assert self._boundary is not None  # noqa: S101  (SB3 calls _on_training_start first)
        self._end_rollout(is_last=False)
        if self._is_over:  # SB3 plays one more step before it asks
            return
        if self._noise is not None:  # SB3 has drawn new exploration; the restored one counts
            put_exploration(self.model, self._noise[0])
            torch.random.set_rng_state(self._noise[1])
            self._noise = None
        self._boundary.before()
        self._episodes = self.model._episode_num  # noqa: SLF001

    def _on_step(self) -> bool:
        """Go on, unless the run was stopped or is complete."""
        return not self._is_over

    def _on_rollout_end(self) -> None:
        """Leave the row until the update has recorded its numbers."""
        model = self.model
        self._owes_row = True
        # As SB3 does next: an update has the progress of the steps that were played.
        model._update_current_progress_remaining(model.num_timesteps, model._total_timesteps)  # noqa: SLF001
        self._numbers = schedules_as_numbers(model)
        self._numbers.__enter__()

    def _on_training_end(self) -> None:
        """End the last step, and seed the reset with which SB3 begins the next stage."""
        if self._is_over:
            return
        if not self._owes_row and self.model.num_timesteps > self._run.step:
            self._run.finish("a callback ended the training")
            self._owes_row = True
        self._end_rollout(is_last=True)
        settings.leave(self.model)
        complete(self._run)
        if self._run.stage is not None:
            seed_for_reset(self.model, self._run.step)

    def _end_rollout(self, *, is_last: bool) -> None:
        if not self._owes_row or self._boundary is None:
            return
        if self._numbers is not None:
            self._numbers.__exit__(None, None, None)
            self._numbers = None
        self._owes_row = False
        if is_last and self._run.total is None:
            self._run.finish(f"trained for {self.model.num_timesteps} steps")
        row = numbers_of(self.model, self._episodes)
        self._is_over = not self._boundary.after(row, is_last=is_last)


def _refuse_other_total(run: "Run", total: int) -> None:
    end = run.stage.end if run.stage is not None else run.total
    if end is None or end == total:
        return
    raise ConfigError(
        f"model.learn(total_timesteps={total}), but the run ends at step {end}.",
        "schedules would follow one number and the run the other.",
        f"Give both the same total, in every attempt: total_timesteps={end}.",
    )
