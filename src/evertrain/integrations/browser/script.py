"""The scripts that a page gets before its own.

Layer: integrations. Imports its siblings only.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

from evertrain.integrations.browser.settings import GameSettings

EPOCH_MS: Final = 1_700_000_000_000  # where the time of every game begins, Unix milliseconds


def init_script(settings: GameSettings, seed: int) -> str:
    """Return virtual time, and what we ask of the game, for one play of it.

    Args:
        settings: Of the game.
        seed: Of its random numbers, 32 bits.
    """
    time = {"seed": seed, "epoch_ms": EPOCH_MS}
    return _call("virtual.js", time) + _call("openscope.js", settings.play)


def _call(name: str, options: dict[str, Any]) -> str:
    return f"({_source(name)})(window, {json.dumps(options)});\n"


@cache
def _source(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8").rstrip()
