"""SB3: killed and resumed equals uninterrupted, bit for bit."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, DQN, SAC
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback

from evertrain import Run, Stopped, Store, every, keep_all
from evertrain.core.errors import StateError
from evertrain.integrations.sb3 import learn, listener, model, vector
from evertrain.integrations.torch.optimizer import OptimizerAdapter
from evertrain.run import rng
from integrations.worlds import (
    ROLLOUT,
    TOTAL,
    Crash,
    CrashAt,
    StatelessWorld,
    World,
    build,
    digest,
    rows,
    train,
)


def crash_and_resume(path: Path, make_model: Callable[[], Any], **options: Any) -> Any:
    """Train, die in the middle of the fourth rollout, and train on in a new program."""
    with pytest.raises(Crash):
        train(path, make_model, crash_at=3 * ROLLOUT + 20, **options)
    return train(path, make_model, **options)


def test_a_killed_ppo_goes_on_exactly(tmp_path: Path) -> None:
    """All that the last checkpoint holds, and every metric, equals an uninterrupted run's."""
    train(tmp_path / "whole", build)
    crash_and_resume(tmp_path / "cut", build)

    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    assert len(rows(tmp_path / "cut")) == TOTAL // ROLLOUT


@pytest.mark.slow
def test_worker_processes_are_restored_too(tmp_path: Path) -> None:
    """With SubprocVecEnv, wrappers and generators inside the workers come back."""
    train(tmp_path / "whole", lambda: build(is_parallel=True))
    crash_and_resume(tmp_path / "cut", lambda: build(is_parallel=True))

    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")


@pytest.mark.parametrize(
    "lost", ["running returns", "environments", "generators", "last observation", "moments"]
)
def test_each_part_of_the_state_is_needed(
    lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is left out, the resumed run differs: so the tests above can fail."""
    train(tmp_path / "whole", build)
    with pytest.raises(Crash):
        train(tmp_path / "cut", build, crash_at=3 * ROLLOUT + 20)

    owner, name = {
        "running returns": (vector, "put"),
        "environments": (World, "set_state"),
        "generators": (rng, "restore"),
        "last observation": (model, "_put_env"),
        "moments": (OptimizerAdapter, "restore"),
    }[lost]
    monkeypatch.setattr(owner, name, lambda *_: None)
    train(tmp_path / "cut", build)

    assert digest(tmp_path / "cut") != digest(tmp_path / "whole")


def test_a_barrier_stands_in_for_unknown_state(tmp_path: Path) -> None:
    """Environments that tell no state are reset on a schedule, in every run alike."""

    def make() -> Any:
        return build(StatelessWorld)

    train(tmp_path / "whole", make, env_state="barrier", barrier_rollouts=2)
    crash_and_resume(tmp_path / "cut", make, env_state="barrier", barrier_rollouts=2)

    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


def test_between_barriers_nothing_is_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A step of the run ends only where its state is known; the console says so."""
    with pytest.raises(Crash):
        train(
            tmp_path / "run",
            lambda: build(StatelessWorld),
            crash_at=3 * ROLLOUT + 20,
            env_state="barrier",
            barrier_rollouts=2,
        )

    names = sorted(path.name for path in (tmp_path / "run/checkpoints").glob("0*"))
    assert names == ["000000128"]
    assert "environment state: by barrier every 2 rollouts (128 steps)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        (A2C, {"n_steps": ROLLOUT // 2}),
        (DQN, {"learning_starts": 50, "train_freq": 8, "buffer_size": 300, "n_steps": 1}),
        (SAC, {"learning_starts": 50, "train_freq": 8, "buffer_size": 300, "n_steps": 1}),
    ],
    ids=["A2C", "DQN", "SAC"],
)
def test_other_algorithms_go_on_exactly(
    algorithm: type[Any], options: dict[str, Any], tmp_path: Path
) -> None:
    """Replay buffer, target networks, exploration and temperature come back as well."""

    def make() -> Any:
        world = (lambda: World(is_discrete=True)) if algorithm is DQN else World
        return build(world, algorithm=algorithm, **options)

    train(tmp_path / "whole", make)
    crash_and_resume(tmp_path / "cut", make)

    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


def test_state_dependent_exploration_goes_on_exactly(tmp_path: Path) -> None:
    """The noise matrices of gSDE are drawn anew at the same places."""

    def make() -> Any:
        return build(use_sde=True, sde_sample_freq=5)

    train(tmp_path / "whole", make)
    crash_and_resume(tmp_path / "cut", make)

    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")


