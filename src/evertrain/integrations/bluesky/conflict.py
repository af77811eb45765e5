"""Who will come too close, if nobody turns: state-based conflict detection. Pure.

Layer: integrations. Imports nothing from evertrain.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

LOOK_AHEAD_S: Final = 300.0  # as BlueSky's own detection has it
_NM_M: Final = 1852.0
_NM_PER_DEGREE: Final = 60.0

Array = NDArray[np.float64]


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

    Source:
        Hoekstra, van Gent and Ruigrok, Designing for safety: the free flight air traffic
        management concept, Reliability Engineering and System Safety 75 (2002), 215-232.
    """
    latitude, longitude = flight.latitude_deg, flight.longitude_deg
    shrink = np.cos(np.radians(latitude[own]))
    north = (latitude - latitude[own]) * _NM_PER_DEGREE
    east = (longitude - longitude[own]) * _NM_PER_DEGREE * shrink
    track, speed_nm_s = np.radians(flight.track_deg), flight.speed_m_s / _NM_M
    to_north = np.cos(track) * speed_nm_s
    to_east = np.sin(track) * speed_nm_s
    to_north, to_east = to_north - to_north[own], to_east - to_east[own]
    closing = np.maximum(to_north**2 + to_east**2, np.finfo(np.float64).tiny)
    nearest_s = np.clip(-(north * to_north + east * to_east) / closing, 0.0, LOOK_AHEAD_S)
    distance = np.hypot(north + to_north * nearest_s, east + to_east * nearest_s)
    found: NDArray[np.bool_] = distance < separation_nm
    found[own] = False
    return found
