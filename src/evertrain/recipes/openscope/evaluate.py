"""The report: a policy against silence, in games that training never saw.

Both play the same games, so the difference is paired.

Layer: recipes. Imports its siblings and integrations.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evertrain.integrations.browser import BrowserGameEnv
from evertrain.recipes.table import aligned

Controller = Callable[[NDArray[np.float32]], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Played:
    """What came of one game.

    Attributes:
        reward: Sum over the episode.
        score: The game's own, at the end.
        close: Pairs of aircraft that were close, summed over the actions.
    """

    reward: float
    score: float
    close: float


def silence(observation: NDArray[np.float32]) -> NDArray[np.int64]:
    """Tell nobody anything."""
    del observation
    return np.zeros(2, np.int64)


def play(env: BrowserGameEnv, controller: Controller, seed: int) -> Played:
    """Return what comes of the game with that seed. One that is lost counts as far as it went."""
    observation, _ = env.reset(seed=seed)
    reward = score = close = 0.0
    is_over = False
    while not is_over:
        observation, earned, _, is_over, info = env.step(controller(observation))
        reward += earned
        score = score if math.isnan(info["score"]) else info["score"]
        close += info["conflicts"]
    return Played(reward, score, close)


def table(found: Mapping[str, Sequence[Played]]) -> str:
    """Return the report: a row for each controller, mean and standard error."""
    head = ("controller", "reward", "score", "pairs close")
    rows = [head, *((name, *_row(each)) for name, each in found.items())]
    count = len(next(iter(found.values())))
    return "\n".join([f"{count} games each; mean +- standard error", aligned(rows)])


def _row(games: Sequence[Played]) -> tuple[str, ...]:
    columns: Any = ([getattr(each, name) for each in games] for name in Played.__slots__)
    return tuple(f"{fmean(each):.2f} +- {stdev(each) / len(each) ** 0.5:.2f}" for each in columns)
