"""An episodic trading agent: checkpoints every 10 episodes, five kept, the best always.

Each test is a page of the guide: crash at 250 of 300, stop and come back, more
episodes, a corrupt checkpoint, a fresh start.
"""

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from evertrain import Run, every, keep_any, keep_best, keep_last
from evertrain.cli.main import cli


class Agent:
    """A Q-table that learns a little each episode."""

    def __init__(self) -> None:
        self.q = np.zeros((4, 3))

    def state_dict(self) -> dict[str, Any]:
        return {"q": self.q.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.q[:] = state["q"]


class Crash(BaseException):
    """The power goes out: nothing in the program can catch it."""


def train(
    path: Path,
    *,
    episodes: int,
    crash_in: int | None = None,
    stop_in: int | None = None,
    **options: Any,
) -> Run:
    """Train as `train.py` of the guide does; die inside an episode if asked to."""
    run = Run(
        path,
        total=episodes,
        unit="episode",
        seed=0,
        best="max:total_profit",
        save=every(steps=10),
        keep=keep_any(keep_last(5), keep_best(1)),
        on_stop="return",
        **options,
    )
    try:
        agent = Agent()
        run.attach(agent=agent)
        run.state.epsilon = 1.0
        for episode in run:
            if episode == crash_in:
                raise Crash
            agent.q += np.random.normal(size=agent.q.shape) * run.state.epsilon  # noqa: NPY002
            run.state.epsilon *= 0.99
            profit = 1000.0 if episode == 35 else float(agent.q.sum())
            run.log(total_profit=profit, sharpe_ratio=0.1, max_drawdown=-0.02, total_trades=episode)
            if episode == stop_in:
                os.kill(os.getpid(), signal.SIGINT)
    except Crash:
        pass
    finally:
        run.close()
    return run


def steps(run: Run) -> list[int]:
    """Return the steps of the checkpoints that are there."""
    return [info.step for info in run.store.list()]


def test_crash_at_episode_250_loses_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Episode 251 crashes; the same command goes on with 251 of 300 and ends as if nothing was."""
    whole = train(tmp_path / "whole", episodes=300)
    train(tmp_path / "run", episodes=300, crash_in=251)
    capsys.readouterr()

    run = train(tmp_path / "run", episodes=300)

    out = capsys.readouterr().out
    assert "Resuming from episode 250" in out
    assert "Resuming training from episode 251/300" in out
    expected, found = whole.store.load(300).state, run.store.load(300).state
    np.testing.assert_array_equal(found["agent"]["q"], expected["agent"]["q"])
    assert found["run.state"] == expected["run.state"]


def test_a_stop_at_150_is_taken_up_at_151(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl+C in episode 154 finishes and saves the episode; coming back goes on with 155."""
    run = train(tmp_path / "run", episodes=300, stop_in=154)
    assert run.is_stopped
    assert steps(run)[-1] == 154

    train(tmp_path / "run", episodes=300)

    assert "Resuming training from episode 155/300" in capsys.readouterr().out


def test_five_recent_checkpoints_and_the_best_are_kept(tmp_path: Path) -> None:
    """After 300 episodes there are the newest five, and episode 35, which earned most."""
    run = train(tmp_path / "run", episodes=300)

    assert steps(run) == [35, 260, 270, 280, 290, 300]
    assert (run.store.path / "best").resolve().name == "000000035"
    assert (run.store.path / "latest").resolve().name == "000000300"


def test_metadata_is_for_people(tmp_path: Path) -> None:
    """metadata.json says episode, metrics, whether it is the best, and by which metric."""
    run = train(tmp_path / "run", episodes=40)

    found = json.loads((run.store.path / "best" / "metadata.json").read_text())
    assert found["episode"] == 35
    assert found["metrics"] == {
        "total_profit": 1000.0,
        "sharpe_ratio": 0.1,
        "max_drawdown": -0.02,
        "total_trades": 35,
    }
    assert found["is_best"] is True
    assert (found["metric_name"], found["metric_value"]) == ("total_profit", 1000.0)
    ordinary = json.loads((run.store.path / "000000040" / "metadata.json").read_text())
    assert ordinary["is_best"] is False


def test_more_episodes_in_the_config_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Raising 300 to 500 in the middle of the training trains to 500."""
    train(tmp_path / "run", episodes=300, crash_in=151, config={"episodes": 300})

    run = train(tmp_path / "run", episodes=500, config={"episodes": 500})

    assert run.step == 500
    out = capsys.readouterr().out
    assert "config changed: episodes: 300 -> 500" in out
    assert "Resuming training from episode 151/500" in out


def test_running_a_finished_training_again_skips(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five of five episodes are done: the second start says so and trains nothing."""
    train(tmp_path / "run", episodes=5)
    before = steps(train(tmp_path / "run", episodes=5))

    assert "Training already complete (episode 5)" in capsys.readouterr().out
    assert before == [1, 2, 3, 5], "the first, each new best, and the last"


def test_a_corrupt_checkpoint_costs_ten_episodes(tmp_path: Path) -> None:
    """Where the guide's training errors out, the one before is taken without a word from us."""
    run = train(tmp_path / "run", episodes=300, crash_in=151)
    victim = run.store.path / "000000150" / "agent.safetensors"
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes()[:-4])

    run = train(tmp_path / "run", episodes=300, crash_in=142)

    assert run.resumed_from is not None
    assert run.resumed_from.step == 140
    assert (run.store.path / "quarantine" / "000000150").is_dir()


def test_resuming_from_a_path_goes_back_to_it(tmp_path: Path) -> None:
    """`--resume PATH` goes on from that very checkpoint, and what came later is set aside."""
    run = train(tmp_path / "run", episodes=300, crash_in=251)

    run = train(
        tmp_path / "run", episodes=300, crash_in=225, resume=str(run.store.path / "000000220")
    )

    assert run.step == 224
    assert steps(run)[-1] == 220
    assert train(tmp_path / "run", episodes=300, crash_in=226).step == 225


def test_a_fresh_start_ignores_what_is_there(tmp_path: Path) -> None:
    """`--resume never` begins with episode 1; nothing is deleted."""
    train(tmp_path / "run", episodes=100)

    run = train(tmp_path / "run", episodes=100, crash_in=5, resume="never")

    assert run.step == 4
    assert len(list((run.store.path / "superseded").iterdir())) == 6


def test_moving_the_checkpoints_away_is_a_backup_and_a_fresh_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`mv checkpoints models_final_300ep`, and the next start is fresh; the backup still loads."""
    run = train(tmp_path / "run", episodes=50)
    run.store.path.rename(tmp_path / "models_final_50ep")
    capsys.readouterr()

    run = train(tmp_path / "run", episodes=50, crash_in=3)

    assert "Starting fresh training (no checkpoints found)" in capsys.readouterr().out
    backup = Run(tmp_path / "other", total=50, resume=tmp_path / "models_final_50ep" / "000000050")
    assert backup.step == 50
    backup.close()


def test_the_listing_shows_every_checkpoint(tmp_path: Path) -> None:
    """`evertrain ls RUN` lists episodes with their profit, and marks the last one [FINAL]."""
    train(tmp_path / "run", episodes=50)

    result = CliRunner().invoke(cli, ["ls", str(tmp_path / "run")])

    assert result.exit_code == 0, result.output
    assert "[FINAL]" in result.output
    assert "1000" in result.output.replace(",", "")
