"""Reading waits for nobody: what is no file is told, whoever stands at its other end."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from evertrain.core import lock
from evertrain.core.fs import LOCAL_FS
from evertrain.core.heartbeat import Heart
from evertrain.core.journal import append_lines
from evertrain.core.regular import open_regular, read_regular


def _bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


KINDS: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a socket": _bind,
    "a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_named_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A FIFO without a writer, a socket, a device that never ends."""
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    KINDS[kind](Path("odd"))

    with pytest.raises(OSError, match=kind) as caught:
        read_regular(Path("odd"), 10)

    assert (caught.value.errno, caught.value.filename) == (errno.ENXIO, "odd")


def test_a_directory_is_told_as_the_system_tells_it(tmp_path: Path) -> None:
    """Callers know that error."""
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path, 10)


def test_files_are_read_and_links_to_them_followed(tmp_path: Path) -> None:
    """What is there comes back whole."""
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")

    assert read_regular(tmp_path / "link", 3) == b"abc"
    with open_regular(tmp_path / "file") as file:
        assert (file.seek(1), file.read()) == (1, b"bc")


def test_what_is_too_large_is_not_read(tmp_path: Path) -> None:
    """A sparse file of a tebibyte costs its reader nothing."""
    with (tmp_path / "file").open("wb") as file:
        file.truncate(1 << 40)

    with pytest.raises(OSError, match="1099511627776 bytes, at most 99") as caught:
        read_regular(tmp_path / "file", 99)

    assert caught.value.errno == errno.EFBIG


WRITERS: dict[str, Callable[[Path], object]] = {
    "append": lambda path: LOCAL_FS.append(path, b"x"),
    "write": lambda path: LOCAL_FS.write(path, [b"x"]),
    "journal": lambda path: append_lines(path, [{"a": 1}], sync=False),
    "heart": lambda path: Heart(path, 1),
    "lease": lock.take,
    "guard": lambda path: lock.take(path.with_name("odd.lock")),
}


@pytest.mark.parametrize("kind", ["there", "nowhere"])
@pytest.mark.parametrize("act", WRITERS.values(), ids=WRITERS)
def test_nothing_is_written_through_a_link(
    tmp_path: Path, act: Callable[[Path], object], kind: str
) -> None:
    """A link in place of a file of a run does not lead what is written out of it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "there").write_text("mine")
    (tmp_path / "odd").symlink_to(outside / kind)
    (tmp_path / ".odd.lock.guard").symlink_to(outside / kind)

    with pytest.raises(OSError):
        act(tmp_path / "odd")

    assert [(each.name, each.read_text()) for each in outside.iterdir()] == [("there", "mine")]


@pytest.mark.parametrize("act", [*list(WRITERS.values())[:4], LOCAL_FS.sync_file])
def test_nothing_is_written_into_a_fifo(tmp_path: Path, act: Callable[[Path], object]) -> None:
    """A writer is refused at once, too, instead of waiting for a reader."""
    os.mkfifo(tmp_path / "odd")

    with pytest.raises(OSError):
        act(tmp_path / "odd")
