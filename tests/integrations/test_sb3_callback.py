"""`EvertrainCallback`: SB3's own `learn`, resumed as exactly as ours."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback

from evertrain import Run, every
from evertrain.core.errors import ConfigError
from evertrain.integrations.sb3 import EvertrainCallback
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
    off_policy = {"learning_starts": 50, "train_freq": 8, "buffer_size": 300, "n_steps": 1}
    special: dict[str, dict[str, Any]] = {
        "gSDE": {"use_sde": True},
        "SAC": {"algorithm": SAC, **off_policy},
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