def test_a_stop_request_finishes_the_rollout_and_its_update(tmp_path: Path) -> None:
    """SIGTERM in the middle of the second rollout: saved at its end, and exact from there."""

    class Terminate(BaseCallback):
        def _on_step(self) -> bool:
            if self.num_timesteps == ROLLOUT + 10:
                os.kill(os.getpid(), signal.SIGTERM)
            return True

    train(tmp_path / "whole", build)
    with pytest.raises(Stopped), Run(tmp_path / "cut", total=TOTAL, seed=7) as run:
        learn(run, build(), callback=Terminate(), log_interval=None)
    assert run.step == 2 * ROLLOUT

    train(tmp_path / "cut", build)

    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


def test_a_finished_run_trains_no_more(tmp_path: Path) -> None:
    """Called again, `learn` restores the final state and returns."""
    first = train(tmp_path / "run", build)
    again = train(tmp_path / "run", build)

    assert again.num_timesteps == first.num_timesteps == TOTAL
    assert digest(tmp_path / "run")
    for mine, theirs in zip(first.policy.parameters(), again.policy.parameters(), strict=True):
        assert mine.equal(theirs)


def test_another_number_of_environments_is_named(tmp_path: Path) -> None:
    """A checkpoint of two environments does not silently fit one."""
    with pytest.raises(Crash):
        train(tmp_path / "run", build, crash_at=2 * ROLLOUT)

    def make() -> Any:
        program = build()
        program.env.unwrapped.num_envs = 1
        program.env.num_envs = 1
        return program

    with pytest.raises(ValueError, match=r"model\.env\.num_envs: 2 environments there, 1 here"):
        train(tmp_path / "run", make)


class Grow(BaseCallback):
    """Adds to the policy, or to its optimizer, at the end of the second rollout."""

    def __init__(self, change: Callable[[Any], Any]) -> None:
        super().__init__()
        self.change = change

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        if self.num_timesteps == 2 * ROLLOUT:
            self.change(self.model.policy)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda policy: policy.add_module("more", torch.nn.Linear(1, 1)),
            r"model\.policy\.more\.bias: not in the program",
        ),
        (
            lambda policy: policy.optimizer.add_param_group({"params": [torch.zeros(1)]}),
            r"model\.policy\.optimizer\.param_groups: 2 groups there, 1 here",
        ),
    ],
)
def test_a_policy_that_changes_its_structure_is_refused(
    tmp_path: Path, change: Callable[[Any], Any], problem: str
) -> None:
    """At the save of the step where it does, not at the resume days later."""
    with (
        pytest.raises(StateError, match=problem),
        Run(tmp_path, total=TOTAL, seed=7, save=every(steps=1)) as run,
    ):
        learn(run, build(), callback=Grow(change))
    assert [info.step for info in Store(tmp_path).list()] == [ROLLOUT]


@pytest.mark.filterwarnings("ignore:Training and eval env are not of the same type")
def test_listeners_keep_their_counters() -> None:
    """The best evaluation so far is taken along; the configuration stays the program's."""
    program = build()
    callback = EvalCallback(build().env.venv, eval_freq=10)
    callback.init_callback(program)
    callback.n_calls, callback.best_mean_reward = 5, 1.5
    listener.register(program, callback)
    stored = listener.take(program)
    callback.n_calls, callback.best_mean_reward, callback.eval_freq = 0, -9.0, 20

    listener.put(program, stored)

    assert (callback.n_calls, callback.best_mean_reward, callback.eval_freq) == (5, 1.5, 20)


class Measure(BaseCallback):
    """Records a number at each second rollout's end, and a mean in every rollout."""

    def _on_step(self) -> bool:
        self.logger.record_mean("mine/mean", self.num_timesteps)
        return True

    def _on_rollout_end(self) -> None:
        if self.num_timesteps // ROLLOUT % 2 == 0:
            self.logger.record("mine/measured", self.num_timesteps)


def train_measured(path: Path, log_interval: int | None, *, crash_at: int | None = None) -> None:
    """Train with `Measure` and SB3's tables each few rollouts, and crash if asked to."""
    with Run(path, total=TOTAL, seed=7, save=every(steps=1)) as run:
        listeners = [Measure(), CrashAt(crash_at)]
        learn(run, build(), callback=listeners, log_interval=log_interval)


