"""`BlueSkyEnv`: an environment of bluesky-gym that goes on exactly where it was captured.

Neither pickle nor deepcopy sees the simulator's state: both succeed, and hold
none of it. What can be had again is the way there. An episode here is a function
of its seed and its actions, so these two are its state, and to restore it is to
fly it again; a digest of every observation and reward on the way says whether it
came out the same.

Layer: integrations. Imports its siblings, checkpoint and core.
"""

import warnings
from functools import cache
from importlib.metadata import version
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded

from evertrain.checkpoint.plugin import Tree
from evertrain.core.errors import StateError
from evertrain.integrations.bluesky.conflict import conflicts
from evertrain.integrations.bluesky.episode import Action, Episode, Observation
from evertrain.integrations.bluesky.scenario import SCENARIOS, Physics
from evertrain.integrations.bluesky.simulator import Simulator

_PACKAGES: Final = ("bluesky-gym", "bluesky-simulator", "numpy")


class BlueSkyEnv(gymnasium.Env[Observation, Action]):
    """One aircraft among others, which is told where to turn and how fast to fly.

    Observation: the numbers of bluesky-gym's, one behind the other, float32; `observed`
    names them.

    Action: turn and change of speed, -1 to 1 each of what the scenario allows, float32,
    shape (2,).

    Info, at every step: `intrusions`, aircraft inside the protected zone, added up over the
    actions of the episode; `conflicts`, how often another aircraft came to be on a course
    into it; `drift_deg`, mean angle between the nose and the waypoint.

    Episodes end where bluesky-gym ends them; wrap it in a `TimeLimit`. The process's global
    generators are lent to the simulator with states of its own, and found as they were.

    Args:
        physics: How to simulate; None is as bluesky-gym does in the scenario "sector". An
            episode that is put back goes on under the physics that it began with; the next
            one begins under these.

    Raises:
        UsageError: This process has a simulator: give each environment a process.
        MissingExtraError: BlueSky is not installed.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - gymnasium's own declaration

    def __init__(self, physics: Physics | None = None) -> None:
        """Start the simulator; the first episode comes with `reset`."""
        self.physics = physics or Physics.usual()
        scenario = SCENARIOS[self.physics.scenario]
        self._separation_nm = scenario.separation_nm
        self._simulator = Simulator(scenario)
        self._inner = self._simulator.env
        self._parts = tuple(self._inner.observation_space.spaces)
        self.observed = tuple(_names(self._inner.observation_space))
        shape = (len(self.observed),)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, shape, np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self._episode: Episode | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin the next episode; see `gymnasium.Env.reset`.

        Args:
            seed: Starts the series of episodes anew. None: the next one.
            options: Not used.
        """
        super().reset(seed=seed, options=options)
        return self._begin(int(self.np_random.integers(2**63)), self.physics)

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Fly until the next action is due; see `gymnasium.Env.step`.

        Raises:
            ResetNeeded: No episode has begun.
        """
        episode = self._episode
        if episode is None:
            raise ResetNeeded("No episode has begun; call reset() first.")
        taken = np.array(action, np.float32)
        with episode.stream.lent():
            found, reward, terminated, truncated, info = self._inner.step(taken.astype(float))
        episode.actions.append(taken)
        observation = self._flat(found)
        episode.trace.add(observation, float(reward))
        self._look(episode)
        told = self._told(episode, info)
        return observation, float(reward), bool(terminated), bool(truncated), told

    def get_state(self) -> Tree:
        """Return the series of episodes, and the way to where the open one is."""
        return {
            "rng": self.np_random.bit_generator.state,
            "episode": None if self._episode is None else self._episode.record(),
            "versions": _versions(),
        }

    def set_state(self, state: Tree) -> None:
        """Go on exactly where `get_state` was called, in this or another process.

        Takes the time of all actions of the open episode.

        Raises:
            StateError: The open episode does not come out the same here.
        """
        there = state["episode"]
        if there is None:
            self._episode = None
        else:
            self._fly_again(there, state["versions"])
        self.np_random.bit_generator.state = state["rng"]

    @property
    def course_deg(self) -> float:
        """Where the own aircraft flies to, degrees from north, clockwise."""
        flight, own = self._simulator.flight()
        return float(flight.track_deg[own])

    def close(self) -> None:
        """Let another environment have the process."""
        self._simulator.close()

    def _begin(self, seed: int, physics: Physics) -> tuple[Observation, dict[str, Any]]:
        self._episode = episode = Episode.begin(seed, physics)
        with episode.stream.lent(), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # the mean drift of no action yet
            self._simulator.begin(physics)
            found, info = self._inner.reset()
        observation = self._flat(found)
        episode.trace.add(observation, 0.0)
        self._look(episode)
        return observation, self._told(episode, info)

    def _fly_again(self, there: Tree, versions: dict[str, str]) -> None:
        physics = Physics(**there["physics"])
        if physics.scenario != self.physics.scenario:
            raise StateError(
                f"the checkpoint has the scenario {physics.scenario!r}, "
                f"and this environment flies {self.physics.scenario!r}.",
                "they are different tasks.",
                "Train the other scenario in a run of its own.",
            )
        self._begin(int(there["seed"]), physics)
        for action in there["actions"]:
            self.step(action)
        assert self._episode is not None  # noqa: S101  (begun above)
        if self._episode.trace.hex() != there["trace"]:
            self._episode = None
            raise _other_outcome(len(there["actions"]), versions)

    def _look(self, episode: Episode) -> None:
        flight, own = self._simulator.flight()
        episode.see(conflicts(flight, own, self._separation_nm))

    def _flat(self, found: dict[str, Any]) -> Observation:
        parts = [np.ravel(found[name]) for name in self._parts]
        return np.concatenate(parts).astype(np.float32)

    def _told(self, episode: Episode, info: dict[str, Any]) -> dict[str, Any]:
        drift_deg = float(np.degrees(info["average_drift"]))
        return {
            "intrusions": int(info["total_intrusions"]),
            "conflicts": episode.conflicts,
            "drift_deg": drift_deg if np.isfinite(drift_deg) else 0.0,
        }


def _names(space: gymnasium.spaces.Dict) -> list[str]:
    """Return a name for each number of an observation: "x_r[2]", or "airspeed" of one alone."""
    found = []
    for name, part in space.spaces.items():
        count = int(np.prod(part.shape or ()))
        found += [name] if count == 1 else [f"{name}[{index}]" for index in range(count)]
    return found


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES}


def _other_outcome(actions: int, versions: dict[str, str]) -> StateError:
    here = _versions()
    others = [
        f"{name} {versions[name]} there, {here[name]} here"
        for name in here
        if versions.get(name, here[name]) != here[name]
    ]
    return StateError(
        f"the open episode, flown again with its {actions} actions, did not come out the same.",
        "; ".join(others) or "the same packages compute something else on this machine.",
        "Install the versions that the checkpoint was written with, or start a new run.",
    )
