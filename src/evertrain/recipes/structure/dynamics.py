"""How the building moves: exact steps between two stops.

Force and ground acceleration are held over a step, so a step of the linear
system is exact (zero-order hold). The stops at both ends of the damper's
travel are stiff buffers: while the damper presses on one, a second linear
system with the buffer's spring and dashpot applies, and its steps are exact
too. Which system applies is decided at the start of each step, so a contact is
noticed up to one step late: 6 cm at 6 m/s and 0.01 s.

Layer: recipes. Imports `building` and `config` only.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.signal import cont2discrete

from evertrain.recipes.structure.building import Array, Building
from evertrain.recipes.structure.config import DamperConfig


@dataclass(frozen=True, slots=True)
class Dynamics:
    """One time step of a batch of buildings.

    A state is `[displacements (m), velocities (m/s)]` relative to the ground,
    floors first, damper last; shape (batch, 2 * dofs).

    Attributes:
        free: Transposed transition matrix away from the stops.
        free_input: Rows: effect of a force (per N), of a ground acceleration
            (per m/s2).
        stopped: Transposed transition matrix while a buffer is pressed.
        stopped_input: As `free_input`, and a third row: the buffer's rest
            position (per sign of the travel).
        travel_m: Free travel of the damper to either side, in m.
        buffer_stiffness_n_m: Buffer spring, in N/m.
        buffer_damping_ns_m: Buffer dashpot, in N s/m.
    """

    free: Array
    free_input: Array
    stopped: Array
    stopped_input: Array
    travel_m: float
    buffer_stiffness_n_m: float
    buffer_damping_ns_m: float

    @classmethod
    def of(cls, building: Building, damper: DamperConfig, step_s: float) -> Self:
        """Discretise `building` with steps of `step_s` seconds."""
        stiffness, damping = damper.buffer_stiffness_n_m, damper.buffer_damping_ns_m
        link = np.outer(building.actuator, building.actuator)
        ground = -np.ones(len(link))
        force = np.linalg.solve(building.mass, building.actuator)
        rest = -stiffness * damper.travel_m * force
        free, free_input = hold(building, np.stack([force, ground]), step_s)
        stopped, stopped_input = hold(
            building,
            np.stack([force, ground, rest]),
            step_s,
            extra_stiffness=stiffness * link,
            extra_damping=damping * link,
        )
        return cls(free, free_input, stopped, stopped_input, damper.travel_m, stiffness, damping)

    def step(self, state: Array, inputs: Array) -> Array:
        """Return the states one step later; the arguments are not changed.

        Args:
            state: Shape (batch, 2 * dofs); metres and metres per second.
            inputs: Actuator force on the roof (N) and ground acceleration
                (m/s2), shape (batch, 2).
        """
        after: Array = state @ self.free + inputs @ self.free_input
        stroke = stroke_m(state)
        if stroke.max() > self.travel_m or stroke.min() < -self.travel_m:
            side = self.pressed(state)
            rows = side != 0
            with_stop = np.column_stack([inputs[rows], side[rows]])
            after[rows] = state[rows] @ self.stopped + with_stop @ self.stopped_input
        return after

    def pressed(self, state: Array) -> Array:
        """Return +1 or -1 where the damper presses a buffer, else 0, shape (batch,).

        A buffer pushes and never pulls: it lets go when its spring and dashpot
        together would pull the damper back.
        """
        stroke, speed = stroke_m(state), stroke_m_s(state)
        side = np.sign(stroke)
        depth = side * stroke - self.travel_m
        push = self.buffer_stiffness_n_m * depth + self.buffer_damping_ns_m * side * speed
        pressed: Array = np.where((depth > 0) & (push > 0), side, 0.0)
        return pressed


def hold(
    building: Building,
    accelerations: Array,
    step_s: float,
    *,
    extra_stiffness: Array | float = 0.0,
    extra_damping: Array | float = 0.0,
) -> tuple[Array, Array]:
    """Return the transposed zero-order-hold matrices of a building.

    Args:
        building: Mass (kg), damping (N s/m) and stiffness (N/m).
        accelerations: Acceleration of each degree of freedom per unit of each
            input, shape (inputs, dofs).
        step_s: Length of the step, in s.
        extra_stiffness: Added to the stiffness, in N/m.
        extra_damping: Added to the damping, in N s/m.

    Returns:
        Transition, shape (2 * dofs, 2 * dofs), and input, (inputs, 2 * dofs),
        both to be multiplied from the right of a row of states.
    """
    dofs = len(building.mass)
    a = np.zeros((2 * dofs, 2 * dofs))
    a[:dofs, dofs:] = np.eye(dofs)
    a[dofs:, :dofs] = -np.linalg.solve(building.mass, building.stiffness + extra_stiffness)
    a[dofs:, dofs:] = -np.linalg.solve(building.mass, building.damping + extra_damping)
    b = np.vstack([np.zeros_like(accelerations.T), accelerations.T])
    nothing = np.zeros((1, 2 * dofs)), np.zeros((1, b.shape[1]))
    transition, effect, *_ = cont2discrete((a, b, *nothing), step_s, method="zoh")
    return np.ascontiguousarray(transition.T), np.ascontiguousarray(effect.T)


def stroke_m(state: Array) -> Array:
    """Return the damper's travel relative to the roof, in m, shape (batch,)."""
    last = state.shape[1] // 2 - 1
    stroke: Array = state[:, last] - state[:, last - 1]
    return stroke


def stroke_m_s(state: Array) -> Array:
    """Return the damper's speed relative to the roof, in m/s, shape (batch,)."""
    speed: Array = state[:, -1] - state[:, -2]
    return speed


def roof_m(state: Array) -> Array:
    """Return the roof's displacement relative to the ground, in m, shape (batch,)."""
    roof: Array = state[:, state.shape[1] // 2 - 2]
    return roof


def drift_m(state: Array) -> Array:
    """Return the largest inter-storey drift, in m, shape (batch,)."""
    floors = state[:, : state.shape[1] // 2 - 1]
    above = np.abs(floors[:, 1:] - floors[:, :-1]).max(axis=1)
    drift: Array = np.maximum(above, np.abs(floors[:, 0]))
    return drift
