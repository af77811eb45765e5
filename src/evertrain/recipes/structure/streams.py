"""Where random numbers come from: streams that cannot meet.

Layer: recipes. Imports nothing from evertrain.
"""

from typing import Final

import numpy as np

TRAINING: Final = 0
EVALUATION: Final = 1


def training_rng(seed: int, index: int) -> np.random.Generator:
    """Return the generator of one training environment.

    Args:
        seed: Seed of the run.
        index: Number of the environment, from 0.
    """
    return _stream(seed, TRAINING, index)


def evaluation_rng(seed: int, stage: int) -> np.random.Generator:
    """Return the generator of a stage's examination, apart from all training.

    Args:
        seed: Seed of the examination; it may equal the run's.
        stage: Index of the stage, from 0.
    """
    return _stream(seed, EVALUATION, stage)


def _stream(seed: int, purpose: int, number: int) -> np.random.Generator:
    key = (purpose, number)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))
