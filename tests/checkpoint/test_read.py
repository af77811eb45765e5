"""Reading stops at the first byte that the disk does not give."""

import errno
import io
from pathlib import Path

import pytest

from evertrain.checkpoint import Store
from evertrain.checkpoint.check import fill
from evertrain.checkpoint.directory import opened
from evertrain.core.errors import CorruptError

HERE = Path("part")


class BadSector(io.RawIOBase):
    """A file that the medium refuses to read."""

    def __init__(self, number: int) -> None:
        """Fail with this errno."""
        self.number = number

    def readinto(self, _: object) -> int:
        """Fail."""
        raise OSError(self.number, "no")


def test_bad_sector_is_damage() -> None:
    """A sector that cannot be read condemns the checkpoint; other errors pass through."""
    with pytest.raises(CorruptError, match="the disk cannot read it"):
        fill(BadSector(errno.EIO), memoryview(bytearray(4)), HERE)
    with pytest.raises(OSError, match="no"):
        fill(BadSector(errno.ENOMEM), memoryview(bytearray(4)), HERE)


def test_short_file() -> None:
    """A file that shrinks while it is read is damaged."""
    with pytest.raises(CorruptError, match="ends after 2 of 4 bytes"):
        fill(io.BytesIO(b"12"), memoryview(bytearray(4)), HERE)


def test_open_directory_survives_a_rename(tmp_path: Path) -> None:
    """Files are opened relative to the directory: a rename meanwhile does not matter."""
    Store(tmp_path).save(1, {"a": 1})
    with opened(tmp_path / "000000001") as directory:
        (tmp_path / "000000001").rename(tmp_path / "elsewhere")
        with directory.file("manifest.json") as (file, size_bytes):
            assert len(file.read()) == size_bytes
        with pytest.raises(FileNotFoundError), directory.file("gone"):
            pass
