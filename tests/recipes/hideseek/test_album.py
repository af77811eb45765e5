"""The metrics beside the checkpoints: complete, drawn beside the training, and never in its way."""

import json
import sys
import threading
from pathlib import Path

import pytest

from evertrain.checkpoint.keep import keep_last
from evertrain.core.errors import MissingExtraError
from evertrain.core.journal import append_lines
from evertrain.core.rundir import RunDir
from evertrain.monitor.curve import Marks
from evertrain.recipes.hideseek import album as albums
from evertrain.recipes.hideseek.album import Album
from evertrain.recipes.hideseek.folder import Folder
from evertrain.recipes.hideseek.history import encoded, panels, up_to
from evertrain.recipes.owner import Owner
from evertrain.testing.clock import FakeClock
from runs import new_run, tell
from support import FAST

PNG = b"\x89PNG\r\n\x1a\n"


def row(iteration: int, **more: float) -> dict[str, float]:
    """Return the metrics of an iteration."""
    return {
        "reward_mean": float(iteration),
        "seeker_reward": 2.0,
        "hider_reward": -5.0,
        "episode_len_mean": 25.0,
        "episodes_completed": 30.0 * iteration,
        "seeker_kl": 0.01,
        "hider_kl": 0.02,
        "seeker_entropy": 1.6,
        "hider_entropy": 1.5,
        **more,
    }


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    """A run that went back from iteration 4 to 2, and is at 3."""
    found = new_run(tmp_path / "run")
    tell(found, {"event": "resumed", "attempt": 1, "step": 0})
    tell(found, {"event": "resumed", "attempt": 2, "step": 2})
    rows = [{"step": step, "attempt": 1, "time": 5.0, **row(step)} for step in (1, 2, 3, 4)]
    again = {"step": 3, "attempt": 2, "time": 9.0, **row(3, reward_mean=33.0)}
    append_lines(found.metrics, [*rows, again], sync=False)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with the checkpoints 1 and 3, as a death may leave it: with nothing beside them."""
    found = Folder(
        tmp_path / "checkpoints", keep_last(2), Owner("/run", "cafe"), fs=FAST, clock=FakeClock()
    )
    found.begin(0)
    for iteration in (1, 3):
        add(found, iteration)
    return found


def add(folder: Folder, iteration: int) -> None:
    """Add a checkpoint."""
    folder.add(iteration, row(iteration), lambda place: FAST.write(place / "state", (b"x",)))


def history(folder: Folder, iteration: int) -> list[dict[str, float]]:
    """Return what stands beside a checkpoint."""
    text = (folder.path / f"metrics_iter_{iteration}.json").read_text()
    found: list[dict[str, float]] = json.loads(text)
    return found


def test_what_a_death_left_out_is_made_again(run_dir: RunDir, folder: Folder) -> None:
    """Of each checkpoint that is there: the live rows as far as it, and a picture."""
    said: list[str] = []
    with Album(folder, run_dir, 3, said.append):
        pass

    assert said == []
    assert [each["iteration"] for each in history(folder, 3)] == [1, 2, 3]
    assert history(folder, 3)[2] == {"iteration": 3, **row(3, reward_mean=33.0)}
    assert [each["iteration"] for each in history(folder, 1)] == [1]
    for iteration in (1, 3):
        picture = folder.path / f"training_metrics_iter_{iteration}.png"
        assert picture.read_bytes().startswith(PNG)
        assert picture.stat().st_size > 20_000


def test_the_history_is_complete(
    run_dir: RunDir, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what this attempt has played since, and nothing beyond the checkpoint; none is NaN."""
    monkeypatch.setattr(albums, "_picture", lambda *_: PNG)
    with Album(folder, run_dir, 3, print) as album:
        album.note(4, row(4, reward_mean=float("nan")))
        add(folder, 4)
        album.add(4)
        album.note(5, row(5))

    assert [each["iteration"] for each in history(folder, 4)] == [1, 2, 3, 4]
    assert history(folder, 4)[3]["reward_mean"] is None
    assert not (folder.path / "metrics_iter_1.json").exists(), "its checkpoint went"


