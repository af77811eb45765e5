"""The report: a policy against silence, in games that training never saw.

Both play the same games, so their difference is that of each game, averaged. A game whose
browser is lost counts as far as it went, and is counted.

Layer: recipes. Imports its siblings and integrations.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evertrain.integrations.browser import BrowserGameEnv
from evertrain.integrations.browser.env import IS_LOST
from evertrain.recipes.estimate import Estimate
from evertrain.recipes.table import aligned

Controller = Callable[[NDArray[np.float32]], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Played:
    """What came of one game.

    Attributes:
        reward: Sum over the episode.
        score: The game's own, at the end.
        close: Pairs of aircraft that were close, summed over the actions.
        is_lost: Whether its browser crashed or hung: it counts as far as it went.
    """

    reward: float
    score: float
    close: float
    is_lost: bool


def silence(observation: NDArray[np.float32]) -> NDArray[np.int64]:
    """Tell nobody anything."""
    del observation
    return np.zeros(2, np.int64)


def play(env: BrowserGameEnv, controller: Controller, seed: int) -> Played:
    """Return what comes of the game with that seed."""
    observation, _ = env.reset(seed=seed)
    reward = score = close = 0.0
    is_over = is_lost = False
    while not is_over:
        observation, earned, _, is_over, info = env.step(controller(observation))
        reward += earned
        score = score if math.isnan(info["score"]) else info["score"]
        close += info["conflicts"]
        is_lost = bool(info[IS_LOST])
    return Played(reward, score, close, is_lost)


def table(found: Mapping[str, Sequence[Played]]) -> str:
    """Return the report: a row for each controller, and what the last has over the first.

    Args:
        found: Of each controller, the same games in the same order.
    """
    (first, base), *_, (last, judged) = found.items()
    head = ("controller", "reward", "score", "pairs close", "lost")
    rows = [head, *((name, *_row(games)) for name, games in found.items())]
    rows.append((f"{last}, less {first}", *_differences(judged, base), ""))
    return "\n".join([f"{len(base)} games each; mean +- standard error", aligned(rows)])


def _row(games: Sequence[Played]) -> tuple[str, ...]:
    means = (f"{Estimate.of(column):.2f}" for column in _columns(games))
    return *means, str(sum(each.is_lost for each in games))


def _differences(games: Sequence[Played], others: Sequence[Played]) -> Iterator[str]:
    """Yield by how much each number is larger, game by game."""
    for column, other in zip(_columns(games), _columns(others), strict=True):
        gains = [one - two for one, two in zip(column, other, strict=True)]
        yield f"{Estimate.of(gains):.2f}"


def _columns(games: Sequence[Played]) -> Iterator[list[float]]:
    for name in ("reward", "score", "close"):
        yield [getattr(each, name) for each in games]
