"""The work that all share: a model with its Adam, every tensor of which changes."""

from dataclasses import dataclass
from typing import Any

import torch

MIB = 1 << 20


@dataclass(frozen=True)
class Size:
    """How large a model is: square linear layers."""

    layers: int
    width: int

    def __str__(self) -> str:
        """Return e.g. "7.3 M parameters + Adam"."""
        return f"{self.layers * self.width * (self.width + 1) / 1e6:.1f} M parameters + Adam"


SMALL = Size(7, 1024)  # 7.35 M parameters, 88 MB with Adam's moments
LARGE = Size(20, 2048)  # 83.9 M parameters, 1.007 GB with Adam's moments
HALF = Size(10, 2048)  # 504 MB, where only ratios count
TINY = Size(2, 64)


class State:
    """A model and its optimizer, as in the middle of a training."""

    def __init__(self, size: Size) -> None:
        """Build both, and take one step so that Adam has its moments."""
        self.model = torch.nn.Sequential(
            *(torch.nn.Linear(size.width, size.width) for _ in range(size.layers))
        )
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        warm_adam(self.optimizer)

    @property
    def tensors(self) -> list[torch.Tensor]:
        """Every tensor that a checkpoint holds."""
        return tensors_of(self.model, self.optimizer)

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(each.nbytes for each in self.tensors)

    def change(self) -> None:
        """Change every element of every tensor, as a step of a training does."""
        change(self.tensors)

    def tree(self) -> dict[str, Any]:
        """Return what people give to `torch.save`."""
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}


def warm_adam(optimizer: torch.optim.Optimizer) -> None:
    """Give Adam moments as random as real ones: a peer that compresses must not gain by zeros.

    The gradients are taken away again: no checkpoint holds them.
    """
    for group in optimizer.param_groups:
        for each in group["params"]:
            each.grad = torch.full_like(each, 1e-3)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    for moments in optimizer.state.values():
        moments["exp_avg"].normal_(std=1e-3)
        moments["exp_avg_sq"].uniform_()


def tensors_of(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """Return every tensor of a model and its optimizer."""
    moments = (each for state in optimizer.state.values() for each in state.values())
    found = [*model.state_dict().values(), *moments]
    return [each.detach() for each in found if isinstance(each, torch.Tensor)]


def change(tensors: list[torch.Tensor]) -> None:
    """Change every element in place."""
    with torch.no_grad():
        for each in tensors:
            each.add_(1e-3)
