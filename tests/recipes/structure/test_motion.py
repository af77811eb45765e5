"""Ground motions: scale, repeatability, spectrum, disjoint streams."""

import numpy as np
import pytest

from evertrain.recipes.structure.config import MotionConfig
from evertrain.recipes.structure.motion import (
    GRAVITY_M_S2,
    envelope,
    evaluation_rng,
    ground_motion,
    soil,
    training_rng,
)
from recipes.structure.worlds import preset

CONFIG = MotionConfig()


@pytest.mark.parametrize("stage", range(4))
def test_peak(stage: int) -> None:
    """Each stage's motions reach exactly its peak acceleration."""
    pga_g = preset("default").stages[stage].pga_g

    motion = ground_motion(training_rng(0, 0), CONFIG, pga_g)

    assert np.abs(motion).max() == pytest.approx(pga_g * GRAVITY_M_S2, rel=1e-12)


def test_pga_of_stages() -> None:
    """The curriculum shakes at 0.25, 0.35, 0.75 and 0.90 g."""
    assert [s.pga_g for s in preset("default").stages] == [0.25, 0.35, 0.75, 0.90]


def test_same_generator_same_motion() -> None:
    """A motion is a function of the generator's state, bit for bit."""
    first, second = (ground_motion(training_rng(3, 1), CONFIG, 0.5) for _ in range(2))

    assert first.tobytes() == second.tobytes()


def test_streams_differ() -> None:
    """Environments, seeds and the examination never share a motion."""
    generators = [
        training_rng(0, 0),
        training_rng(0, 1),
        training_rng(1, 0),
        evaluation_rng(0, 0),
        evaluation_rng(0, 1),
    ]
    motions = np.stack([ground_motion(rng, CONFIG, 1.0) for rng in generators])

    correlation = np.corrcoef(motions) - np.eye(len(motions))

    assert np.abs(correlation).max() < 0.3


def test_envelope() -> None:
    """The shaking rises, stays and fades."""
    strength = envelope(CONFIG)

    assert strength[0] == 0
    assert strength[150] == pytest.approx(0.25)
    assert (strength[300:1200] == 1).all()
    assert strength[-1] == pytest.approx(np.exp(-0.25 * 7.99))


def test_spectrum() -> None:
    """Filtered white noise has the Clough-Penzien spectrum."""
    noise = np.random.default_rng(0).standard_normal(2**18)
    count = 2**10
    pieces = soil(noise, CONFIG).reshape(-1, count) * np.hanning(count)
    power = (np.abs(np.fft.rfft(pieces, axis=1)) ** 2).mean(axis=0)
    omega = 2 * np.pi * np.fft.rfftfreq(count, CONFIG.sample_s)
    ground = omega / CONFIG.ground_rad_s
    high_pass = omega / CONFIG.filter_rad_s
    zg, zf = CONFIG.ground_damping, CONFIG.filter_damping
    tajimi = (1 + (2 * zg * ground) ** 2) / ((1 - ground**2) ** 2 + (2 * zg * ground) ** 2)
    penzien = high_pass**4 / ((1 - high_pass**2) ** 2 + (2 * zf * high_pass) ** 2)

    band = (omega > 3) & (omega < 60)
    ratio = power[band] / (tajimi * penzien)[band]

    assert ratio.std() / ratio.mean() < 0.15