@pytest.mark.parametrize("log_interval", [None, 1, 3])
def test_a_row_has_the_numbers_of_its_rollout_only(
    log_interval: int | None, tmp_path: Path
) -> None:
    """What is recorded in each second rollout stands in each second row, however SB3 prints."""
    train_measured(tmp_path / "run", log_interval)

    found = {row["step"] // ROLLOUT: row.get("mine/measured") for row in rows(tmp_path / "run")}
    assert found == {1: None, 2: 128, 3: None, 4: 256, 5: None, 6: 384}
    assert all(
        "train/loss" in row and "rollout/ep_rew_mean" in row for row in rows(tmp_path / "run")
    )


def test_without_tables_a_mean_is_that_of_its_rollout(tmp_path: Path) -> None:
    """SB3 would average over the whole training, as nothing empties its logger."""
    train_measured(tmp_path / "run", None)

    means = [row["mine/mean"] for row in rows(tmp_path / "run")]
    assert means == pytest.approx([n * ROLLOUT + (ROLLOUT + 2) / 2 for n in range(6)])


@pytest.mark.parametrize("log_interval", [None, 3])
def test_tables_go_on_being_printed_at_the_same_rollouts(
    log_interval: int | None, tmp_path: Path
) -> None:
    """Killed between two tables, what waits for the next one and every row stay the same."""
    train_measured(tmp_path / "whole", log_interval)
    with pytest.raises(Crash):
        train_measured(tmp_path / "cut", log_interval, crash_at=4 * ROLLOUT + 20)
    train_measured(tmp_path / "cut", log_interval)

    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")


def test_off_policy_numbers_of_callbacks_wait_for_no_episode(tmp_path: Path) -> None:
    """They stand in the row of their own rollout, where no episode ended too."""

    class Once(BaseCallback):
        def _on_step(self) -> bool:
            if self.num_timesteps == 2 * 24:  # episodes have 23 steps of 2 environments
                self.logger.record("mine/once", 1.0)
            return True

    def make() -> Any:
        return build(algorithm=SAC, learning_starts=20, train_freq=8, buffer_size=300, n_steps=1)

    with Run(tmp_path / "run", total=128, seed=7) as run:
        learn(run, make(), callback=Once(), log_interval=None)

    found = rows(tmp_path / "run")
    assert [row["step"] for row in found if "mine/once" in row] == [48]
    assert any("train/critic_loss" in row for row in found)


def test_after_update_measures_what_the_checkpoint_holds(tmp_path: Path) -> None:
    """Its numbers join the row of the step whose checkpoint has exactly this policy."""
    program = build()
    measured: dict[int, float] = {}

    def weight() -> dict[str, float]:
        if program.num_timesteps % (2 * ROLLOUT):
            return {}
        value = program.policy.value_net.bias[0].item()
        measured[program.num_timesteps] = value
        return {"exam/bias": value}

    with Run(tmp_path / "run", total=TOTAL, seed=7, best="max:exam/bias", keep=keep_all()) as run:
        learn(run, program, log_interval=None, after_update=weight)

    found = {row["step"]: row["exam/bias"] for row in rows(tmp_path / "run") if "exam/bias" in row}
    assert found == measured
    assert list(measured) == [2 * ROLLOUT, 4 * ROLLOUT, 6 * ROLLOUT]
    best = Store(tmp_path / "run", best="max:exam/bias").load("best")
    assert best.manifest.step == max(measured, key=lambda step: measured[step])
    stored = best.state["model"]["policy"]["value_net.bias"]
    assert float(stored[0]) == measured[best.manifest.step]


def test_what_a_callback_prints_itself_stays_in_the_row(tmp_path: Path) -> None:
    """`EvalCallback` empties the logger at once; its numbers join the row all the same."""

    class Prints(BaseCallback):
        def _on_step(self) -> bool:
            if self.num_timesteps == ROLLOUT:
                self.logger.record("eval/mean_reward", 1.5)
                self.logger.dump(self.num_timesteps)
            return True

    with Run(tmp_path / "run", total=2 * ROLLOUT, seed=7) as run:
        learn(run, build(), callback=Prints(), log_interval=None)

    assert [row.get("eval/mean_reward") for row in rows(tmp_path / "run")] == [1.5, None]


@pytest.mark.parametrize("rate", [3e-4, 0.0])
def test_only_weights_are_pointed_out_for_standing_still(
    tmp_path: Path, rate: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """An observation that never changes is no sign of a training that does not train."""

    class Constant(World):
        def step(self, action: Any) -> Any:
            return np.zeros(3, np.float32), *super().step(action)[1:]

    train(tmp_path / "run", lambda: build(Constant, learning_rate=rate), total=3 * ROLLOUT)

    out = capsys.readouterr().out
    assert out.count("unchanged since") == (rate == 0.0)
    assert ("model/policy/" in out) == (rate == 0.0)
    assert "model/last" not in out
