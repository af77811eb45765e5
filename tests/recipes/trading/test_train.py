"""The training: killed, stopped, changed and spoiled, it goes on as the guide promises."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evertrain.checkpoint.care.export import read_part
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.store import Store
from evertrain.core.errors import ConfigError, StateError
from evertrain.core.rundir import RunDir
from evertrain.recipes.owner import MARK, Owner
from evertrain.recipes.trading.config import TradingConfig
from evertrain.recipes.trading.env import TradingEnv
from evertrain.recipes.trading.exports import NETWORK, Folder
from evertrain.recipes.trading.folder import cards_in, place
from evertrain.recipes.trading.market import Market
from evertrain.recipes.trading.train import build, train
from evertrain.run.run import Run
from evertrain.run.stop import Stopped
from recipes.trading.worlds import digest, rows, tiny

KILLED = """
import os, signal, sys
from pathlib import Path
from evertrain.recipes.trading.env import TradingEnv
from evertrain.recipes.trading.train import train
from recipes.trading.worlds import tiny

step, count = TradingEnv.step, 0

def killed(self, action):
    global count
    count += 1
    if count == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, action)

TradingEnv.step = killed
train(tiny(), Path(sys.argv[1]))
"""
BARS = 30


class Crash(Exception):  # noqa: N818
    """What ends a training in the tests."""


@contextmanager
def at_step(number: int, act: Any) -> Iterator[None]:
    """Do something in the middle of a step of the environment, counted from 1 in this attempt."""
    count, step, trainer = 0, TradingEnv.step, os.getpid()

    def stepped(self: TradingEnv, action: np.int64) -> Any:
        nonlocal count
        count += 1
        if count == number and os.getpid() == trainer:  # and not in a copy that is tried
            act()
        return step(self, action)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TradingEnv, "step", stepped)
        yield


def crash(path: Path, config: TradingConfig, *, in_episode: int) -> None:
    """Train, and die in the middle of an episode, counted in this attempt."""

    def die() -> None:
        raise Crash

    with at_step((in_episode - 1) * BARS + BARS // 2, die), pytest.raises(Crash):
        train(config, path)


def steps(path: Path) -> list[int]:
    """Return the episodes of the checkpoints that are there."""
    return [info.step for info in checkpoints(path)]


def checkpoints(path: Path) -> list[CheckpointInfo]:
    """Return the checkpoints of a run."""
    return list(Store(RunDir(path).checkpoints).list())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of eight episodes that nobody disturbed."""
    path = tmp_path_factory.mktemp("whole") / "run"
    train(tiny(), path)
    return path


