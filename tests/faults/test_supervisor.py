"""A disk that refuses what the supervisor writes: the training runs all the same."""

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evertrain.cli.main import cli
from evertrain.core import proc
from evertrain.core.fs import LocalFs
from evertrain.testing import FaultyFs
from evertrain.testing.faults import ALL, ALLOCATING
from supervise.play import Stage

pytestmark = pytest.mark.slow

# What the shim, a process of its own, meets: a disk without a free byte.
FULL = """
import errno, os, sys
if "evertrain.supervise.shim" in sys.orig_argv:
    from evertrain.core.fs import LocalFs

    def refuse(self, path, *rest):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    LocalFs.write = LocalFs.append = LocalFs.mkdir = refuse
"""


# What it meets at the first attempt: a machine that has no room for another process.
CROWDED = """
import errno, os, sys
if "evertrain.supervise.shim" in sys.orig_argv:
    start = os.posix_spawnp

    def refuse_the_first(program, words, env, **more):
        if env["EVERTRAIN_ATTEMPT"] == "1":
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return start(program, words, env, **more)

    os.posix_spawnp = refuse_the_first
"""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A folder for scripts and runs."""
    found = Stage(tmp_path)
    yield found
    found.clear()


def everywhere(monkeypatch: pytest.MonkeyPatch, disk: FaultyFs) -> None:
    """Let whatever this process writes go to `disk`."""
    sound = type("Sound", (), {name: vars(LocalFs)[name] for name in ALL})()
    monkeypatch.setattr(disk, "_fs", sound)
    for name in ALL:
        monkeypatch.setattr(LocalFs, name, staticmethod(getattr(disk, name)))


def supervise(path: Path) -> int:
    """Supervise a command that fails twice; return the exit code."""
    args = ["run", "--run", str(path), "--max-crashes", "2", "--delay", "0"]
    found = CliRunner().invoke(cli, [*args, "--", "sh", "-c", "exit 3"])
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    if found.exit_code != 20:
        assert found.exit_code in {1, 78}
        assert found.stderr.startswith("evertrain: ")
        assert str(path.parent) in found.stderr
    return found.exit_code


@pytest.mark.parametrize(
    ("error", "is_sticky", "first"),
    [(errno.ENOSPC, True, 0), (errno.EIO, False, 1), (errno.EROFS, True, 2)],
    ids=["full", "broken", "read-only"],
)
def test_every_refused_operation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, first: int, *, is_sticky: bool
) -> None:
    """It says that it cannot begin, or supervises to the end; its notes never end it."""
    kinds = ALLOCATING if error == errno.ENOSPC else ALL
    disk = FaultyFs(error=error, is_sticky=is_sticky, kinds=kinds)
    everywhere(monkeypatch, disk)
    before = set(proc.descendants(os.getpid()))
    assert supervise(tmp_path / "count") == 20
    count = disk.operations

    codes = []
    for at in range(first, count, 4):
        disk.heal()
        disk.fail(after=at)
        codes.append(supervise(tmp_path / str(at)))
        disk.heal()
        assert supervise(tmp_path / str(at)) == 20
    assert set(proc.descendants(os.getpid())) <= before
    assert codes[-1] == 20
    assert codes == sorted(codes, key=lambda code: code == 20), "once it has begun, it goes on"


def test_a_machine_that_starts_nothing_for_a_moment(stage: Stage) -> None:
    """No room for a process behind a crash: that is tried again, and said what it was."""
    (stage.folder / "sitecustomize.py").write_text(CROWDED)
    stage.script("print('trained')")
    places = [str(stage.folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {"PYTHONPATH": os.pathsep.join(places)}
    play = stage.run("--delay", "0", "--", sys.executable, "train.py", env=env)

    assert play.end() == 0
    (crashed,) = play.events("crashed")
    assert crashed["summary"] == "it could not be started: Resource temporarily unavailable"
    assert "the limit of processes is reached" in crashed["advice"][0]
    assert "trained" in play.text


@pytest.mark.parametrize(("error", "code"), [(errno.ENOMEM, 0), (errno.ENOENT, 78)])
def test_a_shim_that_cannot_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, code: int
) -> None:
    """No memory for it, once; or an interpreter that is gone, which no restart brings back."""
    spawn, calls = proc.spawn, []

    def refuse_once(*args: Any, **more: Any) -> Any:
        calls.append(args)
        if len(calls) == 1:
            raise OSError(error, os.strerror(error))
        return spawn(*args, **more)

    monkeypatch.setattr(proc, "spawn", refuse_once)
    args = ["run", "--run", str(tmp_path / "run"), "--delay", "0", "--", "true"]
    assert CliRunner().invoke(cli, args).exit_code == code
    assert (len(calls) > 1) == (code == 0)


def test_a_shim_that_can_write_nothing(stage: Stage) -> None:
    """No log, no lease, no journal: the command still runs, is seen, and its end is known."""
    (stage.folder / "sitecustomize.py").write_text(FULL)
    stage.script("print('x' * 1000, flush=True)")
    places = [str(stage.folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {"PYTHONPATH": os.pathsep.join(places)}
    play = stage.run("--", sys.executable, "train.py", env=env)

    assert play.end() == 0
    assert "x" * 1000 in play.text
    assert "1,001 bytes of output did not reach the log" in play.text
    assert [row["event"] for row in play.events("launched", "ended", "finished")] == [
        "ended",
        "finished",
    ]
