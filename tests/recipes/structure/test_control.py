"""The reference controllers."""

import numpy as np
import pytest

from evertrain.recipes.structure.building import Array, assemble
from evertrain.recipes.structure.control import energy, passive, saturated_lqr, vibration_ahead
from evertrain.recipes.structure.dynamics import Dynamics
from recipes.structure.worlds import preset

CONFIG = preset("default")
BUILDING = assemble(CONFIG.building, CONFIG.damper)


def test_passive() -> None:
    """The passive damper never pushes."""
    assert passive(np.ones((3, 26)), 1e5).tolist() == [0, 0, 0]


def test_lqr_saturates() -> None:
    """The force stays within the limit and is odd in the state."""
    lqr = saturated_lqr(BUILDING, CONFIG.control, CONFIG.action_s)
    state = np.random.default_rng(0).normal(size=(50, 26))

    forces = lqr(state, 5e4)

    assert np.abs(forces).max() == 5e4
    np.testing.assert_allclose(lqr(-state, 5e4), -forces)


def test_lqr_damps_the_roof() -> None:
    """A roof on its way forward is pushed back."""
    lqr = saturated_lqr(BUILDING, CONFIG.control, CONFIG.action_s)
    state = np.zeros((1, 26))
    state[0, 13:25] = BUILDING.modes[:, 0]

    assert lqr(state, 1e6)[0] < 0


def test_energy() -> None:
    """Energy is that of floors and storeys alone; the damper's is optional."""
    state = np.random.default_rng(1).normal(size=26)
    floors = np.concatenate([[0.0], state[:12]])
    stiffness = np.full(12, 340e6)
    stiffness[7] *= 0.6
    frame_j = 0.5 * stiffness @ np.diff(floors) ** 2 + 0.5 * 200e3 * state[13:25] @ state[13:25]
    spring = 48e3 * BUILDING.damper_frequency_rad_s**2
    damper_j = 0.5 * spring * (state[12] - state[11]) ** 2 + 0.5 * 48e3 * state[25] ** 2

    assert state @ energy(BUILDING) @ state == pytest.approx(frame_j)
    assert state @ energy(BUILDING, 0.3) @ state == pytest.approx(frame_j + 0.3 * damper_j)


def test_vibration_ahead() -> None:
    """It is the energy added up over a free vibration until nothing is left."""
    dynamics = Dynamics.of(BUILDING, CONFIG.damper, CONFIG.action_s)
    state: Array = np.random.default_rng(2).normal(size=(1, 26)) * 1e-3
    ahead = vibration_ahead(BUILDING, CONFIG.control, CONFIG.action_s)
    expected = state[0] @ ahead @ state[0]
    weights = energy(BUILDING, CONFIG.control.lqr_stroke_weight)
    total_js = 0.0
    for _ in range(2000):
        total_js += state[0] @ weights @ state[0] * CONFIG.action_s
        state = dynamics.step(state, np.zeros((1, 2)))

    assert total_js == pytest.approx(expected, rel=1e-6)