@pytest.mark.slow
def test_killed_in_an_episode_it_ends_as_if_nothing_had_been(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGKILL in the seventh episode: network, Adam, buffer, generators and metrics are equal."""
    command = [sys.executable, "-c", KILLED, str(tmp_path / "run"), str(6 * BARS + 11)]
    tests = Path(__file__).parents[2]
    path = os.pathsep.join([str(tests), *sys.path])
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr

    train(tiny(), tmp_path / "run")

    out = capsys.readouterr().out
    resumed = re.search(r"Resuming from episode ([46]): ", out)
    assert resumed is not None, "6 may have been on its way to the disk"
    assert f"Resuming training from episode {int(resumed[1]) + 1}/8" in out
    assert digest(tmp_path / "run") == digest(whole)
    assert rows(tmp_path / "run") == rows(whole)
    assert rows(whole)[-1]["train/n_updates"] == 7 * 4, "it has learnt something to lose"


def test_ctrl_c_ends_the_episode_and_saves(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the middle of the fifth, which is no multiple of the frequency; and nothing is lost."""
    config = tiny(checkpoints={"dir": str(tmp_path / "models")})
    interrupt = lambda: os.kill(os.getpid(), signal.SIGINT)  # noqa: E731
    with at_step(4 * BARS + 7, interrupt), pytest.raises(Stopped) as caught:
        train(config, tmp_path / "run")
    assert caught.value.code == 75
    assert steps(tmp_path / "run")[-1] == 5
    assert (tmp_path / "models" / "model_ep5.pt").is_file()
    capsys.readouterr()

    train(config, tmp_path / "run")

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Auto-resuming from episode 5: {tmp_path / 'models' / 'model_ep5.pt'}"
    assert "Resuming training from episode 6/8" in lines
    assert digest(tmp_path / "run") == digest(whole)
    assert not (tmp_path / "models" / "model_ep5.pt").exists(), "it was of the stop only"


def test_more_episodes_go_on_as_if_they_had_been_planned(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From 6 to 8 when 6 are over: the same bits as 8 from the beginning."""
    train(tiny(episodes=6), tmp_path / "run")
    capsys.readouterr()

    train(tiny(), tmp_path / "run")

    out = capsys.readouterr().out
    assert "config changed: episodes: 6 -> 8" in out
    assert "Resuming training from episode 7/8" in out
    assert digest(tmp_path / "run") == digest(whole)


def test_another_learning_rate_is_told_and_real(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The restored optimizer has the old one, and the next update the new one."""
    train(tiny(episodes=4), tmp_path / "run")
    capsys.readouterr()

    train(tiny(episodes=6, agent={"learning_rate": 1e-4}), tmp_path / "run")

    assert "config changed: agent.learning_rate: 0.01 -> 0.0001" in capsys.readouterr().out
    rates = [row.get("train/learning_rate") for row in rows(tmp_path / "run")]
    assert rates[2:] == [0.01, 0.01, 1e-4, 1e-4]


def test_prices_that_changed_meanwhile_are_refused(tmp_path: Path) -> None:
    """A file that grew moves its parts, and days of the test would be trained on unseen."""
    path = tmp_path / "own.csv"
    prices = [100.0 + day % 7 for day in range(200)]
    path.write_text("Close\n" + "\n".join(map(str, prices)))
    config = tiny(episodes=2, market={"source": str(path)})
    train(config, tmp_path / "run")
    path.write_text("Close\n" + "\n".join(map(str, [*prices, 101.0, 102.0, 103.0])))

    with pytest.raises(StateError, match="other prices to train on"):
        train(config.model_copy(update={"episodes": 3}), tmp_path / "run")

    assert steps(tmp_path / "run")[-1] == 2


def test_a_complete_training_is_not_trained_again(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so, and reports once more, with the same numbers."""
    before = (digest(whole), (whole / "report.json").read_text())

    train(tiny(), whole)

    assert "Training already complete (episode 8)" in capsys.readouterr().out
    assert (digest(whole), (whole / "report.json").read_text()) == before


def test_a_damaged_checkpoint_costs_as_many_episodes_as_lie_between(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The guide's training errors out; here the one before is taken, and the end is the same."""
    crash(tmp_path / "run", tiny(), in_episode=7)
    victim = RunDir(tmp_path / "run").checkpoints / "000000006" / "model.safetensors"
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes()[:-4])

    train(tiny(), tmp_path / "run")

    assert "checkpoint 6 is damaged and set aside" in capsys.readouterr().out
    assert digest(tmp_path / "run") == digest(whole)
    assert rows(tmp_path / "run") == rows(whole)


def test_the_best_is_ranked_by_what_was_not_trained_on(whole: Path) -> None:
    """Its score is that of the validation part, and so is its network's, examined anew."""
    logged = rows(whole)
    profits = [row["total_profit"] for row in logged]
    best = Store(RunDir(whole).checkpoints).best()
    assert best is not None

    assert best.metrics["total_profit"] == max(profits)
    about = json.loads((best.path / "metadata.json").read_text())
    assert (about["metric_name"], about["metric_value"]) == ("total_profit", max(profits))
    assert {"total_profit", "sharpe_ratio", "max_drawdown", "total_trades"} <= about[
        "metrics"
    ].keys()
    report = json.loads((whole / "report.json").read_text())
    [again] = [
        row["total_profit"]
        for row in report
        if row["part"] == "validation" and row["policy"].startswith("best")
    ]
    assert again == max(profits)
    assert {row["part"] for row in report} == {"train", "validation", "test"}
    in_sample = [row["in_sample/total_profit"] for row in logged]
    assert in_sample != profits


def test_the_folder_mirrors_the_checkpoints(tmp_path: Path) -> None:
    """The newest by frequency and the best, with the guide's cards; torch alone reads them."""
    models = tmp_path / "models"
    config = tiny(checkpoints={"dir": str(models), "max_keep": 2})

    train(config, tmp_path / "run")

    best = Store(RunDir(tmp_path / "run").checkpoints).best()
    assert best is not None
    names = {f"{stem}.{suffix}" for stem in ("model_ep6", "model_ep8", "best_model")
             for suffix in ("pt", "json")}  # fmt: skip
    assert {path.name for path in models.iterdir()} == {*names, MARK}
    card = json.loads((models / "best_model.json").read_text())
    assert (card["episode"], card["is_best"]) == (best.step, True)
    assert card["metric_value"] == card["metrics"]["total_profit"] == best.metrics["total_profit"]
    assert isinstance(card["metrics"]["total_trades"], int)
    assert sorted(card["metrics"]) == [
        "max_drawdown",
        "sharpe_ratio",
        "total_profit",
        "total_trades",
    ]
    weights = torch.load(models / "model_ep8.pt", weights_only=True)
    model = build(config, Market.of(config.market, config.agent.window))
    model.policy.load_state_dict(weights["model"]["policy"])
    stored = read_part(RunDir(tmp_path / "run").checkpoints / "000000008", NETWORK)
    for name, value in model.policy.state_dict().items():
        assert torch.equal(value, stored[name])


def test_a_folder_is_mended_at_the_next_start(tmp_path: Path) -> None:
    """Weights that are gone, torn or older than their card, and files of episodes long past."""
    models = tmp_path / "models"
    config = tiny(checkpoints={"dir": str(models), "max_keep": 2}, episodes=4)
    train(config, tmp_path / "run")
    expected = {path.name: path.stat().st_size for path in models.iterdir()}
    (models / "model_ep2.pt").unlink()
    (models / "model_ep4.pt").write_bytes((models / "model_ep4.pt").read_bytes()[:-1])
    for suffix in ("pt", "json"):
        old = models / f"best_model.{suffix}"
        (models / f"model_ep3.{suffix}").write_bytes(old.read_bytes())
    (models / ".model_ep4.pt.tmp-4194305").touch()

    train(config, tmp_path / "run")

    assert {path.name: path.stat().st_size for path in models.iterdir()} == expected
    torch.load(models / "model_ep4.pt", weights_only=True)


def test_a_folder_follows_the_run_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sent back to episode 2 and trained in another way, the files of 4 and 6 are the new ones."""
    models = tmp_path / "models"
    config = tiny(checkpoints={"dir": str(models)}, episodes=6)
    train(config, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in models.glob("model_ep?.pt")}
    capsys.readouterr()

    monkeypatch.setenv("EVERTRAIN_RESUME", "2")
    train(config.model_copy(update={"episodes": 4}), tmp_path / "run")

    out = capsys.readouterr().out
    assert "Resuming from episode 2: " in out
    assert "Auto-resuming" not in out, "it was asked for"
    after = {path.name: path.read_bytes() for path in models.glob("model_ep?.pt")}
    assert sorted(after) == ["model_ep2.pt", "model_ep4.pt"]
    assert after["model_ep2.pt"] == before["model_ep2.pt"]
    faster = config.agent.model_copy(update={"learning_rate": 0.1})
    train(config.model_copy(update={"agent": faster}), tmp_path / "run")
    weights = torch.load(models / "model_ep4.pt", weights_only=True)["model"]["policy"]
    stored = read_part(RunDir(tmp_path / "run").checkpoints / "000000004", NETWORK)
    assert all(torch.equal(value, stored[name]) for name, value in weights.items())
    assert (models / "model_ep4.pt").read_bytes() != before["model_ep4.pt"]


def test_files_of_another_run_are_not_touched(tmp_path: Path) -> None:
    """Nor those of the guide's own program: the training refuses to begin."""
    models = tmp_path / "models"
    config = tiny(checkpoints={"dir": str(models)}, episodes=2)
    train(config, tmp_path / "one")
    before = {path.name: path.read_bytes() for path in models.iterdir()}

    with pytest.raises(ConfigError, match=r"holds best_model, which another run, .*one, has"):
        train(config, tmp_path / "two")

    assert {path.name: path.read_bytes() for path in models.iterdir()} == before
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "model_ep2.pt").write_bytes(b"of the guide's program")
    with pytest.raises(ConfigError, match="model_ep2, which nobody knows which run"):
        train(tiny(checkpoints={"dir": str(strange)}, episodes=2), tmp_path / "three")
    assert (strange / "model_ep2.pt").read_bytes() == b"of the guide's program"


def test_two_runs_that_begin_with_the_same_empty_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first one has it; the other is refused, also where both looked at the same moment."""
    models = tmp_path / "models"
    config = tiny(checkpoints={"dir": str(models)}, episodes=2)
    for name in ("one", "two"):
        train(tiny(episodes=2), tmp_path / name)
    one, two = (Run(tmp_path / name, total=2, recipe="trading") for name in ("one", "two"))
    first = Folder(models, one, config)

    with pytest.raises(ConfigError, match=rf"{MARK}, which another run, .*one, has"):
        Folder(models, two, config)
    (models / MARK).unlink()
    second = Folder(models, two, config)
    first.refresh()

    assert "is not up to date" in capsys.readouterr().out
    assert [path.name for path in models.iterdir()] == [MARK]
    second.refresh()
    assert {card.run_id for card in cards_in(models).values() if card} == {
        Owner.of(two.path).run_id
    }


def test_a_file_of_a_way_that_was_left_is_that_ways_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put aside before the run went back behind it, it leads to what it was made of, not on."""
    run, models, aside = tmp_path / "run", tmp_path / "models", tmp_path / "aside"
    config = tiny(checkpoints={"dir": str(models)}, episodes=6)
    train(config, run)
    shutil.copytree(models, aside)
    monkeypatch.setenv("EVERTRAIN_RESUME", "2")
    faster = config.agent.model_copy(update={"learning_rate": 0.1})
    train(config.model_copy(update={"agent": faster}), run)

    way = place(str(aside / "model_ep4.pt"), run)

    stored = read_part(Path(way), NETWORK)
    weights = torch.load(aside / "model_ep4.pt", weights_only=True)["model"]["policy"]
    assert all(torch.equal(value, stored[name]) for name, value in weights.items())
    assert place(str(models / "model_ep4.pt"), run) == "4"
    monkeypatch.setenv("EVERTRAIN_RESUME", way)
    train(config, run)
    assert (models / "model_ep6.pt").read_bytes() == (aside / "model_ep6.pt").read_bytes()


def test_a_folder_that_cannot_be_written_ends_no_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said, and the run goes on: the checkpoints are what counts."""
    (tmp_path / "file").touch()

    train(
        tiny(checkpoints={"dir": str(tmp_path / "file" / "models")}, episodes=2), tmp_path / "run"
    )

    assert "is not up to date" in capsys.readouterr().out
    assert steps(tmp_path / "run")[-1] == 2


def test_without_a_best_nothing_is_ranked(tmp_path: Path) -> None:
    """`save_best: false` saves at the frequency only, from the first checkpoint on."""
    config = tiny(episodes=6, checkpoints={"save_best": False, "max_keep": 2})

    train(config, tmp_path / "run")

    assert steps(tmp_path / "run") == [4, 6]
    assert all(info.score is None for info in checkpoints(tmp_path / "run"))


def test_each_episode_has_a_line_if_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what the guide logs, and what was earned in sample beside it."""
    train(tiny(verbose=True, episodes=2), tmp_path / "run")

    lines = [x for x in capsys.readouterr().out.splitlines() if x.startswith("Episode ")]
    assert len(lines) == 2
    assert lines[1].startswith("Episode 2/2  profit ")
    assert "epsilon 0.800" in lines[1]
