"""Which file the next attempt of a foreign command begins with."""

from collections.abc import Callable
from pathlib import Path

import pytest

from evertrain.core.rundir import RunDir
from evertrain.supervise.handover import Handover
from evertrain.supervise.notes import Notes
from evertrain.supervise.options import SuperviseOptions
from evertrain.supervise.screen import Screen
from evertrain.supervise.task import Task
from evertrain.testing import FakeClock

LOST: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "cut short": lambda path: path.write_bytes(b"PK"),
}


@pytest.fixture
def handover(tmp_path: Path) -> Handover:
    """Provide the choice among the files of a command of its own kind."""
    path = tmp_path / "run"
    path.mkdir()
    options = SuperviseOptions(checkpoints=str(tmp_path / "*.bin"), resume_arg="--load {path}")
    task = Task(command=["x"], run_dir=RunDir(path), shown=path, options=options, cwd=tmp_path)
    return Handover(task, Notes(task, screen=Screen(), clock=FakeClock()))


@pytest.mark.parametrize("how", LOST)
def test_an_older_one_that_is_lost_meanwhile_holds_up_no_start(
    handover: Handover, tmp_path: Path, how: str
) -> None:
    """A rule named it before the supervisor was killed; the next one takes the newest."""
    older, newest = tmp_path / "1.zip", tmp_path / "2.bin"
    newest.write_bytes(b"whole")
    older.write_bytes(b"whole")
    LOST[how](older)

    handover.go_on(str(older))

    assert handover.arguments() == ["--load", str(newest)]
