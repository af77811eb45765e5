"""`evertrain.supervise.screen`: a terminal that may block."""

import os
import pty
from collections.abc import Iterator

import pytest

from evertrain.supervise.screen import Screen


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The two ends of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def test_what_is_said_arrives(pipe: tuple[int, int]) -> None:
    """In order, without colors on what is no terminal."""
    screen = Screen(pipe[1])
    screen.say("hello", "red")
    screen.write(b"bytes\n")
    assert screen.flush()
    assert os.read(pipe[0], 100) == b"hello\nbytes\n"
    assert not screen.is_terminal


def test_a_full_pipe_never_blocks_and_the_gap_is_named(pipe: tuple[int, int]) -> None:
    """What does not fit is dropped, counted, and admitted once the reader is back."""
    screen = Screen(pipe[1], limit_bytes=100_000)
    for _ in range(40):
        screen.write(b"x" * 10_000)
    assert not screen.flush(patience_s=0.05)
    dropped_bytes = screen.dropped_bytes
    assert dropped_bytes >= 400_000 - 100_000 - 65_536
    seen = b""
    while len(seen) < 400_000 - dropped_bytes:
        seen += os.read(pipe[0], 65_536)
    assert screen.flush()
    screen.say("back again")
    assert screen.flush()
    rest = os.read(pipe[0], 1000)
    assert f"[evertrain: {dropped_bytes:,} bytes not shown; see the log]".encode() in rest
    assert rest.endswith(b"back again\n")


def test_a_closed_pipe_is_forgotten(pipe: tuple[int, int]) -> None:
    """Once nobody reads, writing costs nothing and fails never."""
    screen = Screen(pipe[1])
    os.close(pipe[0])
    screen.say("into the void")
    assert screen.flush()
    screen.say("again")
    assert screen.flush()


def test_a_non_blocking_terminal_is_waited_for(pipe: tuple[int, int]) -> None:
    """Somebody set O_NONBLOCK on the shared descriptor: nothing is lost."""
    os.set_blocking(pipe[1], False)
    screen = Screen(pipe[1])
    screen.write(b"y" * 200_000)
    seen = b""
    while len(seen) < 200_000:
        seen += os.read(pipe[0], 65_536)
    assert screen.flush()


@pytest.mark.parametrize(
    ("environ", "has_color"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colors_are_for_terminals_that_want_them(
    environ: dict[str, str], *, has_color: bool
) -> None:
    """NO_COLOR (if not empty) and TERM=dumb turn them off."""
    mine, theirs = pty.openpty()
    screen = Screen(theirs, environ=environ)
    assert screen.is_terminal
    assert (screen.paint("x", "red") == "\x1b[31mx\x1b[0m") is has_color
    assert screen.size() == (24, 80)
    os.close(mine)
    os.close(theirs)
