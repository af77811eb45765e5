"""A run to be damaged, a place that nobody may touch, and a directory to work in."""

import os
import shutil
from pathlib import Path
from typing import Final

import pytest

from evertrain.core import lock
from evertrain.core.request import post
from evertrain.core.rundir import RunDir
from hostile.doors import train

HERE: Final = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run these tests last: `witness` listens to the interpreter until it ends."""
    items.sort(key=lambda item: item.path.is_relative_to(HERE))


@pytest.fixture(autouse=True)
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no disk: what a power cut leaves is proved elsewhere."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide a run that was trained for three steps by the program of `doors.train`."""
    path = tmp_path_factory.mktemp("template") / "r"
    train(path, 3)
    run_dir = RunDir(path)
    run_dir.logs.mkdir()
    run_dir.log(1).write_bytes(b"hello\nworld\n")
    lock.take(run_dir.supervisor_lock).release()
    post(run_dir, "pin", step=2)
    return path


@pytest.fixture
def run_path(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide a copy of that run as `runs/r` of the working directory."""
    place = tmp_path / "work"
    (place / "runs").mkdir(parents=True)
    monkeypatch.chdir(place)
    return Path(shutil.copytree(template, place / "runs" / "r", symlinks=True))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Provide a directory that is none of the run's business."""
    path = tmp_path / "outside"
    (path / "inner").mkdir(parents=True)
    (path / "mine.txt").write_text("mine")
    (path / "inner" / "precious.txt").write_text("precious")
    return path
