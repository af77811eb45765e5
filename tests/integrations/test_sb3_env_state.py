"""Environments that say nothing about their state: kept all the same, or honestly not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from evertrain import Run, Stage, every
from evertrain.core.errors import StateError, UsageError
from evertrain.integrations.envs import trial
from evertrain.integrations.sb3 import ResilientVecEnv, learn
from evertrain.integrations.sb3.keeping import keeping_of
from integrations import liars
from integrations.worlds import ROLLOUT, Crash, digest, rows, train
from support import resumed_from

Make = Callable[[], gymnasium.Env[Any, Any]]


def cart() -> gymnasium.Env[Any, Any]:
    """Return Gymnasium's own CartPole."""
    return Monitor(gymnasium.make("CartPole-v1"))


def walk() -> gymnasium.Env[Any, Any]:
    """Return an environment that only its own steps can bring back."""
    return Monitor(liars.ClosureOfAnEpisode())


def build(*make: Make, kind: Any = DummyVecEnv, **options: Any) -> PPO:
    """Return a small PPO on two environments."""
    chosen = list(make) if len(make) > 1 else [*make] * 2
    venv: VecEnv = kind(chosen, **options)
    net = {"net_arch": [8]}
    return PPO(
        "MlpPolicy", venv, n_steps=ROLLOUT // 2, batch_size=32, n_epochs=1, policy_kwargs=net
    )


