"""Hyper-parameters that the training itself changes are what they were when it was killed."""

from pathlib import Path
from typing import Any

import pytest
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback

from evertrain import Run, Stage, every
from evertrain.integrations.sb3 import EvertrainCallback, apply_overrides, learn
from evertrain.integrations.sb3.model import ModelAdapter
from integrations.worlds import ROLLOUT, TOTAL, Crash, CrashAt, build, digest, rows


def resumed(trained: Any, **options: Any) -> Any:
    """Return a new model of that class, restored from what `trained` is."""
    fresh = build(algorithm=type(trained), **options)
    ModelAdapter().restore(fresh, ModelAdapter().capture(trained))
    return fresh


def model_of(**options: Any) -> Any:
    """Return a model that is attached, and not yet trained."""
    model = build(**options)
    ModelAdapter().capture(model)
    return model


def test_numbers_come_back() -> None:
    """Also those that an optimizer, a schedule or a buffer reads."""
    changes = {"learning_rate": 5e-5, "clip_range": 0.1, "gamma": 0.5, "gae_lambda": 0.7}
    trained = model_of(learning_rate=1e-3)
    apply_overrides(trained, changes)
    trained.ent_coef, trained.target_kl, trained.batch_size = 0.25, 0.1, 16

    fresh = resumed(trained, learning_rate=1e-3)

    assert (fresh.learning_rate, fresh.lr_schedule(0.3), fresh.clip_range(0.3)) == (5e-5, 5e-5, 0.1)
    assert (fresh.gamma, fresh.rollout_buffer.gamma) == (0.5, 0.5)
    assert (fresh.gae_lambda, fresh.rollout_buffer.gae_lambda) == (0.7, 0.7)
    assert (fresh.ent_coef, fresh.target_kl, fresh.batch_size) == (0.25, 0.1, 16)


def test_numbers_of_an_off_policy_algorithm_come_back() -> None:
    """Whatever SB3's constructors call by name."""
    options = {"n_steps": 1, "buffer_size": 100}
    trained = model_of(algorithm=SAC, **options)
    trained.tau, trained.gradient_steps, trained.target_update_interval = 0.5, 3, 7

    fresh = resumed(trained, **options)

    assert (fresh.tau, fresh.gradient_steps, fresh.target_update_interval) == (0.5, 3, 7)


def test_a_changed_program_counts() -> None:
    """What it sets otherwise than then is what it sets; the rest comes back."""
    trained = model_of(ent_coef=0.1, vf_coef=0.5)
    trained.ent_coef, trained.vf_coef = 0.05, 0.25

    fresh = resumed(trained, ent_coef=0.3)

    assert (fresh.ent_coef, fresh.vf_coef) == (0.3, 0.25)


def test_what_nobody_changes_is_the_program_s() -> None:
    """A new configuration takes effect, also where a function was there."""
    assert resumed(model_of(gamma=0.9), gamma=0.8).gamma == 0.8
    assert (
        resumed(model_of(learning_rate=lambda left: left), learning_rate=1e-4).lr_schedule(1)
        == 1e-4
    )


class Anneals(BaseCallback):
    """It begins with a coefficient, and halves it from then on."""

    def _on_training_start(self) -> None:
        self.model.clip_range = lambda _: 0.2  # type: ignore[attr-defined]
        self.model.vf_coef = 0.8  # type: ignore[attr-defined]

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.model.ent_coef *= 0.5  # type: ignore[attr-defined]
        self.model.vf_coef *= 0.5  # type: ignore[attr-defined]


def train(path: Path, crash_at: int | None = None, *, has_own_learn: bool = False) -> None:
    """Train once."""
    with Run(path, total=TOTAL, seed=7, save=every(steps=1)) as run:
        model, listeners = build(ent_coef=0.1), [Anneals(), CrashAt(crash_at)]
        if has_own_learn:
            model.learn(TOTAL, callback=[*listeners, EvertrainCallback(run)], log_interval=None)
        else:
            learn(run, model, callback=listeners, log_interval=None)


@pytest.mark.parametrize("has_own_learn", [False, True], ids=["learn", "model.learn"])
def test_a_killed_training_goes_on_exactly(tmp_path: Path, *, has_own_learn: bool) -> None:
    """With the coefficients that its callback had come to."""
    train(tmp_path / "whole", has_own_learn=has_own_learn)
    with pytest.raises(Crash):
        train(tmp_path / "cut", 3 * ROLLOUT + 20, has_own_learn=has_own_learn)
    train(tmp_path / "cut", has_own_learn=has_own_learn)

    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")


STAGES = [
    Stage("first", steps=2 * ROLLOUT, overrides={"gamma": 0.9}),
    Stage("second", steps=2 * ROLLOUT, overrides={"ent_coef": 0.4}),
    Stage("third", steps=2 * ROLLOUT, overrides={"max_grad_norm": 0.1}),
]


class Halves(BaseCallback):
    """It halves what stages set, and what they do not."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        for name in ("ent_coef", "vf_coef"):
            setattr(self.model, name, getattr(self.model, name) * 0.5)


def train_stages(path: Path, crash_at: int | None, *, has_own_learn: bool) -> Any:
    """Train the curriculum once."""
    with Run(path, seed=7, save=every(steps=1)) as run:
        model = build(ent_coef=0.1, seed=3)
        for stage in run.stages(STAGES):
            listeners = [Halves(), CrashAt(crash_at)]
            if has_own_learn:
                apply_overrides(model, stage.overrides)
                model.learn(
                    stage.end, callback=[*listeners, EvertrainCallback(run)], log_interval=None
                )
            else:
                learn(run, model, stage=stage, callback=listeners, log_interval=None)
    return model


@pytest.mark.parametrize("has_own_learn", [False, True], ids=["learn", "model.learn"])
@pytest.mark.parametrize("crash_at", [ROLLOUT, 2 * ROLLOUT + 4, 3 * ROLLOUT + 4, 4 * ROLLOUT + 4])
def test_what_a_stage_sets_counts_when_it_starts(
    crash_at: int, tmp_path: Path, *, has_own_learn: bool
) -> None:
    """Killed within a stage or just behind its start, a callback's changes go on from there."""
    whole = train_stages(tmp_path / "whole", None, has_own_learn=has_own_learn)
    with pytest.raises(Crash):
        train_stages(tmp_path / "cut", crash_at, has_own_learn=has_own_learn)
    cut = train_stages(tmp_path / "cut", None, has_own_learn=has_own_learn)

    for name in ("gamma", "ent_coef", "vf_coef", "max_grad_norm"):
        assert getattr(cut, name) == getattr(whole, name)
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")
