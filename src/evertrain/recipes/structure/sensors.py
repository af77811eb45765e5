"""What a policy may know: six numbers a monitored building can measure.

Displacements and velocities of the floors are reduced to the first two modes,
as a modal observer fed by a few floor sensors does; the actuator knows the
damper's travel. The estimates are taken as exact.

The acceleration of the ground is left out on purpose: trial policies that had
it answered each jolt, and most did better once the reading was forced to zero.

Layer: recipes. Imports `building` only.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from evertrain.recipes.structure.building import Array, Building

Observation = NDArray[np.float32]

OBSERVED: Final = (
    "mode1_m",
    "mode1_speed_m",
    "mode2_m",
    "mode2_speed_m",
    "stroke_m",
    "stroke_speed_m",
)
_MODES: Final = 2


@dataclass(frozen=True, slots=True)
class Sensors:
    """Linear map from states to observations.

    Attributes:
        weights: States to observations, shape (2 * dofs, 6).
    """

    weights: Array

    @classmethod
    def of(cls, building: Building) -> Self:
        """Return the sensors of `building`."""
        floors, dofs = building.floors, building.floors + 1
        modal = np.linalg.inv(building.modes)[:_MODES]
        weights = np.zeros((2 * dofs, len(OBSERVED)))
        for mode in range(_MODES):
            weights[:floors, 2 * mode] = modal[mode]
            weights[dofs:-1, 2 * mode + 1] = modal[mode] / building.frequencies_rad_s[mode]
        weights[:dofs, -2] = -building.actuator
        weights[dofs:, -1] = -building.actuator / building.damper_frequency_rad_s
        return cls(weights)

    def read(self, state: Array) -> Observation:
        """Return observations, all in m, float32, shape (batch, 6).

        Speeds are divided by the circular frequency of what moves, so that all
        are lengths of like size.

        Args:
            state: Metres and metres per second, shape (batch, 2 * dofs).
        """
        observation: Observation = (state @ self.weights).astype(np.float32)
        return observation
