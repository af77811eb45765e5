"""`EvertrainCallback`: SB3's own `learn`, resumed as exactly as ours."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.callbacks import BaseCallback

from evertrain import Run, Stage, every
from evertrain.core.errors import ConfigError
from evertrain.integrations.sb3 import EvertrainCallback, learn
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
)

OFF_POLICY: dict[str, Any] = {
    "learning_starts": 50,
    "train_freq": 8,
    "buffer_size": 300,
    "n_steps": 1,
}


def train(path: Path, make_model: Any, *, crash_at: int | None = None, **options: Any) -> Any:
    """Run a program that calls `model.learn` itself."""
    np.random.seed(None)  # noqa: NPY002
    torch.seed()
    with Run(path, total=TOTAL, seed=7, save=every(steps=1)) as run:
        model = make_model()
        callbacks: list[BaseCallback] = [CrashAt(crash_at), EvertrainCallback(run, **options)]
        model.learn(TOTAL, callback=callbacks, log_interval=None)
    return model


@pytest.mark.parametrize("kind", ["PPO", "gSDE", "SAC", "attributes", "barrier"])
def test_a_program_with_its_own_learn_goes_on_exactly(kind: str, tmp_path: Path) -> None:
    """Killed in the middle of a rollout and started again, it ends where it would have."""
    special: dict[str, dict[str, Any]] = {
        "gSDE": {"use_sde": True},
        "SAC": {"algorithm": SAC, **OFF_POLICY},
    }
    options = special.get(kind, {})

    def make() -> Any:
        return build(
            StatelessWorld if kind in {"attributes", "barrier"} else World, seed=5, **options
        )

    how: dict[str, Any] = {"barrier_rollouts": 2, "env_state": "auto"}
    if kind == "barrier":
        how["env_state"] = kind
    train(tmp_path / "whole", make, **how)
    with pytest.raises(Crash):
        train(tmp_path / "cut", make, crash_at=3 * ROLLOUT + 20, **how)
    resumed = train(tmp_path / "cut", make, **how)

    assert resumed.num_timesteps == TOTAL
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


def test_a_function_as_entropy_coefficient_works(tmp_path: Path) -> None:
    """SB3 alone fails with it at the first update."""
    with Run(tmp_path / "run", total=ROLLOUT) as run:
        schedule = lambda left: 0.1 * left  # noqa: E731
        model = build(ent_coef=schedule)
        model.learn(ROLLOUT, callback=EvertrainCallback(run))

    assert model.ent_coef is schedule


def test_two_totals_are_refused(tmp_path: Path) -> None:
    """A schedule that follows one number while the run follows the other would go unnoticed."""
    with (
        pytest.raises(ConfigError, match="total_timesteps=384"),
        Run(tmp_path / "run", total=TOTAL) as run,
    ):
        build().learn(TOTAL // 2, callback=EvertrainCallback(run))


def test_a_callback_that_ends_the_training_completes_the_run(tmp_path: Path) -> None:
    """The run is finished, with the reason, and does not resume."""

    class Enough(BaseCallback):
        def _on_step(self) -> bool:
            return self.num_timesteps < ROLLOUT + 10

    for _ in range(2):
        with Run(tmp_path / "run", total=TOTAL) as run:
            build().learn(TOTAL, callback=[Enough(), EvertrainCallback(run)])

    assert '"a callback ended the training"' in (tmp_path / "run/journal.jsonl").read_text()


def test_without_a_total_the_run_ends_with_learn(tmp_path: Path) -> None:
    """SB3's number counts, and the last checkpoint is the final one."""
    with Run(tmp_path / "run") as run:
        build().learn(2 * ROLLOUT, callback=EvertrainCallback(run))
        newest = run.store.latest()

    assert newest is not None
    assert (newest.step, newest.kind) == (2 * ROLLOUT, "final")


