"""Games between policies that learn no more: how good each one is, against whom.

In a training against each other the rewards alone say little: seekers that get better meet
a hider that gets better. So each trained policy also plays against one as it was before the
training, from the same starts.

Layer: recipes. Imports its siblings.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core.columns import Columns

from evertrain.recipes.estimate import Estimate
from evertrain.recipes.hideseek.config import GameConfig
from evertrain.recipes.hideseek.env import HIDER, ROLES, SEEKER, HideAndSeek, policy_of
from evertrain.recipes.hideseek.tally import of_game
from evertrain.recipes.table import aligned

Array = np.ndarray[Any, Any]
# From observations, float32, shape (batch, features), to actions, int64, shape (batch,).
Policy = Callable[[Array], Array]

_AT_ONCE: Final = 20  # each game has a surface to draw on, 2 MB


def _unwatched() -> None:
    """Look away."""


@dataclass(frozen=True, slots=True)
class Score:
    """What the games of one pairing came to.

    Attributes:
        seekers: Whose seekers played.
        hiders: Whose hiders played.
        seeker_reward: Return of a seeker per game.
        hider_reward: Return of a hider per game.
        caught_share: Share of the games in which a hider was touched.
    """

    seekers: str
    hiders: str
    seeker_reward: Estimate
    hider_reward: Estimate
    caught_share: Estimate


def policies_of(algorithm: Algorithm) -> dict[str, Policy]:
    """Return both policies as they are now; they do not follow the training."""
    return {role: _frozen(copy.deepcopy(algorithm.get_module(role))) for role in ROLES}


def compare(
    trained: Mapping[str, Policy],
    untrained: Mapping[str, Policy],
    game: GameConfig,
    *,
    games: int,
    seed: int,
) -> list[Score]:
    """Return the scores of the four pairings, all from the same starts.

    Args:
        trained: A policy for each role.
        untrained: The same before the training.
        game: What is played.
        games: Games of each pairing, 2 or more.
        seed: Seed of the starts.
    """
    sides = {"untrained": untrained, "trained": trained}
    scores = []
    for seekers, hiders in (
        ("untrained", "untrained"),
        ("trained", "untrained"),
        ("untrained", "trained"),
        ("trained", "trained"),
    ):
        pair = {SEEKER: sides[seekers][SEEKER], HIDER: sides[hiders][HIDER]}
        found = play(pair, game, games=games, seed=seed)
        columns = (Estimate.of([each[n] for each in found]) for n in ("seeker", "hider", "caught"))
        scores.append(Score(seekers, hiders, *columns))
    return scores


def play(
    policies: Mapping[str, Policy], game: GameConfig, *, games: int, seed: int
) -> list[dict[str, float]]:
    """Return what each of some games came to, as `tally.of_game` says it.

    Args:
        policies: A policy for each role.
        game: What is played.
        games: How many games.
        seed: Seed of their starts.
    """
    fields = [HideAndSeek(game.model_dump()) for _ in range(min(games, _AT_ONCE))]
    seeds: list[int | None] = [seed * _AT_ONCE + index for index in range(len(fields))]
    found: list[dict[str, float]] = []
    while len(found) < games:
        found += play_round(policies, fields, seeds)
        seeds = [None] * len(fields)
    for field in fields:
        field.close()
    return found[:games]


def table(scores: Sequence[Score]) -> str:
    """Return scores as text, a row per pairing, each number with its standard error."""
    rows = [
        ("seekers", "hider", "seeker reward", "hider reward", "games with a touch"),
        *(_row(score) for score in scores),
    ]
    return aligned(rows)


def _row(score: Score) -> tuple[str, ...]:
    rewards = (f"{score.seeker_reward:.1f}", f"{score.hider_reward:.1f}")
    share = score.caught_share.scaled(100)
    touched = f"{share.mean:.0f} % +-{share.error:.0f}"
    return score.seekers, score.hiders, *rewards, touched


def play_round(
    policies: Mapping[str, Policy],
    fields: Sequence[HideAndSeek],
    seeds: Sequence[int | None],
    watch: Callable[[], object] = _unwatched,
) -> list[dict[str, float]]:
    """Play one game on each field, side by side, and return what each came to.

    Args:
        policies: A policy for each role.
        fields: Where; all of one length.
        seeds: Of the start on each field; None goes on with the seed before.
        watch: Called at the start and behind each step.
    """
    seen = [field.reset(seed=seed)[0] for field, seed in zip(fields, seeds, strict=True)]
    agents = fields[0].possible_agents
    returns = [dict.fromkeys(agents, 0.0) for _ in fields]
    steps = 0
    watch()
    while fields[0].agents:
        moves = _act(policies, seen, agents)
        for index, field in enumerate(fields):
            seen[index], rewards, *_ = field.step(moves[index])
            for name in agents:
                returns[index][name] += rewards[name]
        steps += 1
        watch()
    return [of_game(each, steps) for each in returns]


def _act(
    policies: Mapping[str, Policy], seen: Sequence[Mapping[str, Array]], agents: Sequence[str]
) -> list[dict[str, int]]:
    """Return the moves of all agents of all games; each policy is asked once."""
    moves: list[dict[str, int]] = [{} for _ in seen]
    for role, policy in policies.items():
        mine = [name for name in agents if policy_of(name) == role]
        chosen = policy(np.stack([each[name] for each in seen for name in mine]))
        for index, move in enumerate(chosen):
            moves[index // len(mine)][mine[index % len(mine)]] = int(move)
    return moves


def _frozen(module: Any) -> Policy:
    """Return an RLModule as a function that takes the likeliest action."""

    def act(observations: Array) -> Array:
        with torch.no_grad():
            batch = {Columns.OBS: torch.as_tensor(observations)}
            logits = module.forward_inference(batch)[Columns.ACTION_DIST_INPUTS]
        moves: Array = logits.argmax(-1).numpy()
        return moves

    return act
