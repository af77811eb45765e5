"""Other aircraft as they are seen from the cockpit: ahead and to the right.

bluesky-gym tells where they are to the north and to the east, and nowhere which way the own
aircraft is heading; so nobody could say from its numbers whether to turn left or right.

Layer: integrations. Imports its siblings only.
"""

from typing import Final

import gymnasium
import numpy as np

from evertrain.integrations.bluesky.env import BlueSkyEnv
from evertrain.integrations.bluesky.episode import Action, Observation
from evertrain.integrations.bluesky.scenario import SCENARIOS

# Parts of an observation that are vectors: to the north, to the east.
_VECTORS: Final = (("x_r", "y_r"), ("vx_r", "vy_r"), ("cos(track)", "sin(track)"))
SPEED_M_S: Final = 100.0  # what shown speeds are multiples of


class OwnFrame(gymnasium.ObservationWrapper[Observation, Action, Observation]):
    """Turns what an environment tells of other aircraft into the own aircraft's frame.

    Observation: as that of `BlueSkyEnv`, but "x_r", "vx_r" and "cos(track)" are ahead, and
    "y_r", "vy_r" and "sin(track)" to the right; speeds in 100 m/s.

    It holds no state: what it shows is a function of what the simulator shows.

    Args:
        env: The environment.
    """

    def __init__(self, env: BlueSkyEnv) -> None:
        """Find the vectors among the numbers."""
        super().__init__(env)
        self._own = env
        self.observed = env.observed
        self.scenario = SCENARIOS[env.physics.scenario]
        names = [name.partition("[")[0] for name in env.observed]
        self._pairs = [
            tuple(np.flatnonzero([name == part for name in names]) for part in pair)
            for pair in _VECTORS
        ]
        self._units = np.ones(len(names), np.float32)
        for name, unit_m_s in self.scenario.speed_units_m_s.items():
            self._units[[each == name for each in names]] = unit_m_s / SPEED_M_S

    def observation(self, observation: Observation) -> Observation:
        """Return the same, seen from the cockpit."""
        course = np.radians(self._own.course_deg)
        cosine, sine = np.float32(np.cos(course)), np.float32(np.sin(course))
        turned = observation * self._units
        for north, east in self._pairs:
            to_north, to_east = turned[north].copy(), turned[east].copy()
            turned[north] = to_north * cosine + to_east * sine
            turned[east] = to_east * cosine - to_north * sine
        return turned
