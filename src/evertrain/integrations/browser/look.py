"""What is to be seen of a game at one moment.

Layer: integrations. Imports nothing from evertrain.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_DIGEST_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Aircraft:
    """One aircraft.

    Attributes:
        callsign: What it answers to.
        is_arrival: Whether it wants to land here.
        is_controllable: Whether it obeys: it is in the airspace.
        is_hit: Whether it has collided.
        position_km: East and north of the airport, km.
        altitude_ft: Above the sea, feet.
        heading_rad: Clockwise from north, radians.
        ground_speed_kt: Knots.
        trend: -1 descends, 1 climbs, 0 does neither.
        told_altitude_ft: Altitude that it was told; its own where it was told none.
        told_heading_rad: Heading, alike.
        told_speed_kt: Speed, alike.
    """

    callsign: str
    is_arrival: bool
    is_controllable: bool
    is_hit: bool
    position_km: tuple[float, float]
    altitude_ft: float
    heading_rad: float
    ground_speed_kt: float
    trend: float
    told_altitude_ft: float
    told_heading_rad: float
    told_speed_kt: float


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two aircraft that come close.

    Attributes:
        pair: Their indices in `Look.aircraft`.
        is_violation: Whether they are closer than the rules allow.
    """

    pair: tuple[int, int]
    is_violation: bool


@dataclass(frozen=True, slots=True)
class Look:
    """A game at one moment.

    Attributes:
        aircraft: All of them, in the game's own order.
        conflicts: Pairs that come close.
        score: The game's own.
        version: What the game calls itself; "" if it does not say.
        errors: Errors of the page that nobody caught, since it was opened.
        last_error: The last of them.
        digest: Equal digests, equal games: it covers the clock, the random numbers and
            more of each aircraft than is seen here.
    """

    aircraft: tuple[Aircraft, ...]
    conflicts: tuple[Conflict, ...]
    score: float
    version: str
    errors: int
    last_error: str
    digest: str


def digest_of(told: bytes) -> str:
    """Return a digest of what a page has told, as it told it."""
    return hashlib.blake2b(told.strip(), digest_size=_DIGEST_BYTES).hexdigest()


def read_look(tree: Any, digest: str) -> Look:
    """Return what a page has told.

    Args:
        tree: As openscope.js put it together.
        digest: Of the text that it was.

    Raises:
        ValueError: It is nothing that our scripts say.
    """
    try:
        aircraft = tuple(_aircraft(each) for each in tree["aircraft"])
        return Look(
            aircraft=aircraft,
            conflicts=tuple(_conflict(each, len(aircraft)) for each in tree["conflicts"]),
            score=_number(tree["score"]),
            version=str(tree["version"]),
            errors=int(tree["errors"]["count"]),
            last_error=str(tree["errors"]["last"]),
            digest=digest,
        )
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"the page told something else than a game: {error!r}") from error


def _aircraft(tree: Mapping[str, Any]) -> Aircraft:
    east, north = tree["position_km"]
    altitude, heading, speed = tree["told"]
    return Aircraft(
        callsign=str(tree["callsign"]),
        is_arrival=bool(tree["is_arrival"]),
        is_controllable=bool(tree["is_controllable"]),
        is_hit=bool(tree["is_hit"]),
        position_km=(_number(east), _number(north)),
        altitude_ft=_number(tree["altitude_ft"]),
        heading_rad=_number(tree["heading_rad"]),
        ground_speed_kt=_number(tree["ground_speed_kt"]),
        trend=_number(tree["trend"]),
        told_altitude_ft=_number(tree["altitude_ft"] if altitude is None else altitude),
        told_heading_rad=_number(tree["heading_rad"] if heading is None else heading),
        told_speed_kt=_number(tree["ground_speed_kt"] if speed is None else speed),
    )


def _conflict(tree: Any, count: int) -> Conflict:
    first, second, is_violation = tree
    if not (0 <= first < count and 0 <= second < count):
        raise IndexError(f"a conflict of aircraft {first} and {second} of {count}")
    return Conflict((int(first), int(second)), bool(is_violation))


def _number(value: Any) -> float:
    """Return a number; 0 for what JavaScript has no number for (JSON says null)."""
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value) if math.isfinite(value) else 0.0
