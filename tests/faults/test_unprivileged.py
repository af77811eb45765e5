"""A run that belongs to somebody else: refused by name, or read, and never harmed.

`make test-user` runs all tests as an unprivileged user; here root only makes the files.
"""

import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evertrain import Run, every, keep_all
from evertrain.cli.main import cli
from evertrain.core import lock
from evertrain.core.errors import ConfigError, EvertrainError, LockedError
from evertrain.core.proc import Proc, start_time
from runs import tree_of

NOBODY = 65534
_DONE, _FAILED = 0, 1

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of somebody else"),
]


def as_nobody(act: Callable[[], None]) -> None:
    """Call `act` in a child without privileges, and fail with it."""
    hear, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = _FAILED
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            act()
            code = _DONE
        except BaseException:
            os.write(told, traceback.format_exc().encode()[-60_000:])
        finally:
            os._exit(code)
    os.close(told)
    said = b"".join(iter(lambda: os.read(hear, 65_536), b""))
    os.close(hear)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == _DONE, said.decode()


@pytest.fixture
def run_path() -> Iterator[Path]:
    """A run of root with three checkpoints, in a place that anybody can reach."""
    place = Path(tempfile.mkdtemp(prefix="evertrain-test-"))
    place.chmod(0o755)
    with Run(place / "run", total=9, save=every(steps=1), keep=keep_all()) as run:
        for step in run:
            if step == 3:
                run.finish()
    yield place / "run"
    shutil.rmtree(place)


def give(path: Path) -> None:
    """Let nobody own everything at and below `path`."""
    for each in (path, *path.rglob("*")):
        os.chown(each, NOBODY, NOBODY, follow_symlinks=False)


def refusal(path: Path, **options: Any) -> EvertrainError:
    """Return what a training there is told."""
    with pytest.raises(EvertrainError) as caught:
        Run(path, total=9, **options)
    return caught.value


def test_a_run_of_another_user_is_refused_untouched(run_path: Path) -> None:
    """It may be read and not written: the error names it."""
    before = tree_of(run_path)

    def act() -> None:
        error = refusal(run_path)
        assert isinstance(error, ConfigError), error
        assert str(run_path) in str(error)
        assert "cannot be written" in str(error), error

    as_nobody(act)
    assert tree_of(run_path) == before


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("checkpoints/000000003", 0o700),
        ("checkpoints/000000003/manifest.json", 0o400),
        ("checkpoints/000000003/run.rng.safetensors", 0o400),
    ],
)
def test_a_checkpoint_that_may_not_be_read_is_no_damage(
    run_path: Path, name: str, mode: int
) -> None:
    """It is named; it is not set aside, and nothing older is taken in its place."""
    give(run_path)
    path = run_path / name
    if not path.exists():
        path = next((run_path / "checkpoints/000000003").glob("*.safetensors"))
    path.chmod(mode)
    os.chown(path, 0, 0)

    def act() -> None:
        for resume in ("auto", "latest", 3):
            error = refusal(run_path, resume=resume)
            assert isinstance(error, ConfigError), error
            assert str(path) in str(error)
            assert "ermission denied" in str(error)
        assert not (run_path / "checkpoints" / "quarantine").exists()
        run = Run(run_path, total=9, resume=2)
        assert run.step == 2
        run.close()

    as_nobody(act)
    assert path.exists()


@pytest.mark.parametrize("name", ["lock", "journal.jsonl", "run.json", "checkpoints"])
def test_one_file_of_somebody_else_is_named(run_path: Path, name: str) -> None:
    """What root has left behind after `sudo` once keeps a run from starting, and is told."""
    give(run_path)
    os.chown(run_path / name, 0, 0)
    (run_path / name).chmod(0o700 if name == "checkpoints" else 0o600)

    def act() -> None:
        error = refusal(run_path)
        assert isinstance(error, ConfigError), error
        assert str(run_path / name) in str(error)

    as_nobody(act)
    (run_path / name).chmod(0o755)
    os.chown(run_path / name, NOBODY, NOBODY)
    as_nobody(lambda: Run(run_path, total=9).close())


def test_a_live_owner_of_somebody_else_is_respected(run_path: Path) -> None:
    """Its pid is named; it cannot be killed, and that is told as well."""
    give(run_path)
    owner = Run(run_path, total=9)
    give(run_path)
    me = Proc(os.getpid(), start_time(os.getpid()) or 0)

    def act() -> None:
        error = refusal(run_path)
        assert isinstance(error, LockedError), error
        assert f"pid {me.pid}" in str(error)
        with pytest.raises(EvertrainError, match=f"pid {me.pid}"):
            lock.take(run_path / "lock", take_over=True)

    as_nobody(act)
    assert me.is_alive
    owner._lease.check()
    owner.close()


def test_reading_commands_read_what_anybody_may(run_path: Path) -> None:
    """`ls`, `show`, `status`, `verify` of a run that belongs to another user."""
    before = tree_of(run_path)

    def act() -> None:
        for words in (["ls"], ["show"], ["status"], ["verify"], ["ls", "--detailed"]):
            result = CliRunner().invoke(cli, [*words, str(run_path)])
            assert result.exit_code == 0, result.output

    as_nobody(act)
    assert tree_of(run_path) == before


@pytest.mark.parametrize(
    "words", [["stop"], ["pin", "3"], ["prune", "--keep-last", "1"], ["rm", "--yes"], ["save"]]
)
def test_commands_that_change_it_are_refused(run_path: Path, words: list[str]) -> None:
    """Each ends with an error that names the run, and leaves it as it was."""
    owner = Run(run_path, total=9)
    before = tree_of(run_path)
    name, *more = words
    target = f"{run_path}@2" if name == "rm" else str(run_path)

    def act() -> None:
        result = CliRunner().invoke(cli, [name, target, *more])
        assert result.exit_code not in {0, None}, result.output
        assert not isinstance(result.exception, OSError), result.exception
        said = f"{result.output} {result.exception}"
        assert str(run_path) in said, said

    as_nobody(act)
    after = tree_of(run_path)
    assert {name: each[3] for name, each in after.items() if "heartbeat" not in name} == {
        name: each[3] for name, each in before.items() if "heartbeat" not in name
    }
    owner.close()
