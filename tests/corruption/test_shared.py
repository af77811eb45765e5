"""What checkpoints share rots in all of them, and is found in all of them."""

from pathlib import Path

import pytest

from corruption.damage import flip, written
from corruption.doors import check_resume, check_verify
from evertrain.checkpoint import Store
from evertrain.core.errors import CorruptError, NotFoundError
from evertrain.core.rundir import RunDir
from power.program import train

SHARED = "still_value_00001.safetensors"


def places(run_dir: RunDir, *steps: int) -> list[Path]:
    """Return the names of the shared file in some checkpoints."""
    return [run_dir.checkpoints / f"{step:09}" / SHARED for step in steps]


def test_it_is_one_file(run_dir: RunDir) -> None:
    """Else nothing below would prove anything."""
    assert len({path.stat().st_ino for path in places(run_dir, 1, 2, 3)}) == 1


def test_rot_is_found_in_all_that_share_it(run_dir: RunDir) -> None:
    """By `verify`, by `evertrain verify`, and by loading each."""
    paths = places(run_dir, 1, 2, 3)
    flip(paths[0], 8 * paths[0].stat().st_size - 3)
    check_verify(run_dir, *paths)
    for step in (1, 2, 3):
        with pytest.raises(CorruptError, match=SHARED):
            Store(run_dir.path).load(step)


def test_a_resume_falls_back_past_all_that_share_it(run_dir: RunDir) -> None:
    """To the one that has a copy of its own."""
    own, *paths = places(run_dir, 1, 2, 3)
    written(own, own.read_bytes())
    flip(paths[0], 8 * paths[0].stat().st_size - 3)
    check_verify(run_dir, *paths)
    check_resume(run_dir, 1, 2, 3, name=SHARED)


def test_where_all_share_it_the_training_starts_over(run_dir: RunDir) -> None:
    """If that is allowed; whoever demands a resume is refused, with the wrecks named."""
    flip(places(run_dir, 1)[0], 5)
    with pytest.raises(NotFoundError, match="no checkpoint to resume from"):
        train(run_dir.path, 5, resume="must")
    check_resume(run_dir, 0, 1, 2, 3, name=SHARED)


def test_what_is_rotten_is_shared_no_further(run_dir: RunDir) -> None:
    """Rot that appears while a run trains is not linked into what it saves after the next start."""
    flip(places(run_dir, 3)[0], 5)
    train(run_dir.path, 5)
    assert Store(run_dir.path).verify() == []
