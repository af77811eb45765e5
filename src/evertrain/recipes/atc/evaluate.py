"""The examination: a policy against two references, on episodes it never met.

All controllers meet the same episodes, so differences are paired. An episode is
a function of its seed, so the same policy scores the same in every attempt.

Layer: recipes. Imports its siblings only.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from evertrain.recipes.atc.world import TOLD
from evertrain.recipes.estimate import Estimate
from evertrain.recipes.table import aligned

Array = NDArray[np.float32]
Controller = Callable[[Array], Array]
Flight = Mapping[str, float]  # one episode: TOLD, reward, and actions

_MOST_TURN_DEG: Final = {"sector": 22.5, "merge": 15.0}  # what an action of 1 turns


def fly(controller: Controller, venv: VecEnv, *, episodes: int, seed: int) -> list[Flight]:
    """Return what came of the episodes with the seeds `seed`, `seed` + 1, ...

    Args:
        controller: From observations (float32, shape (environments, n), not normalized) to
            actions of shape (environments, 2).
        venv: Whose environments tell `TOLD` at an episode's end.
        episodes: How many.
        seed: Of the first one.
    """
    found: list[Flight] = []
    for first in range(seed, seed + episodes, venv.num_envs):
        venv.seed(first)
        found += _one_each(controller, venv)
    return found[:episodes]


def _one_each(controller: Controller, venv: VecEnv) -> list[Flight]:
    """Play one episode in each environment; those that are done before others play on unseen."""
    observations: Any = venv.reset()
    ended: dict[int, Flight] = {}
    while len(ended) < venv.num_envs:
        observations, _, dones, infos = venv.step(controller(observations))
        for index in np.flatnonzero(dones):
            ended.setdefault(int(index), _flight(infos[index]["episode"]))
    return [ended[index] for index in range(venv.num_envs)]


def _flight(episode: Mapping[str, Any]) -> Flight:
    told = {name: float(episode[name]) for name in TOLD}
    return {"reward": float(episode["r"]), "actions": float(episode["l"]), **told}


def straight(observations: Array) -> Array:
    """Touch nothing: the aircraft keeps the course and the speed that it begins with."""
    return np.zeros((len(observations), 2), np.float32)


def direct(observed: Sequence[str], scenario: str) -> Controller:
    """Return a controller that turns to the waypoint at once, whoever is in the way.

    Args:
        observed: Names of the numbers of an observation.
        scenario: Says how far an action turns.
    """
    cosine, sine = observed.index("cos(drift)"), observed.index("sin(drift)")

    def turn(observations: Array) -> Array:
        drift_deg = np.degrees(np.arctan2(observations[:, sine], observations[:, cosine]))
        turns = np.clip(-drift_deg / _MOST_TURN_DEG[scenario], -1.0, 1.0)
        return np.stack([turns, np.zeros_like(turns)], axis=1).astype(np.float32)

    return turn


def table(flights: Mapping[str, Sequence[Flight]]) -> str:
    """Return the report: a row for each controller, the last one being judged by the first.

    Args:
        flights: Of each controller, in the same episodes.
    """
    reference = next(iter(flights.values()))
    head = ("controller", "reward", "intrusions", "conflicts", "drift, deg", "actions", "better in")
    rows = [head, *(_row(name, each, reference) for name, each in flights.items())]
    return "\n".join([f"{len(reference)} episodes; mean +- standard error", aligned(rows)])


def _row(name: str, flights: Sequence[Flight], reference: Sequence[Flight]) -> tuple[str, ...]:
    shown = ("reward", "intrusions", "conflicts", "drift_deg", "actions")
    cells = [f"{Estimate.of([each[key] for each in flights]):.2f}" for key in shown]
    better = sum(
        one["reward"] > other["reward"] for one, other in zip(flights, reference, strict=True)
    )
    versus = "-" if flights is reference else f"{better}/{len(flights)}"
    return name, *cells, versus
