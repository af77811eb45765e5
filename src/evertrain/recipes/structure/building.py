"""The building: twelve storeys with an active tuned mass damper on the roof.

A shear building keeps one horizontal displacement per floor. The damper is a
thirteenth mass on the roof, tuned to the first mode, with an actuator between
it and the roof. Everything here is linear and elastic; the stop that limits
the damper's travel is in `dynamics`.

Layer: recipes. Imports `config` only.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from evertrain.recipes.structure.config import BuildingConfig, DamperConfig

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Building:
    """Matrices of `M d'' + C d' + K d = -M 1 a_ground + g u` (N, m, s, kg).

    Degrees of freedom: floors from the first to the roof, then the damper; all
    displacements are relative to the ground.

    Attributes:
        mass: M in kg, shape (dofs, dofs).
        damping: C in N s/m, shape (dofs, dofs).
        stiffness: K in N/m, shape (dofs, dofs).
        actuator: g, shape (dofs,): a positive force (N) pushes the roof
            forward (+1) and the damper back (-1).
        modes: Mode shapes of the bare building, one per column, 1 at the roof,
            lowest frequency first, shape (floors, floors).
        frequencies_rad_s: Their circular frequencies, in rad/s.
        damper_frequency_rad_s: Circular frequency of the damper alone, in rad/s.
    """

    mass: Array
    damping: Array
    stiffness: Array
    actuator: Array
    modes: Array
    frequencies_rad_s: Array
    damper_frequency_rad_s: float

    @property
    def floors(self) -> int:
        """Number of floors above the ground."""
        return len(self.frequencies_rad_s)


def storey_chain(storey: Array) -> Array:
    """Return the matrix of springs (or dashpots) in a row, fixed at the ground.

    Args:
        storey: Value of each storey (N/m, or N s/m), ground floor first.

    Returns:
        Symmetric tridiagonal matrix in the same unit, shape (floors, floors).
    """
    above = np.append(storey[1:], 0.0)
    return np.diag(storey + above) - np.diag(storey[1:], 1) - np.diag(storey[1:], -1)


def modal_shapes(mass: Array, stiffness: Array) -> tuple[Array, Array]:
    """Return circular frequencies (rad/s, ascending) and roof-normalised shapes.

    Args:
        mass: kg, shape (floors, floors).
        stiffness: N/m, shape (floors, floors).
    """
    squared, shapes = eigh(stiffness, mass)
    return np.sqrt(squared), shapes / shapes[-1]


def rayleigh(ratio: float, first_rad_s: float, second_rad_s: float) -> tuple[float, float]:
    """Return (1/s, s): the factors of mass and stiffness in Rayleigh damping.

    Args:
        ratio: Damping ratio (fraction of critical) at both frequencies.
        first_rad_s: First anchored circular frequency, in rad/s.
        second_rad_s: Second anchored circular frequency, in rad/s.

    Source:
        Clough and Penzien, Dynamics of Structures (2nd edition, 1993).
    """
    both = first_rad_s + second_rad_s
    return 2 * ratio * first_rad_s * second_rad_s / both, 2 * ratio / both


def tune(mass_ratio: float) -> tuple[float, float]:
    """Return the best frequency ratio and damping ratio of a passive damper.

    Args:
        mass_ratio: Damper mass over modal mass of the mode it is tuned to, as
            seen at the damper's floor. Dimensionless, above 0.

    Returns:
        Damper frequency over mode frequency, and fraction of critical damping:
        those with the least displacement variance under white-noise base
        acceleration. (Den Hartog's classic ratio 1 / (1 + mass_ratio) is for a
        harmonic force on the structure; earthquakes shake the base.)

    Source:
        Warburton, Optimum absorber parameters for various combinations of
        response and excitation parameters, Earthquake Engineering and
        Structural Dynamics 10 (1982), 381-401; Den Hartog, Mechanical
        Vibrations, chapter 3.
    """
    mu = mass_ratio
    frequency = np.sqrt(1 - mu / 2) / (1 + mu)
    damping = np.sqrt(mu * (1 - mu / 4) / (4 * (1 + mu) * (1 - mu / 2)))
    return float(frequency), float(damping)


def assemble(building: BuildingConfig, damper: DamperConfig) -> Building:
    """Return the matrices of the building with its damper on the roof."""
    floors = building.storeys
    storey = np.full(floors, building.storey_stiffness_n_m)
    storey[building.soft_storey - 1] *= building.soft_storey_ratio
    floor_mass = building.floor_mass_kg * np.eye(floors)
    frame = storey_chain(storey)
    omega, modes = modal_shapes(floor_mass, frame)
    alpha, beta = rayleigh(building.damping_ratio, omega[0], omega[1])

    damper_kg = damper.mass_ratio * building.floor_mass_kg * floors
    modal_kg = modes[:, 0] @ floor_mass @ modes[:, 0]
    frequency_ratio, damping_ratio = tune(float(damper_kg / modal_kg))
    damper_rad_s = frequency_ratio * float(omega[0])

    actuator = np.zeros(floors + 1)
    actuator[-2:] = 1.0, -1.0
    link = np.outer(actuator, actuator)
    return Building(
        mass=np.pad(floor_mass, (0, 1)) + damper_kg * np.diag(np.eye(floors + 1)[-1]),
        damping=np.pad(alpha * floor_mass + beta * frame, (0, 1))
        + 2 * damping_ratio * damper_rad_s * damper_kg * link,
        stiffness=np.pad(frame, (0, 1)) + damper_rad_s**2 * damper_kg * link,
        actuator=actuator,
        modes=modes,
        frequencies_rad_s=omega,
        damper_frequency_rad_s=damper_rad_s,
    )
