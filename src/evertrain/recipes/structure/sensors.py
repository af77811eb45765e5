"""What a policy may know: eight numbers a monitored building can measure.

Displacements and velocities of the floors are reduced to the first two modes,
as a modal observer fed by a few floor sensors does; the actuator knows the
damper's travel and its own force; an accelerometer stands at the base. The
estimates are taken as exact.

Layer: recipes. Imports `building` and `dynamics` only.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from evertrain.recipes.structure.building import Array, Building
from evertrain.recipes.structure.dynamics import stroke_m, stroke_m_s

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
        modal: Displacements to roof displacement of modes 1 and 2, shape
            (floors, 2).
        modes_rad_s: Circular frequencies of the two modes, in rad/s.
        damper_rad_s: Circular frequency of the damper, in rad/s.
    """

    modal: Array
    modes_rad_s: Array
    damper_rad_s: float

    @classmethod
    def of(cls, building: Building) -> Self:
        """Return the sensors of `building`."""
        inverse = np.linalg.inv(building.modes).T
        return cls(
            modal=inverse[:, :_MODES],
            modes_rad_s=building.frequencies_rad_s[:_MODES],
            damper_rad_s=building.damper_frequency_rad_s,
        )

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
        floors, dofs = len(self.modal), state.shape[1] // 2
        place = state[:, :floors] @ self.modal
        speed = state[:, dofs : dofs + floors] @ self.modal / self.modes_rad_s
        return np.column_stack(
            [
                place[:, 0],
                speed[:, 0],
                place[:, 1],
                speed[:, 1],
                stroke_m(state),
                stroke_m_s(state) / self.damper_rad_s,
                ground_m_s2 / self.modes_rad_s[0] ** 2,
                force_fraction,
            ]
        )
