"""BlueSky, the air traffic simulator: environments whose state can be put back.

    env = BlueSkyEnv(Physics(scenario="sector"))

One simulator lives in a process, so several environments need worker processes:
`vector_env([partial(BlueSkyEnv, physics)] * 4)`.

Layer: integrations. Imports checkpoint and core.
"""

from evertrain.integrations.bluesky.env import BlueSkyEnv
from evertrain.integrations.bluesky.foresight import Foresight
from evertrain.integrations.bluesky.frame import OwnFrame
from evertrain.integrations.bluesky.scenario import SCENARIOS, Physics, Scenario

__all__ = ["SCENARIOS", "BlueSkyEnv", "Foresight", "OwnFrame", "Physics", "Scenario"]
