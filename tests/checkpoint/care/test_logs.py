"""An archive of a run whose logs are cut, packed and dropped meanwhile."""

from pathlib import Path

import pytest

from evertrain.checkpoint.care.snapshot import snapshot
from evertrain.checkpoint.commit import Tools
from evertrain.core.fs import LocalFs
from evertrain.core.rundir import RunDir
from runs import new_run


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    """Return a run with a log of two pieces."""
    found = new_run(tmp_path / "r")
    found.logs.mkdir()
    found.log(1).write_bytes(b"second\n")
    (found.logs / "attempt-0001.log.0001").write_bytes(b"first\n")
    return found


def cut(run_dir: RunDir) -> None:
    """Do what a supervisor does: the last piece is closed, the first one packed."""
    run_dir.log(1).rename(run_dir.logs / "attempt-0001.log.0002")
    run_dir.log(1).write_bytes(b"third\n")
    (run_dir.logs / "attempt-0001.log.0001").unlink()


def test_what_was_held_stays(run_dir: RunDir) -> None:
    """Under the names and in the lengths of that moment."""
    with snapshot(run_dir, None, Tools()) as files:
        with run_dir.log(1).open("ab") as file:
            file.write(b"later\n")
        cut(run_dir)
        logs = {name: each for name, each in files.items() if name.startswith("logs/")}
        held = {name: each.path.read_bytes()[: each.bytes] for name, each in logs.items()}
    assert held == {"logs/attempt-0001.log": b"second\n", "logs/attempt-0001.log.0001": b"first\n"}
    assert not list(run_dir.path.glob(".tmp-archive-*"))


def test_a_cut_between_two_looks_loses_no_piece(run_dir: RunDir) -> None:
    """It looks again until nothing moved."""

    class Cutting(LocalFs):
        """A disk on which the log is cut when the first piece is held."""

        def __init__(self) -> None:
            self.is_cut = False

        def link(self, src: Path, dst: Path) -> bool:
            if not self.is_cut and src.name == "attempt-0001.log":
                self.is_cut = True
                cut(run_dir)
            return super().link(src, dst)

    with snapshot(run_dir, None, Tools(fs=Cutting())) as files:
        logs = [each for name, each in sorted(files.items()) if name.startswith("logs/")]
        assert [each.path.read_bytes() for each in logs] == [b"third\n", b"second\n"]
