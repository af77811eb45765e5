"""Stages: their hyper-parameters reach every place that reads them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3 import SAC

from evertrain import Run, Stage, every
from evertrain.core.errors import ConfigError
from evertrain.integrations.sb3 import apply_overrides, learn
from integrations.worlds import ROLLOUT, Crash, CrashAt, World, build, digest


@pytest.fixture
def model() -> Iterator[Any]:
    """A PPO that has not trained."""
    program = build()
    yield program
    program.env.close()


def test_a_learning_rate_reaches_the_optimizer(model: Any) -> None:
    """At once, and at every later update; SB3 alone ignores it."""
    apply_overrides(model, {"learning_rate": 5e-5})

    assert model.policy.optimizer.param_groups[0]["lr"] == 5e-5
    assert model.lr_schedule(0.3) == 5e-5

    apply_overrides(model, {"learning_rate": lambda left: 1e-3 * left})
    assert model.lr_schedule(0.5) == 5e-4


def test_every_optimizer_gets_the_learning_rate() -> None:
    """SAC has one for the actor, one for the critic, one for the temperature."""
    program = build(algorithm=SAC, n_steps=1, buffer_size=100)

    apply_overrides(program, {"learning_rate": 5e-5, "tau": 0.1})

    optimizers = program.actor.optimizer, program.critic.optimizer, program.ent_coef_optimizer
    assert [each.param_groups[0]["lr"] for each in optimizers] == [5e-5] * 3
    assert program.tau == 0.1


def test_the_rollout_buffer_follows(model: Any) -> None:
    """Length, discount and lambda change inside the buffer too."""
    apply_overrides(model, {"n_steps": 16, "gamma": 0.5, "gae_lambda": 0.7})

    buffer = model.rollout_buffer
    assert (buffer.buffer_size, buffer.gamma, buffer.gae_lambda) == (16, 0.5, 0.7)
    assert buffer.observations.shape == (16, 2, 3)
    assert (model.n_steps, model.gamma, model.gae_lambda) == (16, 0.5, 0.7)


def test_the_rest_is_set_and_schedules_become_callable(model: Any) -> None:
    """Clip ranges may be numbers, functions or None."""
    apply_overrides(
        model,
        {
            "clip_range": 0.1,
            "clip_range_vf": None,
            "ent_coef": 0.3,
            "batch_size": 16,
            "n_epochs": 3,
            "target_kl": 0.02,
            "vf_coef": 0.4,
            "max_grad_norm": 1.0,
            "normalize_advantage": False,
        },
    )

    assert model.clip_range(0.7) == 0.1
    assert model.clip_range_vf is None
    assert (model.ent_coef, model.batch_size, model.n_epochs) == (0.3, 16, 3)
    assert (model.target_kl, model.vf_coef, model.max_grad_norm) == (0.02, 0.4, 1.0)


def test_unknown_names_are_all_refused_before_anything_changes(model: Any) -> None:
    """The error names the nearest known name, and nothing was set."""
    with pytest.raises(
        ConfigError, match=r"'learning_rat' \(did you mean 'learning_rate'\?\), 'zzz'"
    ):
        apply_overrides(model, {"gamma": 0.1, "learning_rat": 1.0, "zzz": 1})

    assert model.gamma == 0.99


STAGES = [
    Stage("easy", steps=2 * ROLLOUT, overrides={"learning_rate": 1e-3}),
    Stage(
        "hard",
        steps=3 * ROLLOUT,
        overrides={"learning_rate": 1e-4, "n_steps": 16, "ent_coef": lambda left: 0.1 * left},
    ),
    Stage("last", steps=ROLLOUT, overrides={"max_grad_norm": 0.1}),
]


def train(path: Path, crash_at: int | None = None) -> Any:
    """Train the curriculum once."""
    with Run(path, seed=7, save=every(steps=1)) as run:
        program = build(World, learning_rate=1e-2)
        for stage in run.stages(STAGES):
            learn(run, program, stage=stage, callback=CrashAt(crash_at), log_interval=None)
    return program


@pytest.mark.parametrize(
    "crash_at", [ROLLOUT + 20, 2 * ROLLOUT + 4, 3 * ROLLOUT + 40, 5 * ROLLOUT + 40]
)
def test_a_curriculum_goes_on_exactly(crash_at: int, tmp_path: Path) -> None:
    """Killed in the first stage, just after it, in the second, or in the last."""
    whole = train(tmp_path / "whole")
    with pytest.raises(Crash):
        train(tmp_path / "cut", crash_at)
    resumed = train(tmp_path / "cut")

    assert whole.num_timesteps == resumed.num_timesteps == 6 * ROLLOUT
    assert resumed.policy.optimizer.param_groups[0]["lr"] == 1e-4
    assert resumed.rollout_buffer.buffer_size == 16
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")


def test_each_stage_leaves_its_checkpoint(tmp_path: Path) -> None:
    """At its end, of kind `stage`; the last one is final."""
    train(tmp_path / "run")

    with Run(tmp_path / "run") as run:
        kinds = {info.step: info.kind for info in run.store.list()}
    assert kinds[2 * ROLLOUT] == "stage"
    assert kinds[6 * ROLLOUT] == "final"
