"""What a policy may know: eight numbers a monitored building can measure.

Displacements and velocities of the floors are reduced to the first two modes,
as a modal observer fed by a few floor sensors does; the actuator knows the
damper's travel and its own force; an accelerometer stands at the base. The
estimates are taken as exact.

Layer: recipes. Imports `building` only.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from evertrain.recipes.structure.building import Array, Building

OBSERVED: Final = (
    "mode1_m",
    "mode1_speed_m",
    "mode2_m",
    "mode2_speed_m",
    "stroke_m",
    "stroke_speed_m",
    "ground_m",
    "force_fraction",
)
_MODES: Final = 2


@dataclass(frozen=True, slots=True)
class Sensors:
    """Linear map from states to observations.

    Attributes:
        weights: States to the first six observations, shape (2 * dofs, 6).
        first_rad_s: Circular frequency of mode 1, in rad/s.
    """

    weights: Array
    first_rad_s: float

    @classmethod
    def of(cls, building: Building) -> Self:
        """Return the sensors of `building`."""
        floors, dofs = building.floors, building.floors + 1
        modal = np.linalg.inv(building.modes)[:_MODES]
        weights = np.zeros((2 * dofs, 2 * _MODES + 2))
        for mode in range(_MODES):
            weights[:floors, 2 * mode] = modal[mode]
            weights[dofs:-1, 2 * mode + 1] = modal[mode] / building.frequencies_rad_s[mode]
        weights[:dofs, -2] = -building.actuator
        weights[dofs:, -1] = -building.actuator / building.damper_frequency_rad_s
        return cls(weights, float(building.frequencies_rad_s[0]))

    def read(self, state: Array, ground_m_s2: Array, force_fraction: Array) -> Array:
        """Return observations, all in m but the last, shape (batch, 8).

        Speeds are divided by the circular frequency of what moves, the ground
        acceleration by the square of the first mode's, so that all are lengths
        of like size.

        Args:
            state: Metres and metres per second, shape (batch, 2 * dofs).
            ground_m_s2: Ground acceleration, in m/s2, shape (batch,).
            force_fraction: Last force over its limit, -1 to 1, shape (batch,).
        """
        readings = np.empty((len(state), len(OBSERVED)))
        readings[:, :-2] = state @ self.weights
        readings[:, -2] = ground_m_s2 / self.first_rad_s**2
        readings[:, -1] = force_fraction
        return readings
