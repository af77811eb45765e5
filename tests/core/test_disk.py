"""How much room a disk has, as its file system says it."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from evertrain.core.disk import Room, human_room, room_at


def say(monkeypatch: pytest.MonkeyPatch, **fields: int) -> None:
    """Let the system describe the disk."""
    known = {"f_frsize": 4096, "f_blocks": 100, "f_bfree": 30, "f_bavail": 20}
    known |= {"f_files": 50, "f_favail": 7} | fields
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(**known))


def test_what_is_reserved_for_root_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """What any user may fill, what root may, and all of it."""
    say(monkeypatch)

    assert room_at(Path("x")) == Room(20 * 4096, 30 * 4096, 100 * 4096, 7)


def test_files_that_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Btrfs says that it has no inodes at all: it makes them as they are needed."""
    say(monkeypatch, f_files=0, f_favail=0)
    room = room_at(Path("x"))

    assert room is not None
    assert room.free_files is None


def test_a_disk_of_no_size_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tmpfs without a limit is not full."""
    say(monkeypatch, f_blocks=0, f_bfree=0, f_bavail=0)

    assert room_at(Path("x")) is None


def test_what_is_not_there_yet(tmp_path: Path) -> None:
    """The directory of the checkpoints comes with the first of them."""
    here, there = room_at(tmp_path), room_at(tmp_path / "run" / "checkpoints")

    assert here is not None
    assert there is not None
    assert here.total_bytes == there.total_bytes > 0


def test_a_system_that_refuses_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not knowing is no error."""

    def refuse(_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "statvfs", refuse)

    assert room_at(Path("/")) is None


def test_room_in_words() -> None:
    """Names are told of where they run out, and not where there are millions."""
    assert human_room(Room(1_200_000_000, 0, 0, 5_000_000)) == "1.2 GB"
    assert human_room(Room(1_200_000_000, 0, 0, None)) == "1.2 GB"
    assert human_room(Room(1_200_000_000, 0, 0, 3)) == "1.2 GB in 3 files"
