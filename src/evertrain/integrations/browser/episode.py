"""One game under way, as it is saved, and what has to be true of it when it is played again.

Layer: integrations. Imports its siblings only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evertrain.integrations.browser.look import Look
from evertrain.integrations.browser.process import GameLostError
from evertrain.integrations.browser.settings import GameSettings


@dataclass(slots=True)
class Episode:
    """One game under way.

    Attributes:
        seed: Of the game.
        look: What is to be seen of it now.
        told: The command of each action so far; "" where there was none.
    """

    seed: int
    look: Look
    told: list[str] = field(default_factory=list)

    def saved(self, settings: GameSettings) -> dict[str, Any]:
        """Return what it takes to play it again, and to know it again, as plain data."""
        return {
            "seed": self.seed,
            "told": list(self.told),
            "play": settings.play,
            "version": self.look.version,
            "digest": self.look.digest,
        }


def check_play(saved: Mapping[str, Any], settings: GameSettings) -> None:
    """Refuse to play a game again whose time would pass otherwise: a ladder may have moved.

    Raises:
        GameLostError: It was played with other settings.
    """
    changed = [
        f"{name} {there!r} there, {settings.play[name]!r} here"
        for name, there in saved["play"].items()
        if settings.play.get(name) != there
    ]
    if changed:
        raise GameLostError(f"it was played with other settings: {', '.join(changed)}")


def check_outcome(saved: Mapping[str, Any], episode: Episode) -> None:
    """Refuse a game that was played again, and came out as another one.

    Raises:
        GameLostError: It is another one.
    """
    there, here = str(saved["version"]), episode.look.version
    if there != here:
        raise GameLostError(f"it was saved by version {there!r} of the game, and this is {here!r}")
    if episode.look.digest != saved["digest"]:
        raise GameLostError(
            f"played again for {len(episode.told)} actions, it is another game: "
            "what happens in it does not follow from its seed alone"
        )
