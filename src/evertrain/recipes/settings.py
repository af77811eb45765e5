"""What the configurations of the recipes have in common.

Layer: recipes. Imports nothing from evertrain.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

# What torch computes on: "cpu", "cuda", "cuda:1", or "auto".
Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$")]


class Strict(BaseModel):
    """A frozen model that refuses names it does not know, infinities and NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CheckpointConfig(Strict):
    """When the training saves itself, and what stays.

    Attributes:
        every_steps: Steps between two checkpoints; None saves as often as costs at most 1 % of
            the time.
        keep_last: Newest checkpoints that stay, 0 keeps all. The best one always stays, and
            the end of every stage.
    """

    every_steps: PositiveInt | None = None
    keep_last: int = Field(default=5, ge=0)


def falling(first: float, last: float, done: float) -> float:
    """Return a number between two, in a straight line.

    Args:
        first: At the start.
        last: At the end, and behind it: the last rollout may reach over the end.
        done: Share of the way, 0 to 1; clipped to that.
    """
    return first + (last - first) * min(max(done, 0.0), 1.0)


def broken_batches(*, n_steps: int, envs: int, batch_size: int) -> str | None:
    """Return what is wrong where a last batch is smaller than the others; else None."""
    if n_steps * envs % batch_size == 0:
        return None
    return f"batch_size {batch_size} does not divide a rollout of {n_steps} n_steps * {envs} envs"


def refuse_broken_batches(*, n_steps: int, envs: int, batch_size: int) -> None:
    """Refuse a last batch that is smaller than the others.

    Raises:
        ValueError: The batches do not divide a rollout.
    """
    fault = broken_batches(n_steps=n_steps, envs=envs, batch_size=batch_size)
    if fault is not None:
        raise ValueError(fault)
