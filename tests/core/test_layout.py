"""What stands where a run has its own files is told before the run begins."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from evertrain import Run
from evertrain.core.errors import ConfigError, CorruptError
from evertrain.core.rundir import RunDir, claim_run_dir, new_identity, write_identity
from runs import tree_of

DIRECTORIES = ["checkpoints", "logs", "crashes", "inbox"]
FILES = ["lock", "supervisor.lock", "shim.lock", "journal.jsonl", "metrics.jsonl"]

WRONG: dict[str, Callable[[Path], object]] = {
    "dangling": lambda path: path.symlink_to("nowhere/at/all"),
    "loop": lambda path: path.symlink_to(path.name),
    "fifo": os.mkfifo,
}


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    """Return a run that has an identity and nothing else."""
    run_dir = RunDir(tmp_path / "run")
    write_identity(run_dir, new_identity())
    return run_dir


@pytest.mark.parametrize("kind", [*WRONG, "file"])
@pytest.mark.parametrize("name", DIRECTORIES)
def test_a_directory_of_the_run_must_be_one(run_dir: RunDir, name: str, kind: str) -> None:
    """A file or a lost link in place of `checkpoints` is no surprise of the first save."""
    {**WRONG, "file": Path.touch}[kind](run_dir.path / name)
    before = tree_of(run_dir.path)

    with pytest.raises(ConfigError, match=name):
        Run(run_dir.path, total=1)

    assert tree_of(run_dir.path) == before


@pytest.mark.parametrize("kind", [*WRONG, "directory"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_the_run_must_be_one(run_dir: RunDir, name: str, kind: str) -> None:
    """A directory in place of the journal is told by its name, and nothing is touched."""
    {**WRONG, "directory": Path.mkdir}[kind](run_dir.path / name)
    before = tree_of(run_dir.path)

    with pytest.raises(ConfigError, match=name):
        Run(run_dir.path, total=1)

    assert tree_of(run_dir.path) == before


def test_checkpoints_may_lie_elsewhere(run_dir: RunDir, tmp_path: Path) -> None:
    """A link to a directory of a bigger disk is a directory."""
    (tmp_path / "big").mkdir()
    run_dir.checkpoints.symlink_to(tmp_path / "big")

    with Run(run_dir.path, total=1) as run:
        for _ in run:
            pass

    assert (tmp_path / "big" / "000000001").is_dir()


@pytest.mark.parametrize(("kind", "error"), [("dangling", CorruptError), ("loop", ConfigError)])
def test_an_identity_that_leads_nowhere_is_not_a_fresh_start(
    tmp_path: Path, kind: str, error: type[Exception]
) -> None:
    """A run.json that is a lost link hides a run, and does not stand for none."""
    WRONG[kind](tmp_path / "run.json")

    with pytest.raises(error, match=r"run\.json"):
        claim_run_dir(tmp_path)


@pytest.mark.parametrize("kind", ["dangling", "loop"])
def test_a_run_directory_that_leads_nowhere_is_told(tmp_path: Path, kind: str) -> None:
    """A link to a disk that is not mounted is named as that."""
    WRONG[kind](tmp_path / "run")

    with pytest.raises(ConfigError, match="run is a symbolic link that leads nowhere"):
        claim_run_dir(tmp_path / "run")


def test_a_name_that_no_system_takes_is_told(tmp_path: Path) -> None:
    """Too long a name is a wrong setting, and no traceback."""
    with pytest.raises(ConfigError, match="cannot be used"):
        Run(tmp_path / ("x" * 300), total=1)


def test_what_may_not_be_read_is_told(run_dir: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal of another user is named, with what to look at."""
    run_dir.journal.touch()
    real = os.access
    forbid = {str(run_dir.journal)}
    monkeypatch.setattr(
        os, "access", lambda path, mode: str(path) not in forbid and real(path, mode)
    )

    with pytest.raises(ConfigError, match=r"journal\.jsonl cannot be read") as caught:
        claim_run_dir(run_dir.path)

    assert "ls -ld" in caught.value.fix


def test_a_read_only_file_system_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No permission helps there, so none is advised."""

    class ReadOnly:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "statvfs", lambda _: ReadOnly)

    with pytest.raises(ConfigError, match="read-only") as caught:
        claim_run_dir(tmp_path / "run")

    assert "chmod" not in caught.value.fix
