"""A disk that refuses from the first second: one clean error, and a start once it does not."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evertrain import Run
from evertrain.cli.main import cli
from evertrain.core.errors import ConfigError, EvertrainError, SaveError
from evertrain.core.fs import Bytes, LocalFs
from evertrain.core.journal import Journal
from evertrain.run import opening
from evertrain.testing import FakeClock
from support import walk


class Refusing(LocalFs):
    """A disk that refuses one operation, and all after it: the `at`-th, from 0."""

    def __init__(self, at: int, number: int) -> None:
        self.left, self.number = at, number

    def _allow(self, path: Path) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(self.number, os.strerror(self.number), str(path))

    def mkdir(self, path: Path) -> None:
        self._allow(path)
        super().mkdir(path)

    def write(self, path: Path, chunks: Iterable[Bytes]) -> int:
        path.touch()  # a full disk often has room for a name
        self._allow(path)
        return super().write(path, chunks)

    def append(self, path: Path, data: bytes) -> None:
        if data:
            super().append(path, data[: len(data) // 2] if self.left == 0 else b"")
        self._allow(path)
        super().append(path, data)

    def sync_file(self, path: Path) -> None:
        self._allow(path)
        super().sync_file(path)

    def sync_dir(self, path: Path) -> None:
        self._allow(path)
        super().sync_dir(path)

    def replace(self, src: Path, dst: Path) -> None:
        self._allow(dst)
        super().replace(src, dst)


def begin(path: Path, fs: LocalFs) -> opening.Opened:
    """Take the run at `path`."""
    plea = opening.Plea(path=path, unit="step", seed=0, total=1, config={}, recipe=None)
    return opening.begin(plea, {}, fs=fs, clock=FakeClock())


@pytest.mark.parametrize(("number", "kind"), [("ENOSPC", SaveError), ("EROFS", ConfigError)])
def test_a_start_that_is_refused_does_not_hinder_the_next(
    tmp_path: Path, number: str, kind: type[EvertrainError]
) -> None:
    """Whichever operation is the first that does not fit, this very process may try again."""
    patient = Refusing(1000, 0)
    begin(tmp_path / "whole", patient).lease.forget()

    for at in range(1000 - patient.left):
        path = tmp_path / str(at)
        with pytest.raises(EvertrainError, match=str(tmp_path)) as caught:
            begin(path, Refusing(at, getattr(errno, number)))

        begin(path, LocalFs()).lease.release()
        assert type(caught.value) is kind
        assert Journal(path / "journal.jsonl").last("attempt_started") is not None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 256 KiB that is full."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting needs root")
    try:
        with pytest.raises(OSError, match="No space"):
            (disk / "fill").write_bytes(bytes(2**19))
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def start_run(path: Path) -> None:
    """Start as a program does."""
    Run(path, total=1).close()


def start_supervisor(path: Path) -> None:
    """Start as a person does."""
    result = CliRunner().invoke(cli, ["run", "--run", str(path), "--", "true"])
    assert result.exit_code in {1, 78}, result.output
    assert "evertrain: " in result.stderr
    kind = SaveError if result.exit_code == 1 else ConfigError
    raise kind(result.stderr, "", "")


@pytest.mark.slow
@pytest.mark.parametrize("start", [start_run, start_supervisor])
def test_a_full_disk_is_told_and_a_start_with_room_works(
    small_disk: Path, start: Callable[[Path], Any]
) -> None:
    """The error names what did not fit; with room, the same directory trains."""
    for _ in range(2):
        with pytest.raises(SaveError, match=rf"{small_disk}/run.* cannot be written: No space"):
            start(small_disk / "run")
    (small_disk / "fill").unlink()

    with Run(small_disk / "run", total=2) as run:
        assert walk(run) == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("start", [start_run, start_supervisor])
def test_a_read_only_disk_is_told_and_untouched(
    small_disk: Path, start: Callable[[Path], Any]
) -> None:
    """Nothing is started where nothing can be saved."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    with pytest.raises(ConfigError, match="read-only"):
        start(small_disk / "run")

    assert os.listdir(small_disk) == ["fill"]
