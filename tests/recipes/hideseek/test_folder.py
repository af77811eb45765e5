"""The folder for other programs: whole checkpoints, the last ten, and the guide's own script."""

import json
import runpy
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from evertrain.checkpoint.keep import Keep, keep_any, keep_best, keep_last
from evertrain.core.errors import ConfigError
from evertrain.core.fs import Fs
from evertrain.recipes.hideseek.card import Card
from evertrain.recipes.hideseek.folder import HISTORY, PICTURE, Folder
from evertrain.recipes.owner import Owner
from evertrain.testing.clock import FakeClock
from evertrain.testing.power import PowerDisk
from support import FAST

# Word for word what people run over such a folder.
FIND_BEST = """\
import json
from pathlib import Path

checkpoint_dir = Path("./checkpoints")

rewards = []
for cp in sorted(checkpoint_dir.glob("checkpoint_*")):
    metadata_file = cp / "metadata.json"
    if metadata_file.exists():
        with open(metadata_file) as f:
            data = json.load(f)
            rewards.append({
                'iteration': data['iteration'],
                'reward': data['reward_mean']
            })

# Find best checkpoint
best = max(rewards, key=lambda x: x['reward'])
print(f"Best checkpoint: Iteration {best['iteration']} with reward {best['reward']:.2f}")
"""

OWNER = Owner("/runs/hideseek", "cafe")


class Written:
    """Fills a directory as a framework does, on a disk that is watched: two files, one below."""

    def __init__(self, fs: Fs = FAST) -> None:
        self.fs = fs

    def at(self, iteration: int) -> Callable[[Path], None]:
        def write(place: Path) -> None:
            self.fs.mkdir(place / "learner")
            self.fs.write(place / "learner" / "state.pkl", (content(iteration),))
            self.fs.write(place / "algorithm_state.pkl", (content(iteration),))

        return write


def content(iteration: int) -> bytes:
    """Return what both files of a checkpoint hold."""
    return b"state of %d" % iteration * 20


def row(reward: float, iteration: int = 1) -> dict[str, float]:
    """Return the metrics of an iteration."""
    return {
        "reward_mean": reward,
        "seeker_reward": 31.0,
        "hider_reward": -48.5,
        "episode_len_mean": 25.0,
        "episodes_completed": 30.0 * iteration,
        "seeker_kl": 0.01,
    }


def filled(path: Path, rewards: dict[int, float], *, keep: Keep | None = None) -> Folder:
    """Return a folder in which these iterations were saved, one after another."""
    keep = keep or keep_any(keep_last(10), keep_best(1))
    folder = Folder(path, keep, OWNER, fs=FAST, clock=FakeClock())
    folder.begin(0)
    for iteration, reward in rewards.items():
        folder.add(iteration, row(reward, iteration), Written().at(iteration))
    return folder


def names(path: Path) -> list[str]:
    """Return all that stands in a folder, but for the word on whose it is."""
    return sorted(each.name for each in path.iterdir() if each.name != "evertrain-owner.json")


def test_the_guides_script_finds_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is run unchanged, and does not stumble over what else is in the folder."""
    filled(tmp_path / "checkpoints", {10: 161.06, 20: 172.18, 30: 170.45}).begin(20)
    (tmp_path / "find.py").write_text(FIND_BEST)
    monkeypatch.chdir(tmp_path)

    runpy.run_path("find.py")

    assert capsys.readouterr().out == "Best checkpoint: Iteration 20 with reward 172.18\n"


def test_the_metadata_is_the_guides(tmp_path: Path) -> None:
    """Its fields, all of them and no others."""
    path = filled(tmp_path / "checkpoints", {50: 172.18}).path / "checkpoint_000050"
    found = json.loads((path / "metadata.json").read_text())

    assert datetime.fromisoformat(found.pop("timestamp")).timestamp() == FakeClock().now_s()
    assert found == {
        "iteration": 50,
        "checkpoint_path": str(path),
        "reward_mean": 172.18,
        "seeker_reward": 31.0,
        "hider_reward": -48.5,
        "episode_len_mean": 25.0,
        "episodes_completed": 1500,
    }


def test_the_last_ten_stay_and_the_best(tmp_path: Path) -> None:
    """The index lists what is there, and nothing is left of what went."""
    rewards = {10 * n: 500.0 if n == 2 else float(n) for n in range(1, 16)}
    folder = filled(tmp_path / "checkpoints", rewards)
    kept = [20, *range(60, 160, 10)]

    assert [info.step for info in folder.found()] == kept
    index = json.loads((folder.path / "checkpoint_index.json").read_text())
    assert [each["iteration"] for each in index["checkpoints"]] == kept
    assert index["total_checkpoints"] == len(kept)
    expected = [f"checkpoint_{step:06d}" for step in kept]
    assert names(folder.path) == sorted([*expected, "checkpoint_index.json"])


def test_going_back_sets_aside_what_is_beyond(tmp_path: Path) -> None:
    """As the run's own later checkpoints; the same again replaces them there."""
    folder = filled(tmp_path / "checkpoints", {10: 1.0, 20: 2.0, 30: 3.0})

    for _ in range(2):
        moved = folder.begin(10)
        assert [each.name for each in moved] == ["checkpoint_000020", "checkpoint_000030"]
        assert [info.step for info in folder.found()] == [10]
        assert names(folder.path / "superseded") == ["checkpoint_000020", "checkpoint_000030"]
        for iteration in (20, 30):
            folder.add(iteration, row(5.0), Written().at(iteration))

    assert folder.begin(30) == []


