"""Moving checkpoints aside loses none, whatever happens halfway."""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from evertrain.checkpoint import About, Store
from evertrain.checkpoint.commit import Tools, write_checkpoint
from evertrain.checkpoint.read import read_checkpoint
from evertrain.checkpoint.shelf import (
    emergencies,
    quarantine,
    save_emergency,
    supersede,
)
from evertrain.checkpoint.trash import discard
from evertrain.core.errors import NotFoundError
from evertrain.testing import FakeClock, PowerDisk
from support import FAST


def filled(root: Path, *steps: int) -> Path:
    """Return a store with a checkpoint of each of `steps`."""
    for step in steps:
        Store(root).save(step, {"s": step}, about=About(attempt=2))
    return root


def everywhere(root: Path) -> dict[int, str]:
    """Return each checkpoint that loads, and where it is."""
    found = {}
    for manifest in sorted(root.rglob("manifest.json")):
        loaded = read_checkpoint(manifest.parent)
        found[loaded.state["s"]] = str(manifest.parent.relative_to(root))
    return found


def test_quarantine(tmp_path: Path) -> None:
    """A damaged checkpoint leaves the listing, with a note; so does the next of that step."""
    root = filled(tmp_path, 1, 2)
    tools = Tools(clock=FakeClock(0.0))
    Store(root).pin(2)
    first = quarantine(root, 2, "digest differs", tools)
    filled(root, 2)
    second = quarantine(root, 2, "again", tools)
    assert [str(p.relative_to(root)) for p in (first, second)] == [
        "quarantine/000000002",
        "quarantine/000000002-2",
    ]
    assert json.loads((root / "quarantine" / "000000002.reason.json").read_text()) == {
        "step": 2,
        "reason": "digest differs",
        "time": "1970-01-01T00:00:00.000Z",
    }
    assert str((root / "latest").readlink()) == "000000001"
    assert not list((root / "pins").iterdir())
    with pytest.raises(NotFoundError):
        quarantine(root, 2, "gone", tools)


def test_supersede(tmp_path: Path) -> None:
    """A rewind moves every later checkpoint aside, the unreadable ones too, under its attempt."""
    root = filled(tmp_path, 5, 10, 15)
    (root / "000000015" / "manifest.json").unlink()
    assert supersede(root, 5) == [10, 15]
    filled(root, 10)
    assert supersede(root, 5) == [10]
    assert supersede(root, 5) == []
    assert sorted(p.name for p in (root / "superseded").iterdir()) == [
        "000000010-attempt2",
        "000000010-attempt2-2",
        "000000015-attempt0",
    ]
    assert [info.step for info in Store(root).list()] == [5]
    assert str((root / "latest").readlink()) == "000000005"
    assert supersede(root, -1) == [5]
    assert not (root / "latest").is_symlink()


MOVES = pytest.mark.parametrize(
    "move",
    [
        lambda root, tools: supersede(root, 5, tools),
        lambda root, tools: quarantine(root, 15, "why", tools),
    ],
    ids=["supersede", "quarantine"],
)


@MOVES
def test_moves_lose_nothing(tmp_path: Path, move: Callable[[Path, Tools], object]) -> None:
    """Killed or without power at any moment of a move, each checkpoint is somewhere, whole."""
    root = filled(tmp_path / "live", 5, 10, 15)
    disk = PowerDisk(root, FAST)
    move(root, Tools(disk))
    after = tmp_path / "after"
    for left in disk.deaths(limit=32):
        left.plant(after)
        assert everywhere(after).keys() == {5, 10, 15}, left
        Store(after, fs=FAST).recover()
        with suppress(NotFoundError):
            move(after, Tools(FAST))
        assert 5 in [info.step for info in Store(after).list()], left
        shutil.rmtree(after)


@MOVES
def test_moves_are_durable(tmp_path: Path, move: Callable[[Path, Tools], object]) -> None:
    """Once a move returns, no power cut brings the checkpoint back to its old place."""
    root = filled(tmp_path / "live", 5, 10, 15)
    disk = PowerDisk(root)
    move(root, Tools(disk))
    for number, world in enumerate(disk.worlds()):
        disk.reboot(tmp_path / str(number), world)
        assert not (tmp_path / str(number) / "000000015").exists()


def test_trash_is_durable_before_deletion(tmp_path: Path) -> None:
    """Before a file of a pruned checkpoint goes, its directory has lost its name for good."""
    root = filled(tmp_path / "live", 5, 10)
    disk = PowerDisk(root)
    [moved] = discard(root, [5], Tools(disk))
    disk.rmtree(moved)
    for number, world in enumerate(disk.worlds()):
        disk.reboot(tmp_path / str(number), world)
        assert not (tmp_path / str(number) / "000000005").exists()


def test_written_means_durable(tmp_path: Path) -> None:
    """The commit alone is durable, before any link or listing is."""
    (tmp_path / "live").mkdir()
    disk = PowerDisk(tmp_path / "live")
    write_checkpoint(tmp_path / "live" / "000000001", 1, {"s": 1}, About(), Tools(disk))
    for number, world in enumerate(disk.worlds()):
        disk.reboot(tmp_path / str(number), world)
        assert everywhere(tmp_path / str(number)) == {1: "000000001"}


def test_emergencies(tmp_path: Path) -> None:
    """Emergency checkpoints stand apart, never resume, and only the newest two stay."""
    root, clock = filled(tmp_path, 1), FakeClock()
    kinds = ["error", "interrupted", "error", "error"]
    for step, kind in zip((7, 8, 8, 8), kinds, strict=True):
        clock.advance(1)
        about = About(kind=kind)  # type: ignore[arg-type]
        info = save_emergency(root, step, {"s": step}, about, Tools(clock=clock))
        assert read_checkpoint(info.path).state == {"s": step}
    assert [info.path.name for info in emergencies(root)] == [
        "000000008-ERROR",
        "000000008-ERROR-2",
    ]
    assert Store(root).load().info.step == 1
    (root / "emergency" / "000000008-ERROR" / "manifest.json").unlink()
    assert [info.path.name for info in emergencies(root)] == ["000000008-ERROR-2"]
