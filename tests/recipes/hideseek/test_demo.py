"""Watching a checkpoint: its own policies play, and only of this game."""

import io
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ray")
pytest.importorskip("mpe2")

from PIL import Image

from evertrain import Run
from evertrain.core.errors import EXIT_CONFIG, NotFoundError, UsageError
from evertrain.recipes.hideseek import demo as demos
from evertrain.recipes.hideseek.config import HideSeekConfig
from evertrain.recipes.hideseek.play import Array


@pytest.fixture
def run(tmp_path: Path) -> str:
    """A run of the recipe, as far as `run.json` tells."""
    config = HideSeekConfig.model_validate({"game": {"episode_steps": 3}})
    with Run(
        tmp_path / "run", total=2, config=config.model_dump(mode="json"), recipe="hideseek"
    ) as run:
        for _ in run:
            pass
    return str(tmp_path / "run")


class Still:
    """A policy that never moves, and knows where it came from."""

    def __init__(self, source: str, policy_id: str) -> None:
        self.source = (source, policy_id)

    def predict(self, seen: Array) -> Array:
        return np.zeros(len(seen), dtype=np.int64)


def test_the_named_checkpoints_policies_play(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One policy for each role, some games, a film of all steps with their starts."""
    asked: list[Still] = []

    def load(source: str, *, policy_id: str) -> Still:
        asked.append(Still(source, policy_id))
        return asked[-1]

    monkeypatch.setattr(demos, "load_policy", load)
    found = demos.demo(f"{run}@2", episodes=2, out=tmp_path / "demo.gif")

    assert [each.source for each in asked] == [
        (f"{run}@2", "seeker_policy"),
        (f"{run}@2", "hider_policy"),
    ]
    assert [game["steps"] for game in found] == [3.0, 3.0]
    film = Image.open(io.BytesIO((tmp_path / "demo.gif").read_bytes()))
    assert film.size == (350, 350)
    assert getattr(film, "n_frames", 0) >= 2, "equal pictures of those who stand still are one"


def test_a_run_of_something_else_is_refused(tmp_path: Path) -> None:
    """Its policies could not play this game."""
    with Run(tmp_path / "other", total=1, recipe="structure") as run:
        for _ in run:
            pass

    with pytest.raises(UsageError, match="is a run of structure"):
        demos.demo(str(tmp_path / "other"))


def test_a_run_may_have_an_at_in_its_name(
    run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands behind the last one names the checkpoint."""
    monkeypatch.setattr(demos, "load_policy", lambda source, *, policy_id: Still(source, policy_id))
    other = tmp_path / "w@x" / "run@best"
    other.parent.mkdir()
    shutil.move(run, other)

    assert len(demos.demo(str(other), episodes=1)) == 1
    assert len(demos.demo(f"{other}@2", episodes=1)) == 1


@pytest.mark.parametrize(
    ("out", "error", "said"),
    [("no/x.gif", NotFoundError, "no folder"), (".", UsageError, "is a folder")],
)
def test_no_game_is_played_for_a_film_that_can_lie_nowhere(
    run: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    out: str,
    error: type[Exception],
    said: str,
) -> None:
    """It is told before the policies are loaded."""
    monkeypatch.delattr(demos, "load_policy")

    with pytest.raises(error, match=said):
        demos.demo(run, out=tmp_path / out)


BARE = """
import runpy, sys
sys.modules["ray"] = sys.modules["mpe2"] = None
sys.argv = ["demo", "run"]
runpy.run_module("evertrain.recipes.hideseek.demo", run_name="__main__")
"""


@pytest.mark.slow
def test_without_ray_it_says_what_to_install() -> None:
    """In three lines, and without a traceback."""
    ended = subprocess.run(
        [sys.executable, "-c", BARE], capture_output=True, text=True, check=False, timeout=60
    )

    assert ended.returncode == EXIT_CONFIG, ended.stderr
    assert ended.stderr.startswith("evertrain: 'ray.rllib' is not installed.")
    assert "pip install 'evertrain[hideseek]'" in ended.stderr
