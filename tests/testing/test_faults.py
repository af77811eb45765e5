"""The disk that refuses does so when it is told to, and not otherwise."""

import errno
from pathlib import Path

import pytest

from evertrain.core.fs import write_atomic
from evertrain.testing import FaultyFs
from evertrain.testing.faults import ALLOCATING


def test_refuses_one(tmp_path: Path) -> None:
    """The operation of that number fails with that error and its path; the next one works."""
    disk = FaultyFs(fail_at=1, error=errno.EIO)
    disk.append(tmp_path / "log", b"one")
    with pytest.raises(OSError, match="log") as caught:
        disk.append(tmp_path / "log", b"two")
    disk.append(tmp_path / "log", b"three")

    assert caught.value.errno == errno.EIO
    assert (tmp_path / "log").read_bytes() == b"onethree"
    assert (disk.operations, disk.refused) == (3, ["append log"])


def test_stays_broken_until_it_is_healed(tmp_path: Path) -> None:
    """Everything from there on fails; `fail` breaks it again."""
    disk = FaultyFs(fail_at=0, error=errno.EROFS, is_sticky=True)
    for _ in range(3):
        with pytest.raises(OSError, match="Read-only"):
            disk.mkdir(tmp_path / "new")
    disk.heal()
    disk.mkdir(tmp_path / "new")
    disk.fail(after=1)
    disk.chmod(tmp_path / "new", 0o700)
    with pytest.raises(OSError, match="Read-only"):
        disk.chmod(tmp_path / "new", 0o755)


def test_a_full_disk_still_deletes(tmp_path: Path) -> None:
    """Kinds that do not count always work, and are not counted."""
    disk = FaultyFs(fail_at=0, error=errno.ENOSPC, is_sticky=True, kinds=ALLOCATING)
    (tmp_path / "file").touch()
    disk.unlink(tmp_path / "file")
    disk.rmtree(tmp_path)
    with pytest.raises(OSError, match="No space"):
        write_atomic(tmp_path / "index", b"x", fs=disk)

    assert not tmp_path.exists()
    assert disk.operations == 1


def test_gets_halfway_once(tmp_path: Path) -> None:
    """A short write leaves half of the bytes; what comes after leaves none."""
    disk = FaultyFs(fail_at=0, error=errno.ENOSPC, is_sticky=True, is_short=True)
    for name in ("first", "second"):
        with pytest.raises(OSError, match=name):
            disk.write(tmp_path / name, (b"abcd", b"efgh"))

    assert (tmp_path / "first").read_bytes() == b"abcd"
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize("kind", ["append", "rmtree"])
def test_halfway_in_a_file_and_in_a_directory(tmp_path: Path, kind: str) -> None:
    """An append leaves half of its bytes, a deletion half of the files."""
    disk = FaultyFs(fail_at=0, error=errno.EIO, is_short=True)
    if kind == "append":
        with pytest.raises(OSError, match="log"):
            disk.append(tmp_path / "log", b"abcd")
        assert (tmp_path / "log").read_bytes() == b"ab"
        return
    for name in "abcd":
        (tmp_path / name).touch()
    with pytest.raises(OSError, match="Input/output"):
        disk.rmtree(tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["c", "d"]


def test_every_operation_passes_through(tmp_path: Path) -> None:
    """A disk that refuses nothing does what it is told."""
    disk = FaultyFs(error=errno.EIO)
    disk.mkdir(tmp_path / "d")
    assert disk.write(tmp_path / "d" / "a", (b"12",)) == 2
    disk.append(tmp_path / "d" / "a", b"3")
    disk.chmod(tmp_path / "d" / "a", 0o600)
    assert disk.link(tmp_path / "d" / "a", tmp_path / "d" / "b")
    disk.symlink("b", tmp_path / "d" / "c")
    disk.replace(tmp_path / "d" / "a", tmp_path / "d" / "e")
    disk.sync_file(tmp_path / "d" / "e")
    disk.sync_dir(tmp_path / "d")
    disk.unlink(tmp_path / "d" / "e")

    assert (tmp_path / "d" / "c").read_bytes() == b"123"
    assert sorted(each.name for each in (tmp_path / "d").iterdir()) == ["b", "c"]
    disk.rmtree(tmp_path / "d")
    assert not (tmp_path / "d").exists()
    assert (disk.operations, disk.refused) == (11, [])
