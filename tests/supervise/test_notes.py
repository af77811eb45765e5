"""`evertrain.supervise.notes`: a full disk does not end the supervision."""

import os
from pathlib import Path

from evertrain.core.clock import SYSTEM_CLOCK
from evertrain.core.rundir import RunDir, new_identity, read_identity, write_identity
from evertrain.supervise.notes import Notes
from evertrain.supervise.options import SuperviseOptions
from evertrain.supervise.screen import Screen
from evertrain.supervise.task import Task


def _notes(run_dir: RunDir, handle: int) -> tuple[Notes, Screen]:
    options, cwd = SuperviseOptions(), Path.cwd()
    task = Task(command=["x"], run_dir=run_dir, shown=run_dir.path, options=options, cwd=cwd)
    screen = Screen(handle)
    return Notes(task, screen=screen, clock=SYSTEM_CLOCK), screen


def test_a_disk_that_refuses_is_shown_and_survived(tmp_path: Path) -> None:
    """Recording into a directory that is gone is said, and nothing is raised."""
    read, write = os.pipe()
    notes, screen = _notes(RunDir(tmp_path / "gone"), write)
    notes.record("backoff", seconds=1.0)
    assert screen.flush()
    assert b"The journal does not record 'backoff'" in os.read(read, 1000)
    os.close(read)
    os.close(write)


def test_an_identity_that_is_there_is_left_alone(tmp_path: Path) -> None:
    """Only a run without `run.json` gets one, with command and working directory."""
    notes, _ = _notes(RunDir(tmp_path), 1)
    notes.ensure_identity()
    identity = read_identity(RunDir(tmp_path))
    assert identity is not None
    assert (identity.command, identity.cwd) == (["x"], str(Path.cwd()))
    other = new_identity(command=["of the Run"])
    write_identity(RunDir(tmp_path), other)
    notes.ensure_identity()
    assert read_identity(RunDir(tmp_path)) == other


def test_a_damaged_identity_is_made_anew(tmp_path: Path) -> None:
    """It ends no supervision."""
    notes, _ = _notes(RunDir(tmp_path), 1)
    RunDir(tmp_path).identity.write_bytes(b"{")
    notes.ensure_identity()
    assert read_identity(RunDir(tmp_path)) is not None
