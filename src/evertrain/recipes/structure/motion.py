"""Earthquakes: filtered white noise under an envelope, scaled to a peak.

Training and examination draw theirs from streams that cannot meet.

Layer: recipes. Imports `building` and `config` only.
"""

from typing import Final

import numpy as np
from scipy.signal import cont2discrete, lfilter

from evertrain.recipes.structure.building import Array
from evertrain.recipes.structure.config import MotionConfig

GRAVITY_M_S2: Final = 9.80665

_TRAINING: Final = 0
_EVALUATION: Final = 1


def ground_motion(rng: np.random.Generator, config: MotionConfig, pga_g: float) -> Array:
    """Return the horizontal ground acceleration of one earthquake, in m/s2.

    A pure function of the generator's state: the same state gives the same
    motion. The largest absolute value is exactly `pga_g`.

    Args:
        rng: Draws the white noise; one normal number per sample.
        config: Duration, envelope and soil filters.
        pga_g: Peak ground acceleration, in multiples of gravity.

    Returns:
        Samples `config.sample_s` seconds apart, shape (config.samples,).

    Source:
        Clough and Penzien, Dynamics of Structures (2nd edition, 1993): the
        Kanai-Tajimi soil filter followed by a high-pass filter that keeps the
        ground displacement finite. Envelope: Jennings, Housner and Tsai,
        Simulated earthquake motions, Caltech (1968).
    """
    noise = rng.standard_normal(config.samples)
    acceleration = soil(noise, config) * envelope(config)
    peak_m_s2 = pga_g * GRAVITY_M_S2
    scaled: Array = acceleration * (peak_m_s2 / np.abs(acceleration).max())
    return scaled


def soil(noise: Array, config: MotionConfig) -> Array:
    """Return the noise as the soil lets it through (same length, any scale).

    The transfer functions of Clough and Penzien, discretised exactly for an
    input held over each sample.
    """
    wg, zg = config.ground_rad_s, config.ground_damping
    wf, zf = config.filter_rad_s, config.filter_damping
    numerator = np.polymul([2 * zg * wg, wg**2], [1.0, 0.0, 0.0])
    denominator = np.polymul([1.0, 2 * zg * wg, wg**2], [1.0, 2 * zf * wf, wf**2])
    b, a, _ = cont2discrete((numerator, denominator), config.sample_s, method="zoh")
    filtered: Array = lfilter(np.ravel(b), a, noise)
    return filtered


def envelope(config: MotionConfig) -> Array:
    """Return the strength over time: quadratic rise, plateau at 1, decay."""
    time_s = np.arange(config.samples) * config.sample_s
    rising = (time_s / config.rise_s) ** 2
    fading = np.exp(-config.decay_per_s * (time_s - config.rise_s - config.plateau_s))
    strength: Array = np.minimum(1.0, np.minimum(rising, fading))
    return strength


def training_rng(seed: int, index: int) -> np.random.Generator:
    """Return the generator of one training environment.

    Args:
        seed: Seed of the run.
        index: Number of the environment, from 0.
    """
    return _stream(seed, _TRAINING, index)


def evaluation_rng(seed: int, stage: int) -> np.random.Generator:
    """Return the generator of a stage's examination, apart from all training.

    Args:
        seed: Seed of the examination; it may equal the run's.
        stage: Index of the stage, from 0.
    """
    return _stream(seed, _EVALUATION, stage)


def _stream(seed: int, purpose: int, number: int) -> np.random.Generator:
    key = (purpose, number)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))
