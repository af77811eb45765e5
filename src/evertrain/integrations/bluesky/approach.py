"""Where aircraft pass each other, if nobody turns. Pure.

Layer: integrations. Imports nothing from evertrain.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

NM_M: Final = 1852.0
LOOK_AHEAD_S: Final = 300.0  # as BlueSky's own detection has it

Array = NDArray[np.float64]


def closest_approach(place: Array, velocity: Array) -> tuple[Array, Array]:
    """Return where others will be when they are nearest, and in how many seconds that is.

    Straight on at constant speed, at most `LOOK_AHEAD_S` from now; who is on the way
    out is nearest now.

    Args:
        place: Relative to the own aircraft, in any two directions at right angles, shape
            (2, aircraft), in any unit.
        velocity: Relative to the own aircraft, in these directions, of that unit a second.

    Returns:
        Places, as `place`; and seconds, shape (aircraft,).

    Source:
        Hoekstra, van Gent and Ruigrok, Designing for safety: the free flight air traffic
        management concept, Reliability Engineering and System Safety 75 (2002), 215-232.
    """
    closing = np.maximum((velocity**2).sum(axis=0), np.finfo(np.float64).tiny)
    seconds = np.clip(-(place * velocity).sum(axis=0) / closing, 0.0, LOOK_AHEAD_S)
    return place + velocity * seconds, seconds
