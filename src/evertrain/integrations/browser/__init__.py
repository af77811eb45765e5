"""Games in a browser as environments: deterministic, hang-proof, and exact after a restart.

    env = make_env(GameSettings(url="http://127.0.0.1:3003", airport="klas"))

The game is openScope, or what has its API. See docs/recipes/openscope.md.

Layer: integrations. Imports its siblings and core.
"""

from evertrain.integrations.browser.env import BrowserGameEnv, make_env
from evertrain.integrations.browser.game import BrowserGame, Game
from evertrain.integrations.browser.look import Aircraft, Conflict, Look
from evertrain.integrations.browser.process import GameLostError
from evertrain.integrations.browser.settings import GameSettings

__all__ = [
    "Aircraft",
    "BrowserGame",
    "BrowserGameEnv",
    "Conflict",
    "Game",
    "GameLostError",
    "GameSettings",
    "Look",
    "make_env",
]