@pytest.mark.parametrize(
    ("make", "kind", "options", "how"),
    [
        (cart, DummyVecEnv, {}, "by attributes (a copy went on alike for 120 steps, over "),
        (cart, SubprocVecEnv, {"start_method": "fork"}, "by attributes (a copy"),
        (walk, DummyVecEnv, {}, "by replay (a copy went on alike"),
        (walk, SubprocVecEnv, {"start_method": "fork"}, "by replay (a copy"),
        (walk, ResilientVecEnv, {"start_method": "fork"}, "by replay (a copy"),
    ],
    ids=["attributes", "attributes in workers", "replay", "replay in workers", "replay in keepers"],
)
def test_a_killed_training_goes_on_exactly(
    make: Make,
    kind: Any,
    options: dict[str, Any],
    how: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In the middle of episodes of environments that have no get_state and set_state."""

    def program() -> PPO:
        return build(make, kind=kind, **options)

    train(tmp_path / "whole", program)
    assert f"environment state: {how}" in capsys.readouterr().out
    with pytest.raises(Crash):
        train(tmp_path / "cut", program, crash_at=3 * ROLLOUT + 20)
    train(tmp_path / "cut", program)

    assert "not an exact resume" not in capsys.readouterr().out
    assert resumed_from(tmp_path / "cut") > 0
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


def test_environments_of_several_kinds_are_tried_each(tmp_path: Path) -> None:
    """Each is kept in its own way."""
    program = build(lambda: Monitor(liars.Sound()), walk, lambda: Monitor(liars.Plain()))
    with Run(tmp_path, total=96, seed=7) as run:
        learn(run, program, log_interval=None)

    found = keeping_of(program.env)  # type: ignore[arg-type]
    assert found is not None
    assert found.methods == ("state", "replay", "attributes")
    assert sorted(found.proofs) == [0, 1, 2]


def test_one_that_cannot_be_kept_is_a_barrier_for_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And is named, with all the reasons."""
    with Run(tmp_path, total=ROLLOUT, seed=7) as run:
        learn(run, build(cart, cart), log_interval=None)
    capsys.readouterr()
    with Run(tmp_path / "other", total=ROLLOUT, seed=7) as run:
        learn(run, build(liars.Plain, liars.Iterator), log_interval=None)

    said = capsys.readouterr().out
    assert "environment state: by barrier every 8 rollouts (512 steps), where all of them" in said
    assert "integrations.liars.Iterator: no get_state: it has no get_state and set_state;" in said
    assert "no attributes: .counter is a itertools.cycle, which cannot be looked into;" in said


def test_a_resumed_run_keeps_them_as_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not choose again, whatever the choice would be today."""
    with pytest.raises(Crash):
        train(tmp_path, lambda: build(cart), crash_at=2 * ROLLOUT + 20)

    def choose(*_: Any, **__: Any) -> trial.Choice:
        raise AssertionError("chosen again")

    monkeypatch.setattr(trial, "choose", choose)
    model = train(tmp_path, lambda: build(cart))

    found = keeping_of(model.env)
    assert found is not None
    assert found.methods == ("attributes",) * 2


def test_an_environment_that_has_changed_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The resumed program says so and resets them, and trains to the end."""
    with pytest.raises(Crash):
        train(tmp_path, lambda: build(walk), crash_at=2 * ROLLOUT + 20)
    capsys.readouterr()
    monkeypatch.setattr(liars.Plain, "look", lambda self: 2 * self.place.astype("f4"))

    model = train(tmp_path, lambda: build(walk))

    said = capsys.readouterr().out
    assert "not an exact resume: environment 0: after" in said
    assert "The environments are reset." in said
    assert model.num_timesteps == 6 * ROLLOUT


class Late(liars.Plain):
    """It has an object more, but only after many steps: later than any trial looks."""

    other: Any = None
    steps = 0

    def hidden(self) -> float:
        self.steps += 1
        if self.steps == 400:
            self.other = liars.Other()
        return 0.0


def test_an_object_that_comes_late_is_told_at_the_resume(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing creates it, so the environments are reset, and the resume says why."""
    with pytest.raises(Crash):
        train(tmp_path, lambda: build(Late), crash_at=15 * ROLLOUT, total=20 * ROLLOUT)
    capsys.readouterr()

    train(tmp_path, lambda: build(Late), total=20 * ROLLOUT)

    assert (
        "not an exact resume: environment 0: .other was Other, and a fresh one"
        " has a builtins.NoneType" in capsys.readouterr().out
    )


def test_what_is_asked_for_must_pass(tmp_path: Path) -> None:
    """Nobody gets a barrier who asked for something else."""
    with (
        pytest.raises(StateError, match="env_state='state', but the trial of it failed"),
        Run(tmp_path, total=ROLLOUT) as run,
    ):
        learn(run, build(cart), env_state="state")


def test_a_method_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    """With those that do."""
    with pytest.raises(UsageError, match="auto, state, attributes"), Run(tmp_path, total=1) as run:
        learn(run, build(cart), env_state="pickle")


def test_a_barrier_can_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of environments that could be kept otherwise."""
    with Run(tmp_path, total=ROLLOUT) as run:
        learn(run, build(cart), env_state="barrier", log_interval=None)

    assert "where all of them are reset: as asked for" in capsys.readouterr().out


def test_each_stage_tries_its_environments(tmp_path: Path) -> None:
    """A stage may change them; a resume within it compares with what they are there."""

    def train_stages(crash_at: int | None = None) -> Any:
        model: Any = build(lambda: Monitor(liars.Sound()))
        with Run(tmp_path, total=4 * ROLLOUT, seed=7, save=every(steps=1)) as run:
            for stage in run.stages([Stage("one", ROLLOUT), Stage("two", 3 * ROLLOUT)]):
                factor = {"one": 1.0, "two": 2.0}[stage.name]
                model.env.set_attr("hidden", lambda factor=factor: factor)
                listener = None
                if stage.name == "two" and crash_at is not None:
                    from integrations.worlds import CrashAt

                    listener = CrashAt(crash_at)
                learn(run, model, stage=stage, callback=listener, log_interval=None)
        return model

    with pytest.raises(Crash):
        train_stages(crash_at=3 * ROLLOUT + 10)
    model = train_stages()

    found = keeping_of(model.env)
    assert found is not None
    assert found.stage == "two"
    assert found.methods == ("state", "state")
