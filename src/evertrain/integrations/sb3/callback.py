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
from evertrain.integrations.sb3 import listener
from evertrain.integrations.sb3.boundary import BARRIER_ROLLOUTS, Boundary
from evertrain.integrations.sb3.learn import complete, schedules_as_numbers
from evertrain.integrations.sb3.model import exploration, put_exploration
from evertrain.integrations.sb3.numbers import metrics

if TYPE_CHECKING:
    from evertrain.run.run import Run


class EvertrainCallback(BaseCallback):
    """Makes `model.learn(total_timesteps=TOTAL, callback=EvertrainCallback(run))` resume exactly.

    `TOTAL` is that of the whole run, in every attempt. Put it last in a list of
    callbacks, so that the others have seen the rollout before it is saved. SB3
    counts the rollouts of its `log_interval` anew in each attempt: with another
    one than 1 or None its tables move after a resume, and so do the means that
    span several rollouts between two tables (`logger.record_mean`).

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
        self._noise: tuple[Tree, torch.Tensor] | None = None
        self._numbers: AbstractContextManager[None] | None = None
        self._is_over = False

    def _on_training_start(self) -> None:
        """Put everything back, undoing the reset with which SB3 begins."""
        run, total = self._run, int(self.locals["total_timesteps"])
        _refuse_other_total(run, total)
        listener.register(self.model, self.locals.get("callback", self))
        run.attach(model=self.model)
        run.restore()
        self.num_timesteps = self.model.num_timesteps
        has_tables = bool(self.locals.get("log_interval", 1))
        self._boundary = Boundary(
            run,
            self.model,
            self._barrier_rollouts,
            env_state=self._env_state,
            has_tables=has_tables,
        )
        self._boundary.announce()
        self._boundary.owe_reset()
        if run.resumed_from is not None and self.model.use_sde:
            self._noise = (exploration(self.model), torch.random.get_rng_state())

    def _on_rollout_start(self) -> None:
        """End the previous step at the safe point."""
        assert self._boundary is not None  # noqa: S101  (SB3 calls _on_training_start first)
        self._end_rollout(is_last=False)
        if self._noise is not None:  # SB3 has drawn new exploration; the restored one counts
            put_exploration(self.model, self._noise[0])
            torch.random.set_rng_state(self._noise[1])
            self._noise = None
        self._boundary.before()

    def _on_step(self) -> bool:
        """Go on, unless the run was stopped or is complete."""
        return not self._is_over

    def _on_rollout_end(self) -> None:
        """Leave the row until the update has recorded its numbers."""
        self._owes_row = True
        self._numbers = schedules_as_numbers(self.model)
        self._numbers.__enter__()

    def _on_training_end(self) -> None:
        """End the last step."""
        if not self._owes_row and self.model.num_timesteps > self._run.step:
            self._run.finish("a callback ended the training")
            self._owes_row = True
        self._end_rollout(is_last=True)
        complete(self._run)

    def _end_rollout(self, *, is_last: bool) -> None:
        if not self._owes_row or self._boundary is None:
            return
        if self._numbers is not None:
            self._numbers.__exit__(None, None, None)
            self._numbers = None
        self._owes_row = False
        if is_last and self._run.total is None:
            self._run.finish(f"trained for {self.model.num_timesteps} steps")
        self._is_over = not self._boundary.after(metrics(self.model), is_last=is_last)


def _refuse_other_total(run: "Run", total: int) -> None:
    end = run.stage.end if run.stage is not None else run.total
    if end is None or end == total:
        return
    raise ConfigError(
        f"model.learn(total_timesteps={total}), but the run ends at step {end}.",
        "schedules would follow one number and the run the other.",
        f"Give both the same total, in every attempt: total_timesteps={end}.",
    )