def test_the_training_does_not_wait_for_a_picture(
    run_dir: RunDir, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Iterations go on while one is drawn, which is put away when it is there."""
    may_draw, has_drawn = threading.Event(), threading.Event()

    def slow(*_: object) -> bytes:
        assert may_draw.wait(60)
        has_drawn.set()
        return PNG

    monkeypatch.setattr(albums, "_picture", slow)
    with Album(folder, run_dir, 3, print) as album:
        album.note(4, row(4))
        assert not list(folder.path.glob("*.png"))
        assert not has_drawn.is_set()
        may_draw.set()

    assert sorted(each.name for each in folder.path.glob("*.png")) == [
        "training_metrics_iter_1.png",
        "training_metrics_iter_3.png",
    ]


def test_a_stop_waits_for_one_picture_at_most(
    run_dir: RunDir, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are made by the next attempt."""
    begun, drawn = threading.Event(), list[int]()

    def picture(rows: list[object], *_: object) -> bytes:
        begun.set()
        assert may_end.wait(60)
        drawn.append(len(rows))
        return PNG

    may_end = threading.Event()
    monkeypatch.setattr(albums, "_picture", picture)
    with pytest.raises(KeyboardInterrupt), Album(folder, run_dir, 3, print):
        assert begun.wait(60)
        threading.Timer(0.2, may_end.set).start()
        raise KeyboardInterrupt

    assert drawn == [1]


def test_a_picture_that_fails_ends_nothing(
    run_dir: RunDir, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, and the history is there all the same."""
    said: list[str] = []

    def fail(*_: object) -> bytes:
        raise MemoryError("no room to draw")

    monkeypatch.setattr(albums, "_picture", fail)
    with Album(folder, run_dir, 1, said.append):
        pass

    assert said == [
        f"evertrain: no training_metrics_iter_{each}.png in {folder.path}:"
        " MemoryError: no room to draw"
        for each in (1, 3)
    ]
    assert history(folder, 1)


def test_without_matplotlib_it_is_said_once(
    run_dir: RunDir, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that installs it; the history needs none."""
    monkeypatch.setattr(albums, "find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    said: list[str] = []
    with Album(folder, run_dir, 3, said.append) as album:
        album.note(4, row(4))
        add(folder, 4)
        album.add(4)

    assert len(said) == 1
    assert "pip install 'evertrain[plot]'" in said[0]
    assert history(folder, 4)
    with pytest.raises(MissingExtraError):
        albums._picture([row(1, step=1)], Marks())


def test_six_panels() -> None:
    """Rewards, both policies' rewards, lengths, KL, entropy, and the latest numbers as text."""
    rows = [{"step": step, **row(step)} for step in (1, 2)]
    found = panels(rows)

    assert [each.title for each in found] == [
        "Episode reward",
        "Seeker and hider reward",
        "Episode length",
        "KL divergence",
        "Entropy",
        "Iteration 2",
    ]
    assert found[1].curves == {
        "seeker": ([1, 2], [2.0, 2.0]),
        "hider": ([1, 2], [-5.0, -5.0]),
    }
    assert list(found[3].curves) == ["seeker", "hider"]
    assert "episodes completed         60" in found[5].text
    assert "seeker KL            0.010000" in found[5].text


def test_what_was_not_measured_is_left_out() -> None:
    """A first iteration without KL still makes a file and six panels."""
    rows = [{"step": 1, "reward_mean": 2.5}]

    assert [len(each.curves) for each in panels(rows)] == [1, 0, 0, 0, 0, 0]
    assert json.loads(encoded(rows)) == [{"iteration": 1, "reward_mean": 2.5}]
    assert up_to(rows, 0) == []
