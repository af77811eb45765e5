"""Reading waits for nobody: what is no file is told, whoever stands at its other end."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

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
        read_regular(Path("odd"))

    assert (caught.value.errno, caught.value.filename) == (errno.ENXIO, "odd")


def test_a_directory_is_told_as_the_system_tells_it(tmp_path: Path) -> None:
    """Callers know that error."""
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)


def test_files_are_read_and_links_to_them_followed(tmp_path: Path) -> None:
    """What is there comes back whole."""
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")

    assert read_regular(tmp_path / "link") == b"abc"
    with open_regular(tmp_path / "file") as file:
        assert (file.seek(1), file.read()) == (1, b"bc")


@pytest.mark.parametrize(
    "act",
    [
        lambda path: LOCAL_FS.append(path, b"x"),
        lambda path: LOCAL_FS.write(path, [b"x"]),
        LOCAL_FS.sync_file,
        lambda path: append_lines(path, [{"a": 1}], sync=False),
        lambda path: Heart(path, 1),
    ],
    ids=["append", "write", "sync", "journal", "heart"],
)
def test_nothing_is_written_into_a_fifo(tmp_path: Path, act: Callable[[Path], object]) -> None:
    """A writer is refused at once, too, instead of waiting for a reader."""
    os.mkfifo(tmp_path / "odd")

    with pytest.raises(OSError):
        act(tmp_path / "odd")
