"""The training itself: exact under SIGKILL, and the folder that it leaves for other programs."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray")
pytest.importorskip("mpe2")

from evertrain.core.errors import ConfigError
from evertrain.core.rundir import RunDir
from evertrain.monitor.metrics import read_metrics
from evertrain.recipes.hideseek import train as recipe
from evertrain.recipes.hideseek.config import HideSeekConfig, PpoConfig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # three starts of Ray

TINY = (
    "episodes_per_iteration=4",
    "game.episode_steps=10",
    "ray.envs=2",
    "ppo.hiddens=[8]",
    "ppo.minibatch_size=30",
    "ppo.epochs=2",
    "ppo.checkpoint_freq=3",
    "ppo.keep_last_n=2",
    "report.games=4",
    "iterations=12",
)


# An audit of the recipe by its name fills no folder; and each of the two runs needs its own.
PROGRAM = """
import os, runpy, sys
folder = "checkpoints-" + os.path.basename(os.environ["EVERTRAIN_RUN"])
sys.argv += ["-o", "ppo.checkpoint_dir=" + folder]
runpy.run_module("evertrain.recipes", run_name="__main__")
"""


def audit(cwd: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Audit a training that takes some seconds."""
    settings = [word for each in TINY for word in ("-o", each)]
    (cwd / "train.py").write_text(PROGRAM)
    training = [sys.executable, "train.py", "hideseek", *settings]
    return subprocess.run(
        [sys.executable, "-m", "evertrain", "audit", *options, "--", *training],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(cwd)},
        timeout=540,
    )


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Train undisturbed, then killed, each with a folder of checkpoints."""
    place = tmp_path_factory.mktemp("hideseek")
    options = ("--kills", "1", "--seed", "4", "--keep", str(place / "runs"))
    done = audit(place, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return place, done.stdout


def rows_of(place: Path) -> list[Any]:
    """Return the metrics of the training that was killed."""
    return read_metrics(RunDir(max((place / "runs").glob("killed*"))))


def folder_of(place: Path) -> Path:
    """Return the folder for other programs of the training that was killed."""
    return max(place.glob("checkpoints-killed*"))


def test_it_resumes_bit_for_bit(audited: tuple[Path, str]) -> None:
    """Weights, moments, coefficients, games and metrics of both policies, behind SIGKILL."""
    _, said = audited

    assert said.splitlines()[-1].startswith("bit-exact: ")
    assert said.splitlines()[-1].endswith(", 1 kill")


def test_a_row_is_of_its_iteration(audited: tuple[Path, str]) -> None:
    """Whole games, as many as were asked for, and both policies' updates."""
    rows = rows_of(audited[0])

    assert [row["step"] for row in rows] == [*range(1, 13)]
    assert [row["episodes"] for row in rows] == [4] * 12
    assert [row["episode_len_mean"] for row in rows] == [10.0] * 12
    assert [row["episodes_completed"] for row in rows] == [*range(4, 49, 4)]
    assert [row["env_steps"] for row in rows] == [*range(40, 481, 40)]
    for row in rows:
        assert row["reward_mean"] == pytest.approx(3 * row["seeker_reward"] + row["hider_reward"])
        assert row["seeker_entropy"] == pytest.approx(np.log(5), abs=0.05)
        assert {"seeker_kl", "hider_kl", "hider_entropy", "caught_share"} <= row.keys()


def test_games_differ(audited: tuple[Path, str]) -> None:
    """No iteration plays the starts of another one again."""
    rewards = [row["hider_reward"] for row in rows_of(audited[0])]

    assert len(set(rewards)) >= 10


def test_the_folder_is_the_guides(audited: tuple[Path, str]) -> None:
    """Two newest and the best, in RLlib's own format, whoever was killed in the meantime."""
    place, _ = audited
    folder = folder_of(place)
    index = json.loads((folder / "checkpoint_index.json").read_text())
    rows = {row["step"]: row for row in rows_of(place)}

    assert {"checkpoint_000009", "checkpoint_000012"} <= {each.name for each in folder.iterdir()}
    assert not list(folder.glob(".*"))
    for each in index["checkpoints"]:
        assert each["reward_mean"] == rows[each["iteration"]]["reward_mean"]
        assert each["episodes_completed"] == 4 * each["iteration"]


def test_the_metrics_stand_beside_the_checkpoints(audited: tuple[Path, str]) -> None:
    """All of them so far, and their picture, for those checkpoints that are there."""
    place, _ = audited
    folder = folder_of(place)
    there = [int(each.name[-6:]) for each in sorted(folder.glob("checkpoint_0*"))]
    rows = rows_of(place)

    for suffix in ("json", "png"):
        beside = {int(each.stem.rpartition("_")[2]) for each in folder.glob(f"*_iter_*.{suffix}")}
        assert beside == set(there), suffix
    found = json.loads((folder / "metrics_iter_12.json").read_text())
    assert [each["iteration"] for each in found] == [*range(1, 13)]
    assert [each["reward_mean"] for each in found] == [row["reward_mean"] for row in rows]
    assert found[3].keys() == rows[3].keys() - {"step", "time", "attempt"} | {"iteration"}


def test_rllib_reads_it(audited: tuple[Path, str]) -> None:
    """A policy of the folder is built by RLlib alone, and acts."""
    import torch
    from ray.rllib.core.rl_module.rl_module import RLModule

    path = folder_of(audited[0]) / "checkpoint_000012"
    module: Any = RLModule.from_checkpoint(path / "learner_group/learner/rl_module/seeker_policy")
    with torch.no_grad():
        logits = module.forward_inference({"obs": torch.zeros(1, 16)})["action_dist_inputs"]

    assert logits.shape == (1, 5)


def test_the_block_and_the_report_are_printed(audited: tuple[Path, str]) -> None:
    """Each iteration tells of itself, and the end compares trained with untrained."""
    run_dir = RunDir(audited[0] / "runs" / "undisturbed")
    said = run_dir.log(1).read_text()

    assert "Training Iteration 3/12" in said
    assert "   Episodes completed: 12/48" in said
    assert "   Seeker reward: " in said
    assert "Checkpoint saved: checkpoints-undisturbed/checkpoint_000003" in said
    assert len((run_dir.path / "report.txt").read_text().splitlines()) == 5


def test_a_folder_of_others_is_refused_before_ray_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and with its files as they were."""
    theirs = tmp_path / "ck" / "checkpoint_000010" / "precious.bin"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("of somebody else")
    monkeypatch.setattr(recipe, "joined", lambda *_: pytest.fail("Ray was started"))
    config = HideSeekConfig(ppo=PpoConfig(checkpoint_dir=str(tmp_path / "ck")))

    with pytest.raises(ConfigError, match="checkpoint_000010, which nobody knows which run"):
        recipe.train(config, tmp_path / "run")

    assert [each for each in (tmp_path / "ck").rglob("*") if each.is_file()] == [theirs]