def test_what_stands_beside_a_checkpoint_goes_with_it(tmp_path: Path) -> None:
    """Away with it, or aside with it; and nothing is put beside one that is gone."""
    folder = filled(tmp_path / "checkpoints", {10: 1.0, 20: 2.0}, keep=keep_last(2))
    for iteration in (10, 20):
        folder.put(HISTORY, iteration, b"[]")
        folder.put(PICTURE, iteration, b"drawn")
    assert not folder.lacks(PICTURE, 10)

    folder.add(30, row(3.0), Written().at(30))
    assert folder.lacks(PICTURE, 30)
    folder.put(PICTURE, 10, b"drawn too late")
    beside = ["metrics_iter_20.json", "training_metrics_iter_20.png"]
    assert [each for each in names(folder.path) if "metrics" in each] == beside
    assert not folder.lacks(PICTURE, 10)

    folder.begin(10)
    assert [each for each in names(folder.path) if "metrics" in each] == []
    assert [each for each in names(folder.path / "superseded") if "metrics" in each] == beside


def test_a_file_beside_a_checkpoint_that_was_deleted_goes(tmp_path: Path) -> None:
    """People delete checkpoints by hand; those of other names are theirs."""
    folder = filled(tmp_path / "checkpoints", {10: 1.0})
    folder.put(HISTORY, 10, b"[]")
    shutil.rmtree(folder.path / "checkpoint_000010")
    (folder.path / "my_metrics_iter_10.json").write_text("mine")

    folder.begin(10)

    assert names(folder.path) == ["checkpoint_index.json", "my_metrics_iter_10.json"]


def test_the_card_says_whose_it_is(tmp_path: Path) -> None:
    """The run, its iteration, and what each file held."""
    place = filled(tmp_path / "checkpoints", {50: 1.0}).path / "checkpoint_000050"
    card = Card.read(place / "evertrain.json")

    assert (card.run, card.run_id, card.iteration) == ("/runs/hideseek", "cafe", 50)
    assert set(card.files) == {"algorithm_state.pkl", "learner/state.pkl", "metadata.json"}


def theirs(path: Path) -> dict[str, bytes]:
    """Return every file below a folder, and what it holds."""
    return {
        str(each.relative_to(path)): each.read_bytes()
        for each in sorted(path.rglob("*"))
        if each.is_file()
    }


def strange(place: Path) -> Path:
    """Return a directory that another program has written."""
    place.mkdir(parents=True)
    (place / "precious.bin").write_text("of somebody else")
    return place


@pytest.mark.parametrize(
    "name",
    [
        "checkpoint_000010/precious.bin",
        "checkpoint_index.json",
        "metrics_iter_10.json",
        "training_metrics_iter_10.png",
        "superseded/checkpoint_000010/precious.bin",
    ],
)
def test_a_folder_that_others_have_filled_is_refused(tmp_path: Path, name: str) -> None:
    """With its files as they were, however much there is of them."""
    path = tmp_path / "checkpoints"
    for number in range(11, 31):
        strange(path / f"checkpoint_of_mine_{number}")
    strange((path / name).parent / "beside")
    (path / name).write_text("of somebody else")
    before = theirs(path)
    folder = Folder(path, keep_last(2), OWNER, fs=FAST, clock=FakeClock())

    with pytest.raises(ConfigError, match="which nobody knows which run has written") as caught:
        folder.begin(0)

    assert "-o ppo.checkpoint_dir=FOLDER" in caught.value.fix
    assert theirs(path) == before


def test_the_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    """Also before that run has added anything; its directory may have moved, its name is it."""
    path = filled(tmp_path / "checkpoints", {}).path
    other = Folder(path, keep_last(2), Owner("/runs/other", "beef"), fs=FAST, clock=FakeClock())
    before = theirs(path)

    with pytest.raises(ConfigError, match="which another run, /runs/hideseek, has written"):
        other.begin(0)

    assert theirs(path) == before
    Folder(path, keep_last(2), Owner("/moved", "cafe"), fs=FAST, clock=FakeClock()).begin(0)
    (path / "evertrain-owner.json").write_text("{")
    with pytest.raises(ConfigError, match="nobody knows"):
        Folder(path, keep_last(2), OWNER, fs=FAST, clock=FakeClock()).begin(0)


