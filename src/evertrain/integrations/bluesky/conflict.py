"""Who will come too close, if nobody turns: state-based conflict detection. Pure.

Layer: integrations. Imports its siblings only.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evertrain.integrations.bluesky.approach import NM_M, Array, closest_approach

_NM_PER_DEGREE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Flight:
    """Where aircraft are and where they go; every array has shape (aircraft,).

    Attributes:
        latitude_deg: North is positive.
        longitude_deg: East is positive.
        track_deg: Over ground, from north, clockwise.
        speed_m_s: Over ground.
    """

    latitude_deg: Array
    longitude_deg: Array
    track_deg: Array
    speed_m_s: Array


def conflicts(flight: Flight, own: int, separation_nm: float) -> NDArray[np.bool_]:
    """Say of each aircraft whether it comes too close to the one with index `own`.

    Straight on at constant speed, on a plane that touches the Earth at the own
    aircraft, at any time within `LOOK_AHEAD_S`; those that are too close already
    count. The own one never does.

    Args:
        flight: Of all aircraft, at the same height.
        own: Index of the own one.
        separation_nm: What is too close, nautical miles.
    """
    latitude, longitude = flight.latitude_deg, flight.longitude_deg
    shrink = np.cos(np.radians(latitude[own]))
    place = np.stack([latitude - latitude[own], (longitude - longitude[own]) * shrink])
    track = np.radians(flight.track_deg)
    velocity = np.stack([np.cos(track), np.sin(track)]) * flight.speed_m_s / NM_M
    relative = velocity - velocity[:, own, None]
    passing, _ = closest_approach(place * _NM_PER_DEGREE, relative)
    found: NDArray[np.bool_] = np.hypot(*passing) < separation_nm
    found[own] = False
    return found
