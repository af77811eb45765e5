"""The two references: no force at all, and a saturated LQR.

A controller maps full states and a force limit to forces. The LQR is told the
exact state of every floor, which no policy is: it is the bar to reach for, not
a rival on equal terms.

Layer: recipes. Imports `building`, `dynamics` and `config` only.
"""

from collections.abc import Callable

import numpy as np
from scipy.linalg import block_diag, solve_discrete_are, solve_discrete_lyapunov

from evertrain.recipes.structure.building import Array, Building
from evertrain.recipes.structure.config import ControlConfig
from evertrain.recipes.structure.dynamics import hold

Controller = Callable[[Array, float], Array]


def passive(state: Array, max_force_n: float) -> Array:
    """Return no force (N) for each state: a damper without its actuator."""
    del max_force_n
    return np.zeros(len(state))


def saturated_lqr(building: Building, config: ControlConfig, action_s: float) -> Controller:
    """Return the linear-quadratic regulator, clipped at the force limit.

    It minimises the sum over time of the building's energy (J) plus
    `lqr_stroke_weight` times the damper's, plus the weighted squared force. It
    does not know of the clipping, nor of the damper's stops.

    Args:
        building: The plant.
        config: Its weights.
        action_s: Time between two actions, in s.

    Returns:
        Function of states (m, m/s), shape (batch, 2 * dofs), and the limit (N);
        returns forces on the roof, in N, shape (batch,).

    Source:
        Anderson and Moore, Optimal Control: Linear Quadratic Methods (1990);
        for buildings Soong, Active Structural Control (1990), chapter 3.
    """
    force = np.linalg.solve(building.mass, building.actuator)
    transition, effect = hold(building, force[None, :], action_s)
    a, b = transition.T, effect.T
    weight_1_n = config.lqr_force_weight
    cost = solve_discrete_are(a, b, energy(building, config.lqr_stroke_weight), [[weight_1_n]])
    gain = np.linalg.solve(weight_1_n + b.T @ cost @ b, b.T @ cost @ a)[0]

    def control(state: Array, max_force_n: float) -> Array:
        wanted: Array = np.clip(-(state @ gain), -max_force_n, max_force_n)
        return wanted

    return control


def energy(building: Building, damper_weight: float = 0.0) -> Array:
    """Return the matrix E such that `x E x` is the energy of a state x, in J.

    Kinetic energy relative to the ground and strain energy of the floors; the
    damper's own share is weighted (0: left out).

    Args:
        building: Its matrices.
        damper_weight: Weight of the damper's kinetic and spring energy.
    """
    floors = building.floors
    keep = np.append(np.ones(floors), damper_weight)
    mass = building.mass * keep
    spring = -building.stiffness[-1, -2]
    link = np.outer(building.actuator, building.actuator)
    strain = building.stiffness - (1 - damper_weight) * spring * link
    return 0.5 * np.asarray(block_diag(strain, mass))


def vibration_ahead(building: Building, config: ControlConfig, action_s: float) -> Array:
    """Return P such that `x P x` is the vibration ahead of a state x, in J s.

    That is the time integral of the energy (as the LQR weighs it) from now on,
    if the actuator and the ground were quiet.

    Args:
        building: The plant.
        config: Weight of the damper's own energy.
        action_s: Time between two samples of the integral, in s.
    """
    transition, _ = hold(building, np.zeros((1, len(building.mass))), action_s)
    weights = energy(building, config.lqr_stroke_weight) * action_s
    ahead: Array = solve_discrete_lyapunov(transition, weights)
    return ahead
