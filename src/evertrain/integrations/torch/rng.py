"""torch's global generators: the CPU's, and those of every CUDA device in use.

Layer: integrations. Imports checkpoint only.
"""

import torch

from evertrain.checkpoint.plugin import Tree


class TorchRng:
    """The generators behind `torch.rand` and friends. Never initializes CUDA."""

    name = "torch"

    def capture(self) -> Tree:
        """See `RngSource.capture`."""
        devices = range(torch.cuda.device_count()) if cuda_is_awake() else ()
        return {
            "cpu": torch.random.get_rng_state(),
            "cuda": [torch.cuda.get_rng_state(device) for device in devices],
        }

    def restore(self, tree: Tree) -> None:
        """See `RngSource.restore`. Where CUDA sleeps, its states wait until it wakes."""
        torch.random.set_rng_state(tree["cpu"].cpu())
        if torch.cuda.is_available():
            for device, state in zip(range(torch.cuda.device_count()), tree["cuda"], strict=False):
                torch.cuda.set_rng_state(state.cpu(), device)

    def seed(self, seed: int) -> None:
        """See `RngSource.seed`."""
        torch.manual_seed(seed)


def cuda_is_awake() -> bool:
    """Say whether this process has initialized CUDA, without doing so."""
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
