"""Every disk of ours passes the suite for a stranger's, and a broken one fails it by name."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from evertrain.core.fs import LOCAL_FS, Bytes, Fs, LocalFs
from evertrain.testing import CutFs, FsContract, PowerDisk


class TestLocalFs(FsContract):
    """The machine's own disk."""

    @pytest.fixture
    def fs(self) -> Fs:
        return LOCAL_FS


class TestPowerDisk(FsContract):
    """The disk that loses power, while it has some."""

    @pytest.fixture
    def fs(self, tmp_path: Path) -> Fs:
        return PowerDisk(tmp_path)


class TestCutFs(FsContract):
    """The disk on which a process dies, while it lives."""

    @pytest.fixture
    def fs(self) -> Fs:
        return CutFs()


class Forgets(LocalFs):
    """Truncates where it should append."""

    def append(self, path: Path, data: bytes) -> None:
        self.write(path, (data,))


class Miscounts(LocalFs):
    """Returns the number of chunks."""

    def write(self, path: Path, chunks: Iterable[Bytes]) -> int:
        chunks = list(chunks)
        super().write(path, chunks)
        return len(chunks)


class Overwrites(LocalFs):
    """Links over what is there."""

    def link(self, src: Path, dst: Path) -> bool:
        dst.unlink(missing_ok=True)
        return super().link(src, dst)


class Swallows(LocalFs):
    """Says that it synced what is not there."""

    def sync_file(self, path: Path) -> None:
        """Do nothing."""


class Makes(LocalFs):
    """Creates directories that nobody asked for."""

    def write(self, path: Path, chunks: Iterable[Bytes]) -> int:
        path.parent.mkdir(parents=True, exist_ok=True)
        return super().write(path, chunks)


@pytest.mark.parametrize(
    ("fs", "name"),
    [
        (Forgets(), "test_append_adds_and_creates"),
        (Miscounts(), "test_write_takes_any_buffers_and_counts_bytes"),
        (Overwrites(), "test_link_overwrites_nothing"),
    ],
)
def test_a_broken_disk_fails_the_test_of_its_fault(fs: Fs, name: str, tmp_path: Path) -> None:
    """Each way to be wrong fails the test that is named after it."""
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(FsContract(), name)(fs, tmp_path)


@pytest.mark.parametrize(
    ("fs", "act"),
    [
        (Swallows(), lambda fs, path: fs.sync_file(path)),
        (Makes(), lambda fs, path: fs.write(path, (b"x",))),
    ],
)
def test_a_disk_that_hides_errors_is_found(
    fs: Fs, act: Callable[[Fs, Path], object], tmp_path: Path
) -> None:
    """What was not done must not pass for done."""
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        FsContract().test_errors_are_the_systems(fs, tmp_path, act)
