"""The calls of a checkpoint manager: newest, by number, all with metadata, keep the last N."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from evertrain import Run, Store, every, keep_all, keep_last
from evertrain.checkpoint.about import About
from evertrain.cli.main import cli
from evertrain.core.errors import NotFoundError


@pytest.fixture
def manager(tmp_path: Path) -> Store:
    """A directory of checkpoints, every 10 iterations up to 50, without any run around it."""
    store = Store(tmp_path / "checkpoints", best="max:reward_mean")
    rewards = {10: 161.06, 20: 165.23, 30: 170.45, 40: 168.92, 50: 172.18}
    for iteration, reward in rewards.items():
        policies = {"seeker_policy": np.full(3, iteration), "hider_policy": np.zeros(2)}
        about = About(unit="iteration", metrics={"reward_mean": reward, "episodes": iteration * 30})
        store.save(iteration, {"policies": policies}, about=about)
    return store


def test_get_latest_checkpoint(manager: Store) -> None:
    """The newest one, with its path."""
    latest = manager.latest()

    assert latest is not None
    assert latest.step == 50
    assert latest.path.name == "000000050"


def test_get_checkpoint_by_iteration(manager: Store) -> None:
    """Any iteration that is there; a missing one is an error that lists what is."""
    assert manager.get(30).metrics["reward_mean"] == 170.45
    with pytest.raises(NotFoundError) as caught:
        manager.get(35)
    assert "10, 20, 30, 40, 50" in caught.value.why


def test_list_checkpoints_with_metadata(manager: Store) -> None:
    """All of them, oldest first, each with the metrics of its iteration."""
    found = [(info.step, info.metrics["reward_mean"]) for info in manager.list()]

    assert found == [(10, 161.06), (20, 165.23), (30, 170.45), (40, 168.92), (50, 172.18)]


def test_the_best_is_found_without_reading_them_all_by_hand(manager: Store) -> None:
    """The best reward's iteration, and its state."""
    best = manager.best()

    assert best is not None
    assert best.step == 50
    loaded = manager.load("best", names=["policies"]).state["policies"]
    assert loaded["seeker_policy"].tolist() == [50, 50, 50]


def test_keep_last_n(manager: Store) -> None:
    """keep_last_n=2 leaves the newest two."""
    manager.prune(keep_last(2))

    assert [info.step for info in manager.list()] == [40, 50]


def test_zero_means_keep_all(manager: Store) -> None:
    """The guide's keep_last_n=0 is `keep_all()`."""
    manager.prune(keep_all())

    assert len(manager.list()) == 5


def test_the_index_is_for_jq(manager: Store) -> None:
    """index.json lists the same for scripts that know nothing of evertrain."""
    index = json.loads((manager.path / "index.json").read_text())

    assert [row["step"] for row in index["checkpoints"]] == [10, 20, 30, 40, 50]
    assert [row["is_best"] for row in index["checkpoints"]] == [False] * 4 + [True]


def test_deleting_by_hand_hurts_no_other(manager: Store) -> None:
    """`rm -rf` of some iterations leaves the others whole."""
    for iteration in (20, 50):
        for path in (manager.path / f"{iteration:09d}").iterdir():
            path.unlink()
        (manager.path / f"{iteration:09d}").rmdir()

    assert [info.step for info in manager.list()] == [10, 30, 40]
    assert manager.verify() == []
    assert manager.load().info.step == 40


def test_a_copy_is_a_checkpoint_of_its_own(manager: Store, tmp_path: Path) -> None:
    """`cp -r` of a checkpoint somewhere else can be used there."""
    import shutil

    shutil.copytree(manager.path / "000000030", tmp_path / "best_model" / "000000030")

    assert Store(tmp_path / "best_model").load().state["policies"]["seeker_policy"][0] == 30


def test_the_listing_marks_the_final_one(tmp_path: Path) -> None:
    """`evertrain ls` and `ls --detailed` show iterations, rewards, sizes and [FINAL]."""
    with Run(tmp_path / "run", total=50, unit="iteration", save=every(steps=10)) as run:
        for iteration in run:
            run.log(reward_mean=160.0 + iteration)

    for options in ([], ["--detailed"]):
        result = CliRunner().invoke(cli, ["ls", str(tmp_path / "run"), *options])
        assert result.exit_code == 0, result.output
        assert "[FINAL]" in result.output
    found = json.loads(CliRunner().invoke(cli, ["ls", str(tmp_path / "run"), "--json"]).output)
    assert [row["step"] for row in found["checkpoints"]] == [10, 20, 30, 40, 50]
