"""Every number of a browser game, and where its browser is.

Layer: integrations. Imports core only.
"""

import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from evertrain.core.errors import ConfigError

CHROMIUM: Final = "EVERTRAIN_CHROMIUM"
_NAMES: Final = (
    "chromium-headless-shell",
    "headless_shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
)

_PAUSE_MS: Final = 1000
_LONGEST_S: Final = 100

# What aircraft can be told, as openScope's command line has it: headings in degrees,
# altitudes in hundreds of feet, speeds in knots.
INSTRUCTIONS: Final = (
    *(f"fh {degrees:03d}" for degrees in range(30, 361, 30)),
    *(f"a {hundreds}" for hundreds in (30, 50, 70, 90, 110, 130, 150)),
    *(f"sp {knots}" for knots in (180, 210, 250)),
    "dvs",
    "caf",
    "cto",
)


@dataclass(frozen=True, slots=True)
class GameSettings:
    """One game, and the training's view of it.

    Attributes:
        url: Where the game is served, "http://..." or "https://...". Requests to other places
            are refused: their answers would not be the same twice.
        chromium: Path of a Chromium, or of its headless shell; None looks for one.
        airport: ICAO code of the airport; None takes the one that the game opens with.
        timewarp: Seconds of the game that pass in one second of the page.
        frame_ms: Milliseconds of the page from frame to frame, all of them virtual. A frame is
            one step of the game's physics: `frame_ms * timewarp` milliseconds of flight.
        action_s: Seconds of the game between two actions: a whole number of frames.
        episode_steps: Actions after which an episode is truncated.
        slots: Aircraft that are observed, and may be told something.
        instructions: What an aircraft can be told, without its callsign.
        points_per_reward: Points of the game's score that make a reward of 1.
        conflict_cost: Taken off for each pair of aircraft that come close, at each step.
        violation_cost: The same, for each pair closer than the rules allow.
        start_s: Longest time to start the browser and begin a game, seconds.
        step_s: Longest time of one action, seconds.
        starts: Attempts to begin a game before the environment gives up.
    """

    url: str
    chromium: str | None = None
    airport: str | None = "klas"
    timewarp: float = 20.0
    frame_ms: int = 50
    action_s: float = 6.0
    episode_steps: int = 300
    slots: int = 12
    instructions: tuple[str, ...] = INSTRUCTIONS
    points_per_reward: float = 10.0
    conflict_cost: float = 0.05
    violation_cost: float = 0.2
    start_s: float = 120.0
    step_s: float = 30.0
    starts: int = 3

    def __post_init__(self) -> None:
        """Refuse what cannot work, all faults at once."""
        faults = list(_faults(self))
        if faults:
            raise ConfigError(
                f"these settings of a browser game cannot work: {'; '.join(faults)}.",
                "a game needs a page, time that passes in whole frames, and somebody to instruct.",
                "Correct them.",
            )

    @property
    def frames(self) -> int:
        """Frames of one action."""
        return round(1000 * self.action_s / (self.frame_ms * self.timewarp))

    @property
    def play(self) -> dict[str, Any]:
        """What the course of a game depends on, besides its seed and what it is told."""
        return {
            "airport": None if self.airport is None else self.airport.lower(),
            "timewarp": self.timewarp,
            "frame_ms": self.frame_ms,
            "frames": self.frames,
        }


def find_chromium(
    path: str | None,
    environ: Mapping[str, str],
    which: Callable[[str], str | None] | None = None,
) -> str | None:
    """Return the browser to start; None leaves the choice to Playwright.

    Args:
        path: As the settings have it. None: `$EVERTRAIN_CHROMIUM`, then one on the PATH.
        environ: Environment variables.
        which: Looks a program up; None looks on the PATH.

    Raises:
        ConfigError: The path leads to no file.
    """
    chosen = path or environ.get(CHROMIUM)
    if not chosen:
        look_up = which or shutil.which
        return next((found for name in _NAMES if (found := look_up(name))), None)
    if not Path(chosen).is_file():
        raise ConfigError(
            f"there is no browser at {chosen!r}.",
            "the game runs in Chromium.",
            f"Correct the path, or ${CHROMIUM}; docs/recipes/openscope.md says where to get one.",
        )
    return chosen


def _faults(settings: GameSettings) -> list[str]:
    faults = []
    if not settings.url.startswith(("http://", "https://")):
        faults.append(f"url {settings.url!r} is no http address")
    if settings.airport is not None and not settings.airport.isalnum():
        faults.append(f"airport {settings.airport!r} is no ICAO code")
    for name in ("timewarp", "action_s", "points_per_reward", "start_s", "step_s"):
        value = getattr(settings, name)
        if not (math.isfinite(value) and value > 0):
            faults.append(f"{name} {value!r} is not above 0")
    for name in ("frame_ms", "episode_steps", "slots", "starts"):
        value = getattr(settings, name)
        if not (isinstance(value, int) and value > 0):
            faults.append(f"{name} {value!r} is no whole number above 0")
    for name in ("conflict_cost", "violation_cost"):
        value = getattr(settings, name)
        if not (math.isfinite(value) and value >= 0):
            faults.append(f"{name} {value!r} is not 0 or more")
    if not settings.instructions or not all(_is_line(each) for each in settings.instructions):
        faults.append("instructions have to be lines of text, at least one")
    return faults or [*_long_frames(settings), *_broken_frames(settings)]


def _is_line(text: str) -> bool:
    return bool(text.strip()) and text.isprintable()


def _long_frames(settings: GameSettings) -> list[str]:
    """Return the faults of frames in which the game would let less time pass than we count."""
    faults = []
    if settings.frame_ms >= _PAUSE_MS:
        faults.append(f"frame_ms {settings.frame_ms} is a pause to the game, from {_PAUSE_MS} on")
    if settings.frame_ms * settings.timewarp > 1000 * _LONGEST_S:
        frame_s = settings.frame_ms * settings.timewarp / 1000
        faults.append(f"a frame of {frame_s:g} s is more than the game takes, {_LONGEST_S} s")
    return faults


def _broken_frames(settings: GameSettings) -> list[str]:
    """Return the fault of an action that is no whole number of frames."""
    exact = 1000 * settings.action_s / (settings.frame_ms * settings.timewarp)
    if settings.frames >= 1 and math.isclose(exact, settings.frames, rel_tol=1e-9):
        return []
    fault = f"action_s {settings.action_s:g} is {exact:g} frames of {settings.frame_ms} ms"
    return [f"{fault} at timewarp {settings.timewarp:g}, and no whole number of them"]
