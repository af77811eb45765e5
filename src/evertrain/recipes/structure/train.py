"""Train the damper with PPO, stage after stage, and examine what it has learned.

Read it top to bottom: build, learn each stage, report. Killed anywhere, it goes
on where it was; the report at the end is the same.

At every quarter of a stage the policy is examined, after the update, so that the
numbers belong to the policy that a checkpoint of this step holds. Stages differ
in difficulty, and so do their motions, so a policy's score in its own stage
cannot be compared with another stage's. `best` therefore means all stages at
once: each examination has the same motions of every stage, and the score is the
reduction of the roof's peak against the passive damper, averaged over all.

Layer: recipes. Imports its siblings, integrations, run, checkpoint and core.
"""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from stable_baselines3 import PPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecNormalize

from evertrain.checkpoint.keep import keep_stages
from evertrain.core.errors import EvertrainError, first_line
from evertrain.core.fs import LOCAL_FS, write_atomic
from evertrain.integrations.sb3 import apply_overrides, learn, vector_env
from evertrain.recipes.policy import policy_of
from evertrain.recipes.saving import keep_rule, save_rule
from evertrain.recipes.structure.banner import beginning, heading
from evertrain.recipes.structure.config import EXAM_SEED, PpoConfig, StructureConfig
from evertrain.recipes.structure.env import StructureEnv
from evertrain.recipes.structure.evaluate import Score, evaluate, table
from evertrain.recipes.structure.exports import export_stages, refuse_others, tell_wreck
from evertrain.run.opening import where
from evertrain.run.run import Run
from evertrain.run.stage import Stage, StageLoop
from evertrain.run.stop import Stopped

_EXAMS: Final = 4  # per stage
_EXAM_MOTIONS: Final = 8  # of each stage; the report uses config.evaluation


def train(config: StructureConfig, path: Path | str) -> None:
    """Train with `config` in the run directory `path`, or go on there, then report.

    Raises:
        Stopped: A stop was requested; the state is saved.
        ConfigError: Where the models go lie some that another run, or nobody knows who, wrote.
        EvertrainError: As `Run`.
    """
    run = Run(
        path,
        unit="step",
        seed=config.seed,
        best="max:exam/mean_reduction_percent",
        save=save_rule(config.checkpoints.every_steps),
        keep=keep_rule(config.checkpoints.keep_last, keep_stages()),
        config=config.model_dump(mode="json"),
        recipe="structure",
    )
    try:
        with run:
            refuse_others(config, run)
            model = build(config)
            run.attach(model=model)  # before the stages: none may be left, only the report
            stages = run.stages(_stages(config), apply=partial(_apply, config, run, model))
            run.say(heading(config, model.device))
            is_fresh_asked = where("auto", os.environ) == "never"
            run.say(beginning(config, run.resumed_from, run.stage, is_fresh_asked=is_fresh_asked))
            _export(config, run)
            for stage in stages:
                exam = _examiner(config, model, stage)
                learn(run, model, stage=stage, log_interval=None, after_update=exam)
                _export(config, run)
            _report(config, run, model)
    except (Stopped, KeyboardInterrupt, Exception) as error:
        tell_wreck(config, run, error)
        raise


def _export(config: StructureConfig, run: Run) -> None:
    """Write what is due; the training does not depend on it."""
    try:
        for path in export_stages(config, run):
            run.say(f"   Model saved: {path}")
    except (EvertrainError, OSError) as error:
        run.say(f"   No model saved: {first_line(error)}; the next start tries again")


def _report(config: StructureConfig, run: Run, model: PPO) -> None:
    with run.phase("report", isolate_rng=True):
        scores = evaluate(policy_of(model), config)
    run.say(table(scores))
    write_atomic(run.path / "report.txt", (table(scores) + "\n").encode(), fs=LOCAL_FS)


def build(config: StructureConfig) -> PPO:
    """Return the model and its environments as they are on a fresh start."""
    envs = [partial(_make_env, config, index) for index in range(config.envs)]
    clip = config.normalize_clip
    venv = VecNormalize(
        vector_env(envs, processes=False),
        gamma=config.ppo_of(0).gamma,
        clip_obs=clip,
        clip_reward=clip,
    )
    return PPO("MlpPolicy", venv, device=config.device, **config.ppo_of(0).arguments())


def _make_env(config: StructureConfig, index: int) -> Monitor[Any, Any]:
    return Monitor(StructureEnv(config, index=index, seed=config.seed))


def _stages(config: StructureConfig) -> list[Stage]:
    return [
        Stage(stage.name, steps=stage.steps, overrides=_overrides(config.ppo_of(index)))
        for index, stage in enumerate(config.stages)
    ]


def _overrides(settings: PpoConfig) -> dict[str, Any]:
    """Return all that may change between stages, but the schedule, which needs to know when."""
    fixed = {"policy_kwargs", "learning_rate"}
    return {name: value for name, value in settings.arguments().items() if name not in fixed}


def _apply(config: StructureConfig, run: Run, model: PPO, overrides: Mapping[str, Any]) -> None:
    """Make the running stage's settings real: hyper-parameters, and force and motions."""
    stage, venv = run.stage, model.get_vec_normalize_env()
    assert stage is not None  # noqa: S101  (called where a stage starts)
    assert venv is not None  # noqa: S101  (build made it)
    index = stage.index - 1
    falling = _falling(config.ppo_of(index), model, stage)
    apply_overrides(model, {**overrides, "learning_rate": falling})
    venv.gamma = overrides["gamma"]
    venv.env_method("set_stage", index)


def _falling(settings: PpoConfig, model: PPO, stage: StageLoop) -> Any:
    """Return a schedule that falls over the stage, not over the whole run."""
    start, length = stage.start, stage.end - stage.start

    def learning_rate(_: float) -> float:
        return settings.learning_rate_at((model.num_timesteps - start) / length)

    return learning_rate


def _examiner(
    config: StructureConfig, model: PPO, stage: StageLoop
) -> Callable[[], dict[str, float]]:
    """Return a function that tells, after some updates, how the policy does.

    Where it is due depends on the step alone, and the motions on a seed of their
    own, so a resumed training examines the same policies with the same motions.
    """
    part = (stage.end - stage.start) / _EXAMS

    def examine() -> dict[str, float]:
        """Examine after the first rollout that ends at or behind each quarter of the stage."""
        now = model.num_timesteps - stage.start
        if now // part == (now - model.n_steps * model.n_envs) // part:
            return {}
        scores = evaluate(policy_of(model), config, motions=_EXAM_MOTIONS, seed=EXAM_SEED)
        return {f"exam/{name}": value for name, value in _exam_row(scores, stage).items()}

    return examine


def _exam_row(scores: list[Score], stage: StageLoop) -> dict[str, float]:
    """Return the policy's numbers in the running stage, and its reduction in the mean stage."""
    of_policy = [score for score in scores if score.controller == "policy"]
    here = of_policy[stage.index - 1]
    return {
        "mean_reduction_percent": fmean(each.roof_reduction_percent.mean for each in of_policy),
        "reduction_percent": here.roof_reduction_percent.mean,
        "drift_m": here.peak_drift_m.mean,
        "rms_roof_m": here.rms_roof_m.mean,
        "rms_force_kn": here.rms_force_kn.mean,
    }