def test_what_others_have_put_there_stays(tmp_path: Path) -> None:
    """Other files, hidden ones, and copies; one of ours without metadata has no score."""
    folder = filled(tmp_path / "checkpoints", {10: 1.0}, keep=keep_last(1))
    (folder.path / "checkpoint_000010" / "metadata.json").unlink()
    for name in ("best_model", "checkpoint_000005", "checkpoint_000040", ".thesis.tmp-keep"):
        strange(folder.path / name)
    strange(folder.path / "superseded" / "checkpoint_000005")
    shutil.copytree(folder.path / "checkpoint_000010", folder.path / "checkpoint_000050")
    for name in ("checkpoint_notes", ".vimtmp-1", ".tmp-notes", "metrics_iter_5.json"):
        (folder.path / name).write_text("mine")
    (folder.path / ".tmp-gone-checkpoint_000001").mkdir()
    before = theirs(folder.path)

    assert folder.begin(10) == []
    folder.add(20, row(2.0), Written().at(20))

    assert [info.step for info in folder.found()] == [20]
    assert not (folder.path / "checkpoint_000010").exists()
    assert not (folder.path / ".tmp-gone-checkpoint_000001").exists()
    after = theirs(folder.path)
    kept = {name for name in before if "000010" not in name and "index" not in name}
    assert {name: after.get(name) for name in kept} == {name: before[name] for name in kept}
    with pytest.raises(FileExistsError):
        folder.add(40, row(4.0), Written().at(40))
    assert theirs(folder.path) == after


def test_a_reward_that_is_no_number_is_null(tmp_path: Path) -> None:
    """JSON knows no NaN, and other programs would stumble over it."""
    folder = filled(tmp_path / "checkpoints", {10: float("nan"), 20: 1.0})
    text = (folder.path / "checkpoint_000010" / "metadata.json").read_text()

    assert json.loads(text)["reward_mean"] is None
    assert [info.score for info in folder.found()] == [None, 1.0]


def test_a_framework_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """What it had written so far goes, and what was there before stays."""
    folder = filled(tmp_path / "checkpoints", {10: 1.0})

    def fail(place: Path) -> None:
        Written().at(20)(place)
        raise RuntimeError("no such policy")

    with pytest.raises(RuntimeError, match="no such policy"):
        folder.add(20, row(2.0), fail)
    assert names(folder.path) == ["checkpoint_000010", "checkpoint_index.json"]


@pytest.mark.parametrize("act", ["add", "begin"])
def test_any_death_leaves_whole_checkpoints(tmp_path: Path, act: str) -> None:
    """Killed or without power at any moment, what has its name is whole; the next one clears up."""
    root = tmp_path / "live"
    keep = keep_last(2)
    filled(root, {10: 1.0, 20: 2.0}, keep=keep)
    disk = PowerDisk(root, FAST)
    folder = Folder(root, keep, OWNER, fs=disk, clock=FakeClock())
    folder.put(PICTURE, 20, b"drawn")
    if act == "add":
        folder.add(30, row(3.0), Written(disk).at(30))
    else:
        folder.begin(10)
    after, count = tmp_path / "after", 0
    for left in disk.deaths(limit=16):
        left.plant(after)
        for info in Folder(after, keep, OWNER).found():
            files = [info.path / "learner" / "state.pkl", info.path / "algorithm_state.pkl"]
            assert [each.read_bytes() for each in files] == [content(info.step)] * 2, left
            assert json.loads((info.path / "metadata.json").read_text())["iteration"] == info.step
        there = (
            Folder(after, keep, OWNER).found() + Folder(after / "superseded", keep, OWNER).found()
        )
        assert {20} | ({10} if act == "begin" else set()) <= {info.step for info in there}, left

        for path in after.rglob("*.png"):
            assert path.read_bytes() == b"drawn", left

        again = Folder(after, keep, OWNER, fs=FAST, clock=FakeClock())
        again.begin(20)
        again.add(30, row(3.0), Written().at(30))
        assert set(names(after)) - {"superseded", "training_metrics_iter_20.png"} <= {
            "checkpoint_000010",
            "checkpoint_000020",
            "checkpoint_000030",
            "checkpoint_index.json",
        }, left
        shutil.rmtree(after)
        count += 1
    assert count >= 6


def test_what_was_added_is_durable(tmp_path: Path) -> None:
    """Once `add` has returned, no power cut takes it away, nor brings back what went."""
    root = tmp_path / "live"
    filled(root, {10: 1.0}, keep=keep_last(1))
    disk = PowerDisk(root)
    folder = Folder(root, keep_last(1), OWNER, fs=disk, clock=FakeClock())
    folder.add(20, row(2.0), Written(disk).at(20))
    folder.put(HISTORY, 20, b"all of it")

    for number, world in enumerate(disk.worlds()):
        place = tmp_path / str(number)
        disk.reboot(place, world)
        assert [info.step for info in Folder(place, keep_last(1), OWNER).found()] == [20]
        assert (place / "metrics_iter_20.json").read_bytes() == b"all of it"
        assert (place / "checkpoint_000020" / "learner" / "state.pkl").read_bytes() == content(20)
