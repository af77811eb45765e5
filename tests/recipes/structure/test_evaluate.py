"""The examination: fresh motions, honest pairing, a table people can read."""

import numpy as np
import pytest

from evertrain.core.errors import UsageError
from evertrain.recipes.estimate import Estimate
from evertrain.recipes.structure.building import Array
from evertrain.recipes.structure.env import StructureEnv
from evertrain.recipes.structure.evaluate import evaluate, simulate, table
from evertrain.recipes.structure.motion import evaluation_rng, ground_motion
from recipes.structure.worlds import preset

CONFIG = preset("default")
SHORT = CONFIG.model_copy(
    update={"motion": CONFIG.motion.model_copy(update={"duration_s": 5.0, "plateau_s": 1.0})}
)


def idle(observations: Array) -> Array:
    """Never push."""
    return np.zeros((len(observations), 1))


def shove(observations: Array) -> Array:
    """Push against the first mode's speed, as hard as possible."""
    return -np.sign(observations[:, 1:2]) * 7


def test_lqr_beats_passive() -> None:
    """In every stage the LQR lowers the roof's peak, by more than two standard errors."""
    for score in evaluate(idle, CONFIG, motions=24, seed=11)[1::3]:
        gain = score.roof_reduction_percent
        assert score.controller == "lqr"
        assert gain.mean > 2 * gain.error
        assert score.rms_reduction_percent.mean > 5


def test_idle_policy_is_passive() -> None:
    """A policy that does nothing scores exactly as the passive damper."""
    nothing, _, policy = evaluate(idle, SHORT, stages=[2], motions=3)

    assert policy.roof_reduction_percent == Estimate(0.0, 0.0)
    assert policy.share_percent == Estimate(0.0, 0.0)
    assert policy.peak_drift_m == nothing.peak_drift_m
    assert policy.better == 0


def test_share_of_the_lqr() -> None:
    """The ratio of the means over the same motions; the LQR's own is all of it."""
    _, lqr, policy = evaluate(shove, SHORT, stages=[1], motions=3)
    gains = policy.roof_reduction_percent.mean / lqr.roof_reduction_percent.mean
    assert lqr.share_percent == Estimate(100.0, 0.0)
    assert policy.share_percent.mean == pytest.approx(100 * gains)


def test_force_limits() -> None:
    """Force stays within each stage's limit, for policy and LQR."""
    for score in evaluate(shove, SHORT, motions=3):
        limit = next(s.max_force_kn for s in CONFIG.stages if s.name == score.stage)
        assert score.peak_force_kn.mean <= limit * (1 + 1e-12)


def test_strokes() -> None:
    """Nothing drives the damper far beyond its travel, even at M8.4."""
    for score in evaluate(shove, CONFIG, stages=[3], motions=6):
        assert 1.0 < score.stroke_m.mean < CONFIG.damper.travel_m + 0.35


def test_repeatable_and_fresh() -> None:
    """The same seed gives the same scores; another seed other motions."""
    first, again, other = (
        evaluate(shove, SHORT, stages=[0], motions=3, seed=seed) for seed in (1, 1, 2)
    )

    assert first == again
    assert first != other


def test_agrees_with_the_environment() -> None:
    """Batch simulation and environment give the same peaks for the same motion."""
    env = StructureEnv(CONFIG, stage=2)
    observation, info = env.reset(seed=3)
    ground = env.get_state()["ground_m_s2"]
    is_over = False
    while not is_over:
        action = shove(observation[None])[0].astype(np.float32)
        observation, _, _, is_over, info = env.step(action)

    def forces(state: Array) -> Array:
        return np.clip(shove(env._sensors.read(state))[:, 0], -1, 1) * 150e3

    active = simulate(forces, CONFIG, ground[None])
    twin = simulate(lambda _: np.zeros(1), CONFIG, ground[None])
    reduction = 100 * (1 - active.peak_roof_m[0] / twin.peak_roof_m[0])

    assert info["peak_reduction_percent"] == pytest.approx(reduction, abs=0.01)


def test_force_statistics() -> None:
    """A constant force has its own value as RMS and peak, in kN."""
    ground = ground_motion(evaluation_rng(0, 0), SHORT.motion, 0.25)[None]

    response = simulate(lambda _: np.full(1, -2e4), SHORT, ground)

    assert response.rms_force_kn[0] == pytest.approx(20)
    assert response.peak_force_kn[0] == pytest.approx(20)


def test_one_motion_is_no_examination() -> None:
    """A single motion has no standard error."""
    with pytest.raises(UsageError):
        evaluate(idle, CONFIG, motions=1)


def test_table() -> None:
    """The table names stages, controllers and units, one row each."""
    text = table(evaluate(shove, SHORT, stages=[0, 3], motions=2))

    lines = text.splitlines()
    assert len(lines) == 1 + 6 + 3
    assert "drift [mm]" in lines[0]
    assert lines[3].startswith("M4.5 @ 50kN   policy")
    assert lines[6].endswith("/2")
