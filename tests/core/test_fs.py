"""The disk's hands: what each operation leaves behind on a real disk."""

import errno
import os
from pathlib import Path

import pytest

from evertrain.core.fs import LOCAL_FS, LocalFs, make_dir, symlink_atomic, write_atomic
from evertrain.testing import PowerDisk


def test_write_atomic_replaces_whole_and_leaves_nothing(tmp_path: Path) -> None:
    """The file ends with the new bytes, and no leftover stands beside it."""
    target = tmp_path / "index.json"
    target.write_bytes(b"old, and longer than the new one")

    write_atomic(target, b"new")

    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["index.json"]


def test_write_atomic_keeps_the_old_file_when_the_disk_is_full(tmp_path: Path) -> None:
    """A write that fails halfway never touches the old contents, and leaves nothing beside them."""

    class FullDisk(LocalFs):
        def sync_file(self, path: Path) -> None:
            raise OSError(errno.ENOSPC, "no space left on device", str(path))

    target = tmp_path / "index.json"
    target.write_bytes(b"old")

    with pytest.raises(OSError, match="no space"):
        write_atomic(target, b"new", fs=FullDisk())

    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["index.json"]


def test_write_takes_any_buffer_in_chunks(tmp_path: Path) -> None:
    """Chunks of every buffer type arrive in order, and are counted in bytes."""
    chunks = (b"ab", bytearray(b"cd"), memoryview(b"efgh").cast("H"), b"")

    total = LOCAL_FS.write(tmp_path / "part", chunks)

    assert total == 8
    assert (tmp_path / "part").read_bytes() == b"abcdefgh"


def test_append_creates_and_extends(tmp_path: Path) -> None:
    """Append makes the file at first, and only ever adds."""
    LOCAL_FS.append(tmp_path / "log", b"one")
    LOCAL_FS.append(tmp_path / "log", b"two")

    assert (tmp_path / "log").read_bytes() == b"onetwo"


@pytest.mark.parametrize("number", [errno.EPERM, errno.EXDEV, errno.EMLINK])
def test_link_copies_where_links_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A file system without hard links costs a copy, not the save."""

    def refuse(src: object, dst: object) -> None:
        raise OSError(number, "refused")

    (tmp_path / "a").write_bytes(b"weights")
    monkeypatch.setattr(os, "link", refuse)

    LOCAL_FS.link(tmp_path / "a", tmp_path / "b")

    assert (tmp_path / "b").read_bytes() == b"weights"


def test_link_shares_bytes_where_it_can(tmp_path: Path) -> None:
    """On an ordinary disk the second name costs nothing."""
    (tmp_path / "a").write_bytes(b"weights")

    LOCAL_FS.link(tmp_path / "a", tmp_path / "b")

    assert (tmp_path / "b").stat().st_nlink == 2


def test_link_does_not_hide_other_errors(tmp_path: Path) -> None:
    """A missing source is an error, not a reason to copy."""
    with pytest.raises(FileNotFoundError):
        LOCAL_FS.link(tmp_path / "missing", tmp_path / "b")


@pytest.mark.parametrize(("number", "is_fine"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_sync_dir_forgives_only_disks_that_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, *, is_fine: bool
) -> None:
    """A file system that cannot sync directories is accepted; a broken disk is not."""

    def refuse(handle: int) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(os, "fsync", refuse)

    if is_fine:
        LOCAL_FS.sync_dir(tmp_path)
    else:
        with pytest.raises(OSError, match="refused"):
            LOCAL_FS.sync_dir(tmp_path)


def test_symlink_atomic_moves_the_link(tmp_path: Path) -> None:
    """The link says the new target, also where one stood before, and nothing is left over."""
    symlink_atomic("000000001", tmp_path / "latest")
    symlink_atomic("000000002", tmp_path / "latest")

    assert (tmp_path / "latest").readlink() == Path("000000002")
    assert os.listdir(tmp_path) == ["latest"]


def test_rmtree_leaves_what_a_link_points_to(tmp_path: Path) -> None:
    """Removing a link to a directory, or nothing at all, removes no files."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("kept")

    LOCAL_FS.rmtree(tmp_path / "link")
    LOCAL_FS.rmtree(tmp_path / "missing")

    assert (tmp_path / "kept" / "file").exists()


def test_a_directory_is_made_with_every_name_above_it_durable(tmp_path: Path) -> None:
    """No world that a power cut may leave lacks one of the new parents."""
    root = tmp_path / "disk"
    root.mkdir()
    disk = PowerDisk(root)
    make_dir(root / "runs" / "july" / "one", fs=disk)

    for number, world in enumerate(disk.worlds()):
        after = tmp_path / f"after-{number}"
        disk.reboot(after, world)
        assert (after / "runs" / "july" / "one").is_dir()
