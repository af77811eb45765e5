"""How close the others will come, and when: what a controller's screen warns of.

It follows from where they are and how they move, but only by a division and a root,
which a small network takes long to find.

Layer: integrations. Imports its siblings only.
"""

from typing import Final

import gymnasium
import numpy as np

from evertrain.integrations.bluesky.approach import NM_M, Array, closest_approach
from evertrain.integrations.bluesky.episode import Action, Observation
from evertrain.integrations.bluesky.frame import SPEED_M_S, OwnFrame

_ADDED: Final = ("threat", "pass_ahead", "pass_right", "pass_s")
_SOON_S: Final = 120.0  # in which a threat fades by a factor e


class Foresight(gymnasium.ObservationWrapper[Observation, Action, Observation]):
    """Adds to an observation how each of the aircraft shown will pass, if nobody turns.

    Observation: that of `OwnFrame`, and behind it, for each aircraft: "threat", 0 to 1, how
    close it will come and how soon; "pass_ahead" and "pass_right", where it will be then,
    in radii of the protected zone, times the threat; "pass_s", when, in units of 120 s.

    It holds no state: what it shows is a function of what the simulator shows.

    Args:
        env: The environment.
    """

    def __init__(self, env: OwnFrame) -> None:
        """Find the places and speeds among the numbers."""
        super().__init__(env)
        names = [name.partition("[")[0] for name in env.observed]
        self._place, self._velocity = (
            np.array([np.flatnonzero([name == part for name in names]) for part in pair])
            for pair in (("x_r", "y_r"), ("vx_r", "vy_r"))
        )
        zone_m = env.scenario.separation_nm * NM_M
        self._zones = env.scenario.place_unit_m / zone_m
        self._zones_s = SPEED_M_S / zone_m
        shown = range(self._place.shape[1])
        self.observed = (*env.observed, *(f"{name}[{i}]" for name in _ADDED for i in shown))
        shape = (len(self.observed),)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, shape, np.float32)

    def observation(self, observation: Observation) -> Observation:
        """Return the same, and behind it what will come of it."""
        place = observation[self._place].astype(np.float64) * self._zones
        velocity = observation[self._velocity].astype(np.float64) * self._zones_s
        passing, seconds = closest_approach(place, velocity)
        threat = _threat(passing, seconds)
        added = np.concatenate([threat, *(threat * passing), seconds / _SOON_S], dtype=np.float32)
        return np.concatenate([observation, added])


def _threat(passing: Array, seconds: Array) -> Array:
    """Return 1 for a collision now, about 0.6 on the zone's border; less the later it is."""
    threat: Array = np.exp(-(passing**2).sum(axis=0) / 2 - seconds / _SOON_S)
    return threat
