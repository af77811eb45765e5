"""The building's matrices against textbook answers."""

import numpy as np
import pytest

from evertrain.recipes.structure.building import assemble, rayleigh, storey_chain, tune
from evertrain.recipes.structure.config import BuildingConfig, DamperConfig

UNIFORM = BuildingConfig(soft_storey_ratio=1.0)


def test_uniform_frequencies() -> None:
    """A uniform shear frame has the closed-form frequencies of a spring chain.

    For n equal storeys, w_j = 2 sqrt(k/m) sin((2 j - 1) pi / (2 (2 n + 1))).
    """
    building = assemble(UNIFORM, DamperConfig())
    n, ratio = UNIFORM.storeys, UNIFORM.storey_stiffness_n_m / UNIFORM.floor_mass_kg
    modes = np.arange(1, n + 1)
    expected = 2 * np.sqrt(ratio) * np.sin((2 * modes - 1) * np.pi / (2 * (2 * n + 1)))

    np.testing.assert_allclose(building.frequencies_rad_s, expected, rtol=1e-9)


def test_first_period() -> None:
    """The natural period is 1.24 s, found again from the flexibility matrix.

    An independent way: power iteration on `inverse(K) M`, with the flexibility
    written down floor by floor.
    """
    config = BuildingConfig()
    storey = np.full(config.storeys, config.storey_stiffness_n_m)
    storey[7] *= 0.6
    below = np.cumsum(1 / storey)
    flexibility = np.minimum.outer(below, below)
    shape = np.ones(config.storeys)
    for _ in range(200):
        grown = flexibility @ shape * config.floor_mass_kg
        shape = grown / np.linalg.norm(grown)
    period_s = 2 * np.pi * np.sqrt(shape @ flexibility @ shape * config.floor_mass_kg)

    building = assemble(config, DamperConfig())

    assert 2 * np.pi / building.frequencies_rad_s[0] == pytest.approx(period_s, rel=1e-9)
    assert period_s == pytest.approx(1.236, abs=0.001)


def test_static_push() -> None:
    """A force at the roof bends every storey by force over stiffness."""
    storey = np.array([3.0, 2.0, 1.0])

    displacement = np.linalg.solve(storey_chain(storey), [0.0, 0.0, 6.0])

    np.testing.assert_allclose(displacement, np.cumsum(6.0 / storey))


def test_actuator_is_internal() -> None:
    """The actuator, the damper's spring and its dashpot push nothing on balance."""
    building = assemble(BuildingConfig(), DamperConfig())
    together = np.zeros(13)
    together[-2:] = 1.0

    assert building.actuator.sum() == 0
    assert building.stiffness[-1] @ together == pytest.approx(0)
    assert building.damping[-1] @ together == pytest.approx(0)


def test_rayleigh_ratio() -> None:
    """The bare frame has 2 % of critical damping in modes 1 and 2."""
    building = assemble(BuildingConfig(), DamperConfig())
    omega = building.frequencies_rad_s
    alpha, beta = rayleigh(0.02, omega[0], omega[1])

    ratio = (alpha / omega + beta * omega) / 2

    np.testing.assert_allclose(ratio[:2], 0.02)
    assert (ratio[2:] > 0.02).all()


def white_noise_variance(mass_ratio: float, frequency: float, damping: float) -> float:
    """Return the variance of an undamped oscillator with a damper under base noise.

    Solves the Lyapunov equation of the two-mass system by Kronecker products.
    """
    spring, dash = mass_ratio * frequency**2, 2 * damping * mass_ratio * frequency
    a = np.array(
        [
            [0, 0, 1, 0],
            [0, 0, 0, 1],
            [-1 - spring, spring, -dash, dash],
            [frequency**2, -(frequency**2), 2 * damping * frequency, -2 * damping * frequency],
        ]
    )
    b = np.array([0, 0, -1.0, -1.0])
    eye = np.eye(4)
    lyapunov = np.kron(a, eye) + np.kron(eye, a)
    return float(np.linalg.solve(lyapunov, -np.outer(b, b).ravel())[0])


def test_tuning_is_optimal() -> None:
    """No neighbour of Warburton's tuning has a smaller variance."""
    frequency, damping = tune(0.04)
    best = white_noise_variance(0.04, frequency, damping)

    for other in ((1.01, 1), (0.99, 1), (1, 1.05), (1, 0.95)):
        worse = white_noise_variance(0.04, frequency * other[0], damping * other[1])
        assert worse > best
