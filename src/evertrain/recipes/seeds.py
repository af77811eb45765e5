"""Which episodes a policy is examined on: no two examinations share one.

Episodes have consecutive seeds. Each seed of an evaluation begins a block of them that no
other reaches; exams of the training are in the second half of it, the report in the first.

Layer: recipes. Imports nothing from evertrain.
"""

from typing import Final

MOST_EPISODES: Final = 2**19  # of one examination
_BLOCK: Final = 2 * MOST_EPISODES


def of_report(seed: int) -> int:
    """Return the seed of the first episode of the report; `seed` is that of the evaluation."""
    return seed * _BLOCK


def of_exams(seed: int) -> int:
    """Return the seed of the first episode of each exam during the training."""
    return seed * _BLOCK + MOST_EPISODES
