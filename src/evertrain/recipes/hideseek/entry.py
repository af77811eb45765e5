"""Where the recipe begins: before Ray is imported, which takes seconds.

RLlib keeps agents in sets, so the order in which they act follows the hashes of the process:
a program that is to go on exactly begins again with hashes that are always the same.

Layer: recipes. Imports its siblings late, and integrations.
"""

import os
from pathlib import Path
from typing import Final

from evertrain.integrations.extras import require
from evertrain.integrations.rllib import settle_hashing
from evertrain.recipes.hideseek.config import HideSeekConfig

# Ray reads it when it is imported. Each attempt to reach a cluster takes 36 s, and without
# this there are twenty.
_ATTEMPTS: Final = "RAY_NUM_REDIS_GET_RETRIES"


def train(config: HideSeekConfig, path: Path | str) -> None:
    """Train with `config` in the run directory `path`; see `hideseek.train`.

    Raises:
        MissingExtraError: Ray or the game is not installed.
        EvertrainError: As `hideseek.train.train`.
    """
    settle_hashing()
    if config.ray.address is not None:
        os.environ.setdefault(_ATTEMPTS, "2")
    for module in ("ray.rllib", "mpe2"):
        require(module, extra="hideseek")
    from evertrain.recipes.hideseek.train import train as go_on

    go_on(config, path)
