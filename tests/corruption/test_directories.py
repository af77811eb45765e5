"""Directories that are not what their names say."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from evertrain.checkpoint import Store
from evertrain.core.rundir import RunDir
from power.judge import check_state
from power.program import train

UNTIL = 5
NAMES = ("3", "0000000003", "000000003-copy", "000000003 (copy)", "000000003.bak", "step3", "-1")


@pytest.mark.parametrize("name", NAMES)
def test_copies_beside_a_checkpoint(run_dir: RunDir, name: str) -> None:
    """A copy under another name is nobody's checkpoint, and is left alone."""
    copy = run_dir.checkpoints / name
    shutil.copytree(run_dir.checkpoints / "000000003", copy)
    assert [info.step for info in Store(run_dir.path).list()] == [1, 2, 3]
    assert Store(run_dir.path).verify() == []
    assert train(run_dir.path, UNTIL) == 3
    check_state(run_dir.path, UNTIL)
    assert (copy / "manifest.json").is_file()


def test_a_copy_under_the_name_of_a_later_step(run_dir: RunDir) -> None:
    """It says of itself which step it is of: it is damage, and not the newest."""
    later = run_dir.checkpoints / "000000004"
    shutil.copytree(run_dir.checkpoints / "000000002", later)
    assert {fault.path.parent.name for fault in Store(run_dir.path).verify()} == {later.name}
    assert train(run_dir.path, UNTIL) == 3
    check_state(run_dir.path, UNTIL)


def _empty(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


def _file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("?")


def _link_to_itself_elsewhere(path: Path) -> None:
    path.rename(path.parents[1] / "away")
    path.symlink_to(path.parents[1] / "away")


def _dangling(path: Path) -> None:
    shutil.rmtree(path)
    path.symlink_to("nowhere")


@pytest.mark.parametrize("damage", [_empty, _file, _link_to_itself_elsewhere, _dangling])
def test_a_checkpoint_that_is_no_directory_of_files(
    run_dir: RunDir, damage: Callable[[Path], None]
) -> None:
    """The next older one is used, and its step is saved again."""
    damage(run_dir.checkpoints / "000000003")
    assert train(run_dir.path, UNTIL) == 2
    check_state(run_dir.path, UNTIL)
    assert [info.step for info in Store(run_dir.path).list()] == [1, 2, 3, 4, 5]


def test_no_checkpoints_at_all(run_dir: RunDir) -> None:
    """The training starts over, in the same run."""
    shutil.rmtree(run_dir.checkpoints)
    assert train(run_dir.path, UNTIL) == 0
    check_state(run_dir.path, UNTIL)
