"""The global generators of a process that runs nothing but environments.

Those of the trainer are the run's; a worker's go with its environment.

Layer: integrations. Imports checkpoint only.
"""

import random
import sys

import numpy as np

from evertrain.checkpoint.plugin import Tree
from evertrain.checkpoint.tree.generators import check_position


def take_globals() -> Tree:
    """Return the state of the global generators of this process."""
    torch = sys.modules.get("torch")
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),  # noqa: NPY002  (environments draw from it)
        "torch": torch.random.get_rng_state().numpy() if torch is not None else None,
    }


def put_globals(tree: Tree) -> None:
    """Put it back."""
    version, words, gauss = tree["python"]
    random.setstate((version, tuple(words), gauss))
    check_position(tree["numpy"])
    np.random.set_state(tree["numpy"])  # noqa: NPY002  (idem)
    torch = sys.modules.get("torch")
    if torch is not None and tree["torch"] is not None:
        torch.random.set_rng_state(torch.from_numpy(tree["torch"].copy()))


def seed_globals(seed: int) -> None:
    """Start the global generators of this process afresh."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  (idem)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def mark_globals() -> tuple[object, ...]:
    """Return something that changes whenever somebody draws from Python's or numpy's generator."""
    _, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    return random.getstate(), keys[0], keys[-1], position, has_gauss, gauss
