"""Any file of a checkpoint, damaged in any way: found by its name, set aside, survived."""

from pathlib import Path

import pytest

from corruption.damage import ALL, CONTENTS, LENGTHS, Damage, cut_to, flipped, written
from corruption.doors import UNTIL, check_resume, check_verify
from evertrain.checkpoint import Store
from evertrain.core.errors import CorruptError
from evertrain.core.rundir import RunDir
from power.program import train

NEWEST = "000000003"
FILES = (
    "manifest.json",
    "metadata.json",
    "ring_value_00000.safetensors",
    "ring_value_00001.safetensors",
    "run_rng.safetensors",
    "run_state.safetensors",
    "still_value_00000.safetensors",
    "still_value_00001.safetensors",
)


def test_these_are_all_the_files(run_dir: RunDir) -> None:
    """None is forgotten below."""
    names = {path.name for path in (run_dir.checkpoints / NEWEST).iterdir()}
    assert names == set(FILES)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ALL)
def test_damage_to_one_file(run_dir: RunDir, name: str, how: str) -> None:
    """Found at both doors of `verify`; a resume goes back one step, unless nothing reads it."""
    path = run_dir.checkpoints / NEWEST / name
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    ALL[how](path)
    after = {each.name: each for each in path.parent.iterdir()}
    changed = [each for each in before if _differs(after.get(each), before[each])]
    assert name in changed
    found = [NEWEST, "manifest.json"] if "manifest.json" in changed else [NEWEST, *changed]
    check_verify(run_dir, *(path.parent / each for each in found[1:]))
    if changed == ["metadata.json"]:  # for people only: nothing is loaded from it
        check_unhindered(run_dir, path)
    else:
        check_resume(run_dir, 2, 3)


def check_unhindered(run_dir: RunDir, path: Path) -> None:
    """Look that a resume goes on from the newest, and leaves a fault that hinders nobody."""
    assert train(run_dir.path, UNTIL) == 3
    assert {fault.path for fault in Store(run_dir.path).verify()} == {path}


def _differs(path: Path | None, data: bytes) -> bool:
    is_plain = path is not None and path.is_file() and not path.is_symlink()
    return path is None or not is_plain or path.read_bytes() != data


@pytest.mark.parametrize("how", [*LENGTHS, *CONTENTS])
def test_loading_finds_it_too(run_dir: RunDir, how: str) -> None:
    """By name or as the latest; and what asks for other objects only does not meet it."""
    path = run_dir.checkpoints / NEWEST / "run_state.safetensors"
    (LENGTHS | CONTENTS)[how](path)
    with pytest.raises(CorruptError):
        Store(run_dir.path).load(3)
    if "swapped" not in how:  # with the manifest, so that another one is the latest
        with pytest.raises(CorruptError):
            Store(run_dir.path).load("latest")
        assert Store(run_dir.path).load(3, names=["still"]).info.step == 3


def test_a_file_of_another_checkpoint(run_dir: RunDir) -> None:
    """The same name and the same length, one step older."""
    path = run_dir.checkpoints / NEWEST / "run_state.safetensors"
    written(path, (run_dir.checkpoints / "000000002" / path.name).read_bytes())
    check_verify(run_dir, path)
    check_resume(run_dir, 2, 3, name=path.name)


def test_a_file_more(run_dir: RunDir) -> None:
    """It is told; what the manifest lists is whole, and so a resume takes it."""
    path = run_dir.checkpoints / NEWEST / "notes.txt"
    path.write_text("mine")
    check_verify(run_dir, path)
    check_unhindered(run_dir, path)


@pytest.mark.parametrize("step", [1, 2])
def test_damage_to_an_older_one(run_dir: RunDir, step: int) -> None:
    """It is told, and nobody who goes on from the newest is hindered."""
    path = run_dir.checkpoints / f"{step:09}" / "run_state.safetensors"
    flipped(lambda size: size // 2)(path)
    check_verify(run_dir, path)
    check_unhindered(run_dir, path)


def test_all_but_the_oldest(run_dir: RunDir) -> None:
    """A resume goes back as far as it must."""
    cut: Damage = cut_to(lambda size: size - 1)
    for step in (2, 3):
        cut(run_dir.checkpoints / f"{step:09}" / "manifest.json")
    check_resume(run_dir, 1, 2, 3, name="manifest.json")


def test_all_of_them(run_dir: RunDir) -> None:
    """With nothing whole left the training starts over, and the wrecks are kept."""
    cut: Damage = cut_to(lambda size: size - 1)
    for step in (1, 2, 3):
        cut(run_dir.checkpoints / f"{step:09}" / "manifest.json")
    check_resume(run_dir, 0, 1, 2, 3, name="manifest.json")
