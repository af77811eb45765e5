"""BlueSky in worker processes, for tests that look into them."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from evertrain.core.errors import EvertrainError
from evertrain.integrations.bluesky import BlueSkyEnv, Foresight, OwnFrame, Physics
from evertrain.integrations.sb3 import vector_env


class Probe(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Answers questions about the process that the simulator lives in."""

    def use(self, physics: Physics) -> None:
        """Close the simulator's environment, and open another one in the same process."""
        self.sky.close()
        self.env = BlueSkyEnv(physics)

    def set_physics(self, physics: Physics) -> None:
        """Change what the next episode begins under."""
        self.sky.physics = physics

    def try_state(self, state: Any) -> str:
        """Put a state back, and return the error as text."""
        try:
            self.sky.set_state(state)
        except EvertrainError as error:
            return str(error)
        return ""

    def try_another(self) -> str:
        """Start another simulator here, and return the error as text."""
        try:
            BlueSkyEnv()
        except EvertrainError as error:
            return str(error)
        return ""

    def draws_beside(self, action: Any) -> list[tuple[float, float]]:
        """Draw from the global generators before and behind a step, from the same seed."""
        found = []
        for flies in (False, True):
            random.seed(5)
            np.random.seed(5)  # noqa: NPY002
            if flies:
                self.sky.step(action)
            found.append((random.random(), float(np.random.random())))  # noqa: NPY002
        return found

    def clock(self) -> list[Any]:
        """Return the simulated time, and how far each timer is."""
        import bluesky
        from bluesky.core import simtime

        timers = {each.name: each.counter for each in simtime.Timer.timers()}
        return [bluesky.sim.simt, str(simtime._clock.t), timers]

    def cockpit(self, seed: int, actions: Any) -> list[dict[str, tuple[float, ...]]]:
        """Fly, and return (ahead, to the right) of the nearest aircraft: as shown, and as it is.

        Places are shares of the distance, speeds in 100 m/s. "passing" is where it is when
        it is nearest within five minutes, if nobody turns, in radii of the protected zone,
        and in how many minutes: looked up, second by second.
        """
        import bluesky

        frame = Foresight(OwnFrame(self.sky))
        names = frame.observed
        zone_nm = {"sector": 5, "merge": 4}[self.sky.physics.scenario]
        shown, _ = frame.reset(seed=seed)
        found = []
        for action in actions:
            shown, *_ = frame.step(action)
            traffic, own = bluesky.traf, bluesky.traf.id2idx("KL001")
            bearings, distances = bluesky.tools.geo.kwikqdrdist_matrix(
                traffic.lat[own], traffic.lon[own], traffic.lat, traffic.lon
            )
            distances = np.ravel(distances)
            distances[own] = np.inf
            near = int(np.argmin(distances))
            off = np.radians(np.ravel(bearings)[near] - traffic.hdg[own])
            turn = np.radians(traffic.hdg[near] - traffic.hdg[own])
            ahead, right = (float(shown[names.index(f"{name}_r[0]")]) for name in "xy")
            far = float(np.hypot(ahead, right))
            speed = np.array(
                [
                    np.cos(turn) * traffic.tas[near] - traffic.tas[own],
                    np.sin(turn) * traffic.tas[near],
                ]
            )
            away = distances[near] * np.array([np.cos(off), np.sin(off)])
            later = away / zone_nm + np.outer(np.arange(301), speed / 1852 / zone_nm)
            nearest = int(np.argmin(np.hypot(*later.T)))
            threat, *passes, when = (
                float(shown[names.index(f"{name}[0]")])
                for name in ("threat", "pass_ahead", "pass_right", "pass_s")
            )
            found.append(
                {
                    "place shown": (ahead / far, right / far),
                    "place": (float(np.cos(off)), float(np.sin(off))),
                    "speed shown": tuple(float(shown[names.index(f"v{n}_r[0]")]) for n in "xy"),
                    "speed": tuple(speed / 100),
                    "passing shown": (*(each / threat for each in passes), when * 2),
                    "passing": (*later[nearest], nearest / 60),
                    "threat": (threat, np.exp(-(later[nearest] ** 2).sum() / 2 - nearest / 120)),
                    "track": tuple(
                        float(shown[names.index(f"{n}(track)[0]")]) for n in ("cos", "sin")
                    ),
                }
            )
        return found

    @property
    def sky(self) -> BlueSkyEnv:
        """The environment itself."""
        assert isinstance(self.env, BlueSkyEnv)
        return self.env


def sky(cache: Path, physics: Physics) -> Probe:
    """Return an environment whose simulator works below `cache`."""
    os.environ["XDG_CACHE_HOME"] = str(cache)
    return Probe(BlueSkyEnv(physics))


@contextmanager
def worker(cache: Path, physics: Physics) -> Iterator[Any]:
    """Lend a process with one simulator."""
    venv: VecEnv = vector_env([partial(sky, cache, physics)])
    try:
        yield venv
    finally:
        venv.close()
