"""Time steps against other ways of solving the same equations."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from evertrain.recipes.structure.building import Array, assemble
from evertrain.recipes.structure.config import BuildingConfig, DamperConfig
from evertrain.recipes.structure.dynamics import Dynamics, drift_m, roof_m, stroke_m

STEP_S = 0.01
DAMPER = DamperConfig()
BUILDING = assemble(BuildingConfig(), DAMPER)
DYNAMICS = Dynamics.of(BUILDING, DAMPER, STEP_S)


def derivative(state: Array, force_n: float, ground_m_s2: float, stop: float = 0.0) -> Array:
    """Return the time derivative of one state, written from Newton's law.

    Args:
        state: m and m/s.
        force_n: Actuator, N.
        ground_m_s2: Base, m/s2.
        stop: +1 or -1 where a buffer presses, else 0.
    """
    place, speed = state[:13], state[13:]
    push_n = force_n
    if stop:
        depth = place[12] - place[11] - stop * DAMPER.travel_m
        push_n += DAMPER.buffer_stiffness_n_m * depth
        push_n += DAMPER.buffer_damping_ns_m * (speed[12] - speed[11])
    inner = BUILDING.stiffness @ place + BUILDING.damping @ speed
    acceleration = (push_n * BUILDING.actuator - inner) / np.diag(BUILDING.mass) - ground_m_s2
    return np.concatenate([speed, acceleration])


def random_state(seed: int = 0) -> Array:
    """Return a plausible state with the damper within its travel."""
    return np.random.default_rng(seed).normal(size=26) * 0.05


def test_free_step_is_exact() -> None:
    """A step equals an adaptive solver's answer for held force and base."""
    state = random_state()
    solved = solve_ivp(
        lambda _, x: derivative(x, 1e5, -3.0), (0, STEP_S), state, rtol=1e-11, atol=1e-13
    )

    after = DYNAMICS.step(state[None], np.array([[1e5, -3.0]]))[0]

    np.testing.assert_allclose(after, solved.y[:, -1], rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_stopped_step_is_exact(side: float) -> None:
    """So does a step that presses a buffer, on either side."""
    state = random_state()
    state[12] = state[11] + side * 1.6
    state[25] = state[24] + side * 2.0
    solved = solve_ivp(
        lambda _, x: derivative(x, 1e5, 2.0, side), (0, STEP_S), state, rtol=1e-11, atol=1e-13
    )

    after = DYNAMICS.step(state[None], np.array([[1e5, 2.0]]))[0]

    np.testing.assert_allclose(after, solved.y[:, -1], rtol=1e-7, atol=1e-10)


def test_matrix_exponential() -> None:
    """The transition is the exponential of the system matrix."""
    a = np.stack([derivative(row, 0.0, 0.0) for row in np.eye(26) * 1e-3], axis=1) * 1e3

    np.testing.assert_allclose(DYNAMICS.free.T, expm(a * STEP_S), atol=1e-9)


def test_constant_force_ends_at_the_static_place() -> None:
    """Held forces settle where stiffness alone would put the building."""
    inputs = np.array([[5e4, 0.0]])
    state: Array = np.zeros((1, 26))
    for _ in range(20_000):
        state = DYNAMICS.step(state, inputs)

    static = np.linalg.solve(BUILDING.stiffness, BUILDING.actuator * 5e4)

    np.testing.assert_allclose(state[0, :13], static, rtol=1e-6, atol=1e-9)


def test_energy_never_grows_alone() -> None:
    """Without force and ground motion energy only falls, stops included."""
    state = random_state()[None]
    state[:, 25] = 9.0
    before = float("inf")
    touched = False
    for _ in range(1500):
        place, speed = state[0, :13], state[0, 13:]
        energy_j = 0.5 * (speed @ BUILDING.mass @ speed + place @ BUILDING.stiffness @ place)
        deep = max(abs(stroke_m(state)[0]) - DAMPER.travel_m, 0.0)
        energy_j += 0.5 * DAMPER.buffer_stiffness_n_m * deep**2
        side = DYNAMICS.pressed(state)[0]
        touched |= side != 0
        assert energy_j <= before * 1.03  # a buffer is met up to one step late
        before = float(energy_j)
        state = DYNAMICS.step(state, np.zeros((1, 2)))

    assert touched
    assert before < 1e5


def test_stop_holds_the_damper() -> None:
    """A base that shakes in resonance drives the damper to its stop, hardly beyond."""
    loose = Dynamics.of(BUILDING, DAMPER.model_copy(update={"travel_m": 1e6}), STEP_S)
    omega = BUILDING.frequencies_rad_s[0]
    peaks = []
    for dynamics in (DYNAMICS, loose):
        state: Array = np.zeros((1, 26))
        peak = 0.0
        for count in range(2000):
            inputs = np.array([[150e3, 2.0 * np.sin(omega * count * STEP_S)]])
            state = dynamics.step(state, inputs)
            peak = max(peak, abs(stroke_m(state)[0]))
        peaks.append(peak)

    assert DAMPER.travel_m < peaks[0] < DAMPER.travel_m + 0.4
    assert peaks[1] > peaks[0] + 0.5


def test_buffer_lets_go() -> None:
    """A buffer pushes the damper back and never holds it."""
    state = np.zeros((3, 26))
    state[:, 12] = 1.51
    state[:, 25] = 1.0, 0.0, -5.0

    assert DYNAMICS.pressed(state).tolist() == [1.0, 1.0, 0.0]


def test_batch_equals_singles() -> None:
    """Buildings of a batch do not feel each other, on a stop or not."""
    batch = np.stack([random_state(1), random_state(2), random_state(3)])
    batch[1, 12] = batch[1, 11] - 1.7
    inputs = np.array([[1e4, 1.0], [2e4, -1.0], [0.0, 0.5]])

    together = DYNAMICS.step(batch, inputs)

    for row in range(3):
        alone = DYNAMICS.step(batch[row : row + 1], inputs[row : row + 1])
        np.testing.assert_allclose(together[row], alone[0], rtol=1e-10, atol=1e-14)


def test_damper_helps_at_resonance() -> None:
    """The passive damper cuts the resonant response to less than half."""
    omega = BUILDING.frequencies_rad_s[0]
    light = DamperConfig(mass_ratio=1e-6)
    without = Dynamics.of(assemble(BuildingConfig(), light), light, STEP_S)
    peaks = []
    for dynamics in (DYNAMICS, without):
        state: Array = np.zeros((1, 26))
        peak = 0.0
        for count in range(3000):
            ground = 0.1 * np.sin(omega * count * STEP_S)
            state = dynamics.step(state, np.array([[0.0, ground]]))
            peak = max(peak, abs(roof_m(state)[0]))
        peaks.append(peak)

    assert peaks[0] < 0.5 * peaks[1]


def test_drift() -> None:
    """Drift is the largest difference of neighbouring floors, ground included."""
    state = np.zeros((2, 26))
    state[0, :12] = 0.3
    state[1, 5] = -0.2

    np.testing.assert_allclose(drift_m(state), [0.3, 0.2])
