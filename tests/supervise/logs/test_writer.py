"""`evertrain.supervise.logs.writer`: cutting without losing, and drawings in time."""

from pathlib import Path

import pytest

from evertrain.core.fs import LocalFs
from evertrain.monitor.logs import list_pieces, read_piece
from evertrain.supervise.logs.writer import STATE_EVERY_S, LogWriter
from evertrain.testing.clock import FakeClock


class Disk(LocalFs):
    """A disk that refuses what it is told to."""

    def __init__(self) -> None:
        """Refuse nothing."""
        self.refused: set[str] = set()

    def append(self, path: Path, data: bytes) -> None:
        """See `Fs.append`."""
        if "append" in self.refused:
            raise OSError(28, "No space left on device")
        super().append(path, data)

    def replace(self, src: Path, dst: Path) -> None:
        """See `Fs.replace`."""
        if "replace" in self.refused:
            raise OSError(13, "Permission denied")
        super().replace(src, dst)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return the path of a log."""
    return tmp_path / "attempt-0001.log"


def whole(log: Path) -> bytes:
    """Return all that the pieces hold, one after the other."""
    return b"".join(b"".join(read_piece(each)) for each in list_pieces(log.parent))


def test_a_training_that_says_nothing_has_a_log(log: Path) -> None:
    """It is empty, and there from the start."""
    LogWriter(log).close()
    assert log.read_bytes() == b""


def test_a_log_is_cut_between_lines(log: Path) -> None:
    """Each piece begins with a line, and together they are what was written."""
    ended: list[int] = []
    writer = LogWriter(log, piece_bytes=1000, piece_ended=lambda: ended.append(1))
    data = b"".join(b"line number %d\n" % n for n in range(1000))
    for start in range(0, len(data), 64):
        writer.write(data[start : start + 64])
    writer.close()

    pieces = list_pieces(log.parent)
    assert whole(log) == data
    assert len(pieces) > 10
    assert len(ended) == len(pieces)
    assert all(each.path.read_bytes().startswith(b"line number ") for each in pieces)
    assert max(each.size_bytes for each in pieces) < 1100


def test_a_line_that_never_ends_is_cut_all_the_same(log: Path) -> None:
    """At twice the size, in the middle."""
    writer = LogWriter(log, piece_bytes=1000)
    for _ in range(100):
        writer.write(b"\xe2\x82" + b"x" * 98)
    assert whole(log) == (b"\xe2\x82" + b"x" * 98) * 100
    assert max(each.size_bytes for each in list_pieces(log.parent)) == 2000


def test_the_last_piece_is_there_right_behind_a_cut(log: Path) -> None:
    """`tail -F` follows the name: it must lead somewhere."""
    LogWriter(log, piece_bytes=10).write(b"0123456789\n")
    assert log.read_bytes() == b""
    assert (log.parent / "attempt-0001.log.0001").read_bytes() == b"0123456789\n"


def test_a_disk_that_is_full_loses_and_counts(log: Path) -> None:
    """Nothing is raised; what comes later is written again."""
    disk = Disk()
    writer = LogWriter(log, fs=disk)
    disk.refused = {"append"}
    writer.write(b"lost\n")
    disk.refused = set()
    writer.write(b"kept\n")
    assert (writer.lost_bytes, log.read_bytes()) == (5, b"kept\n")


def test_a_cut_that_is_refused_loses_nothing(log: Path) -> None:
    """The piece grows on, and is cut when that works again."""
    disk = Disk()
    disk.refused = {"replace"}
    writer = LogWriter(log, piece_bytes=100, fs=disk)
    for number in range(100):
        writer.write(b"%08d\n" % number)
    assert len(list_pieces(log.parent)) == 1
    disk.refused = set()
    for number in range(100, 150):
        writer.write(b"%08d\n" % number)
    assert len(list_pieces(log.parent)) > 1
    assert whole(log) == b"".join(b"%08d\n" % number for number in range(150))
    assert writer.lost_bytes == 0


def test_a_bar_is_written_down_now_and_then(log: Path) -> None:
    """Every 10 s while it draws, also when it has just stopped drawing; text at once."""
    clock = FakeClock()
    writer = LogWriter(log, clock=clock)
    assert writer.wait_s() is None
    writer.write(b"begin\n\r 1%")
    assert writer.wait_s() == STATE_EVERY_S
    for number in range(2, 9):
        clock.advance(1)
        writer.write(b"\r %d%%" % number)
    assert log.read_bytes() == b"begin\n"
    assert writer.wait_s() == pytest.approx(3.0)
    clock.advance(3)
    writer.tick()
    assert log.read_bytes() == b"begin\n 8%"
    assert writer.wait_s() is None
    writer.write(b"\r 9%")
    clock.advance(STATE_EVERY_S)
    writer.write(b"\r10%")
    assert log.read_bytes() == b"begin\n 8%\r10%"
    writer.write(b"\r11%")
    writer.close()
    assert log.read_bytes() == b"begin\n 8%\r10%\r11%"


def test_a_finished_line_needs_no_waiting(log: Path) -> None:
    """The end of the bar's line is the end of its drawing."""
    writer = LogWriter(log, clock=FakeClock())
    writer.write(b"\r 50%\r100%\n")
    assert log.read_bytes() == b"100%\n"
    assert writer.wait_s() is None