@pytest.mark.parametrize("log_interval", [None, 1, 3])
def test_a_row_has_the_numbers_of_its_rollout_only(
    log_interval: int | None, tmp_path: Path
) -> None:
    """What is recorded in each second rollout stands in each second row, however SB3 prints."""

    class Measure(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            if self.num_timesteps // ROLLOUT % 2 == 0:
                self.logger.record("mine/measured", self.num_timesteps)

    with Run(tmp_path / "run", total=TOTAL, seed=7) as run:
        listeners: list[BaseCallback] = [Measure(), EvertrainCallback(run)]
        build().learn(TOTAL, callback=listeners, log_interval=log_interval)

    found = {row["step"] // ROLLOUT: row.get("mine/measured") for row in rows(tmp_path / "run")}
    assert found == {1: None, 2: 128, 3: None, 4: 256, 5: None, 6: 384}
    assert all("train/loss" in row for row in rows(tmp_path / "run"))


@pytest.mark.parametrize("kind", ["plain", "VecNormalize"])
def test_what_the_program_left_to_chance_is_seeded(kind: str, tmp_path: Path) -> None:
    """Two trainings without a seed for the model are one: SB3's first reset does not count."""

    def train(path: Path) -> str:
        with Run(path, total=TOTAL, seed=0) as run:
            if kind == "VecNormalize":
                model = build(World)
            else:
                env = gymnasium.make("CartPole-v1")
                model = PPO("MlpPolicy", env, n_steps=ROLLOUT, batch_size=32, device="cpu")
            model.learn(TOTAL, callback=EvertrainCallback(run), log_interval=None)
        return digest(path)

    assert train(tmp_path / "one") == train(tmp_path / "other")


def test_an_algorithm_that_draws_actions_is_seeded_too(tmp_path: Path) -> None:
    """Before it learns, DQN draws them from their space."""
    for name in ("one", "other"):
        train(
            tmp_path / name,
            lambda: build(lambda: World(is_discrete=True), algorithm=DQN, **OFF_POLICY),
        )

    assert digest(tmp_path / "one") == digest(tmp_path / "other")


class Finishes(BaseCallback):
    """Ends the run in the middle of a rollout."""

    def __init__(self, run: Run) -> None:
        """Do nothing yet."""
        super().__init__()
        self._own = run

    def _on_step(self) -> bool:
        if self.num_timesteps == ROLLOUT + 20:
            self._own.finish("reward reached")
        return True


def test_a_run_that_another_callback_finishes_ends_once(tmp_path: Path) -> None:
    """Its last rollout is the last row and the last checkpoint; SB3's further step is none."""
    with Run(tmp_path / "run", total=TOTAL) as run:
        build().learn(TOTAL, callback=[Finishes(run), EvertrainCallback(run)])
        kept = [(each.step, each.kind) for each in run.store.list()]

    told = (tmp_path / "run/journal.jsonl").read_text()
    assert kept[-1] == (2 * ROLLOUT, "final")
    assert told.count('"reward reached"') == 1
    assert '"a callback ended the training"' not in told
    assert [row["step"] for row in rows(tmp_path / "run")] == [ROLLOUT, 2 * ROLLOUT]


STAGES = [Stage("easy", steps=2 * ROLLOUT), Stage("hard", steps=2 * ROLLOUT)]


def train_stages(path: Path, make_model: Any, crash_at: int | None, **how: Any) -> None:
    """Run a program that calls `model.learn` for each stage, and saves at their ends only."""
    np.random.seed(None)  # noqa: NPY002
    torch.seed()
    with Run(path, seed=7, save=every(steps=10**6)) as run:
        model = make_model()
        for stage in run.stages(STAGES):
            callbacks: list[BaseCallback] = [CrashAt(crash_at), EvertrainCallback(run, **how)]
            model.learn(stage.end, callback=callbacks, log_interval=1)


@pytest.mark.parametrize("kind", ["PPO", "gSDE", "barrier", "workers", "DQN"])
def test_a_stage_that_is_resumed_from_its_start_goes_on_exactly(kind: str, tmp_path: Path) -> None:
    """SB3 begins each `learn` with a reset: the same one, whether or not the process died."""

    def make() -> Any:
        if kind == "DQN":
            return build(lambda: World(is_discrete=True), algorithm=DQN, **OFF_POLICY)
        world = StatelessWorld if kind == "barrier" else World
        return build(world, use_sde=kind == "gSDE", is_parallel=kind == "workers")

    how = {"env_state": "barrier", "barrier_rollouts": 1} if kind == "barrier" else {}
    train_stages(tmp_path / "whole", make, None, **how)
    with pytest.raises(Crash):
        train_stages(tmp_path / "cut", make, 2 * ROLLOUT + 20, **how)
    train_stages(tmp_path / "cut", make, None, **how)

    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


def test_a_stage_s_listeners_start_afresh(tmp_path: Path) -> None:
    """What counted calls in the last stage does not count on in the next one."""
    calls = []
    for crash_at in (2 * ROLLOUT + 20, None):
        with suppress(Crash), Run(tmp_path / "run", save=every(steps=10**6)) as run:
            for stage in run.stages(STAGES):
                killer = CrashAt(crash_at)
                build().learn(stage.end, callback=[killer, EvertrainCallback(run)])
                calls.append(killer.n_calls)

    assert calls == [ROLLOUT, ROLLOUT]


def test_an_entropy_coefficient_follows_the_progress_of_its_update(tmp_path: Path) -> None:
    """Each update has the value of the steps that were played, as in `learn`."""
    used: dict[str, list[float]] = {}

    class Notes(PPO):
        def train(self) -> None:
            used[name].append(self.ent_coef)
            super().train()

    for name in ("learn", "callback"):
        used[name] = []
        with Run(tmp_path / name, total=2 * ROLLOUT) as run:
            model = build(algorithm=Notes, ent_coef=lambda left: left, batch_size=32)
            if name == "learn":
                learn(run, model)
            else:
                model.learn(2 * ROLLOUT, callback=EvertrainCallback(run))

    assert used["callback"] == used["learn"] == [0.5, 0.0]


def test_off_policy_rows_are_those_of_learn(tmp_path: Path) -> None:
    """A rollout of a few steps in which no episode ends writes no row."""
    steps = []
    for name in ("learn", "callback"):
        with Run(tmp_path / name, total=TOTAL, seed=0) as run:
            model = build(algorithm=SAC, seed=5, **OFF_POLICY)
            if name == "learn":
                learn(run, model, log_interval=None)
            else:
                model.learn(TOTAL, callback=EvertrainCallback(run), log_interval=None)
        steps.append([row["step"] for row in rows(tmp_path / name)])

    assert steps[0] == steps[1]
    assert len(steps[0]) < TOTAL // 16
