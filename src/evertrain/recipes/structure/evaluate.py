"""The examination: a policy against two references on motions it never met.

All controllers meet the same motions, so differences are paired; all motions
of a stage are simulated at once.

Layer: recipes. Imports its siblings and core.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np

from evertrain.core.errors import UsageError
from evertrain.recipes.estimate import Estimate
from evertrain.recipes.structure.building import Array, assemble
from evertrain.recipes.structure.config import StructureConfig
from evertrain.recipes.structure.control import passive, saturated_lqr
from evertrain.recipes.structure.dynamics import Dynamics, drift_m, roof_m, stroke_m
from evertrain.recipes.structure.motion import evaluation_rng, ground_motion
from evertrain.recipes.structure.sensors import Observation, Sensors
from evertrain.recipes.table import aligned

Policy = Callable[[Observation], Array]
Forces = Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Response:
    """What one controller did in each motion; every array has shape (motions,).

    Attributes:
        peak_drift_m: Largest inter-storey drift of any storey, in m.
        rms_roof_m: Root mean square of the roof displacement, in m.
        peak_roof_m: Largest roof displacement, in m.
        rms_force_kn: Root mean square of the actuator force, in kN.
        peak_force_kn: Largest actuator force, in kN.
        stroke_m: Largest travel of the damper, in m.
    """

    peak_drift_m: Array
    rms_roof_m: Array
    peak_roof_m: Array
    rms_force_kn: Array
    peak_force_kn: Array
    stroke_m: Array


@dataclass(frozen=True, slots=True)
class Score:
    """One controller in one stage.

    Attributes:
        stage: Label of the stage.
        controller: `passive`, `lqr` or `policy`.
        motions: Number of motions.
        roof_reduction_percent: Reduction of the peak roof displacement against
            the passive damper, motion by motion, in %.
        share_percent: Mean of that over the mean of the LQR's, in %.
        drift_reduction_percent: The same of the peak drift, in %.
        rms_reduction_percent: The same of the RMS roof displacement, in %.
        better: Motions in which the roof peak was below the passive one's.
        peak_drift_m: See `Response`, as are the rest.
    """

    stage: str
    controller: str
    motions: int
    roof_reduction_percent: Estimate
    share_percent: Estimate
    drift_reduction_percent: Estimate
    rms_reduction_percent: Estimate
    better: int
    peak_drift_m: Estimate
    rms_roof_m: Estimate
    peak_roof_m: Estimate
    rms_force_kn: Estimate
    peak_force_kn: Estimate
    stroke_m: Estimate


def evaluate(
    policy: Policy,
    config: StructureConfig,
    *,
    stages: Sequence[int] | None = None,
    motions: int | None = None,
    seed: int | None = None,
) -> list[Score]:
    """Return scores of passive damper, saturated LQR and policy, in this order.

    Draws nothing from any global generator and changes nothing.

    Args:
        policy: Deterministic map of observations (float32, shape (motions, 6),
            not normalised) to actions (shape (motions, 1), -1 to 1; clipped).
        config: The recipe that the policy was trained with.
        stages: Indices of the stages, from 0. None: all.
        motions: Motions per stage, 2 or more. None: as configured.
        seed: Seed of the motions. None: as configured.

    Raises:
        UsageError: Fewer than two motions: no standard error.
    """
    count = config.evaluation.motions if motions is None else motions
    seed = config.evaluation.seed if seed is None else seed
    if count < 2:  # noqa: PLR2004 - a variance needs two
        raise UsageError(
            what=f"An examination with {count} motion(s) was asked for.",
            why="A standard error needs two or more.",
            fix="Pass motions=2 or more; 60 is the default.",
        )
    chosen = range(len(config.stages)) if stages is None else stages
    return [score for stage in chosen for score in _stage(policy, config, stage, count, seed)]


def _stage(
    policy: Policy, config: StructureConfig, stage: int, motions: int, seed: int
) -> list[Score]:
    """Return the three scores of one stage."""
    ground, references = _references(config, stage, motions, seed)
    limit_n = config.stages[stage].max_force_kn * 1e3
    sensors = Sensors.of(assemble(config.building, config.damper))

    def policy_forces(state: Array) -> Array:
        action = np.asarray(policy(sensors.read(state)), dtype=np.float64)
        return np.clip(action[:, 0], -1.0, 1.0) * limit_n

    responses = {**references, "policy": simulate(policy_forces, config, ground)}
    name = config.stages[stage].name
    return [_score(name, who, response, references) for who, response in responses.items()]


@lru_cache(maxsize=16)
def _references(
    config: StructureConfig, stage: int, motions: int, seed: int
) -> tuple[Array, Mapping[str, Response]]:
    """Return a stage's motions (m/s2), and what passive damper and LQR do in them.

    Remembered, as a training is examined with the same motions again and again.
    """
    rng = evaluation_rng(seed, stage)
    pga_g = config.stages[stage].pga_g
    ground = np.stack([ground_motion(rng, config.motion, pga_g) for _ in range(motions)])
    building = assemble(config.building, config.damper)
    lqr = saturated_lqr(building, config.control, config.action_s)
    limit_n = config.stages[stage].max_force_kn * 1e3
    return ground, {
        "passive": simulate(lambda state: passive(state, limit_n), config, ground),
        "lqr": simulate(lambda state: lqr(state, limit_n), config, ground),
    }


def simulate(forces: Forces, config: StructureConfig, ground_m_s2: Array) -> Response:
    """Return how the building answers to many motions at once.

    Args:
        forces: Function of states (m, m/s) that returns forces on the roof (N),
            all motions together.
        config: The plant.
        ground_m_s2: Motions, in m/s2, shape (motions, samples).
    """
    building = assemble(config.building, config.damper)
    dynamics = Dynamics.of(building, config.damper, config.motion.sample_s)
    motions, samples = ground_m_s2.shape
    state: Array = np.zeros((motions, 2 * len(building.mass)))
    force_n: Array = np.zeros(motions)
    peak: Array = np.zeros((4, motions))
    square: Array = np.zeros((2, motions))
    for sample in range(samples):
        now = ground_m_s2[:, sample]
        if sample % config.control.samples_per_action == 0:
            force_n = forces(state)
        state = dynamics.step(state, np.column_stack([force_n, now]))
        roof = roof_m(state)
        seen = np.stack([drift_m(state), roof, force_n / 1e3, stroke_m(state)])
        peak = np.maximum(peak, np.abs(seen))
        square += np.stack([roof, force_n / 1e3]) ** 2
    rms = np.sqrt(square / samples)
    return Response(peak[0], rms[0], peak[1], rms[1], peak[2], peak[3])


def _score(
    stage: str, controller: str, response: Response, references: Mapping[str, Response]
) -> Score:
    """Average a response, and its paired reductions against the passive damper."""
    passive, lqr = references["passive"], references["lqr"]

    def reduction(name: str, of: Response = response) -> Array:
        ratio: Array = getattr(of, name) / getattr(passive, name)
        return 100.0 * (1.0 - ratio)

    roof = reduction("peak_roof_m")

    return Score(
        stage=stage,
        controller=controller,
        motions=len(response.peak_roof_m),
        roof_reduction_percent=Estimate.of(roof),
        share_percent=Estimate.of_share(roof, reduction("peak_roof_m", lqr)),
        drift_reduction_percent=Estimate.of(reduction("peak_drift_m")),
        rms_reduction_percent=Estimate.of(reduction("rms_roof_m")),
        better=int((response.peak_roof_m < passive.peak_roof_m).sum()),
        **{f.name: Estimate.of(getattr(response, f.name)) for f in fields(Response)},
    )


def table(scores: Sequence[Score]) -> str:
    """Return scores as text: a row per stage and controller, mean and s.e."""
    columns = (
        ("roof peak", "%", "roof_reduction_percent", 1.0, 1),
        ("of LQR", "%", "share_percent", 1.0, 0),
        ("drift peak", "%", "drift_reduction_percent", 1.0, 1),
        ("roof RMS", "%", "rms_reduction_percent", 1.0, 1),
        ("drift", "mm", "peak_drift_m", 1e3, 1),
        ("roof RMS", "mm", "rms_roof_m", 1e3, 1),
        ("force RMS", "kN", "rms_force_kn", 1.0, 0),
        ("force peak", "kN", "peak_force_kn", 1.0, 0),
        ("stroke", "m", "stroke_m", 1.0, 2),
    )
    rows = [
        ["stage", "controller", *(f"{name} [{unit}]" for name, unit, *_ in columns), "better"],
        *(
            [
                score.stage,
                score.controller,
                *(
                    f"{getattr(score, name).scaled(scale):.{digits}f}"
                    for _, _, name, scale, digits in columns
                ),
                f"{score.better}/{score.motions}",
            ]
            for score in scores
        ),
    ]
    note = (
        "Roof peak, drift peak and roof RMS in % are reductions against the passive damper in the\n"
        "same motion; `of LQR`: the mean roof peak's over that of the LQR. Mean +- standard error\n"
        "over motions. `better`: motions with a lower roof peak than with the passive damper."
    )
    return "\n".join([aligned(rows), note])
