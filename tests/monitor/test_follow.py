"""The last lines of a log, and its pieces."""

import gzip
from pathlib import Path

import pytest

from evertrain.monitor.follow import Follower, backward, gap, last_lines
from evertrain.monitor.logs import (
    Piece,
    closed_path,
    end_of,
    list_pieces,
    next_attempt,
    read_piece,
)


def _log(logs: Path) -> Path:
    return logs / "attempt-0001.log"


@pytest.mark.parametrize("count", [0, 1, 3, 500, 20_000])
def test_the_end_of_a_huge_log(tmp_path: Path, count: int) -> None:
    """However many lines are asked for, they are the last ones."""
    _log(tmp_path).write_bytes(b"".join(b"line number %d\n" % n for n in range(10_000)))

    found = last_lines(backward(list_pieces(tmp_path)), count)

    kept = min(count, 10_000)
    assert found == [b"line number %d" % n for n in range(10_000 - kept, 10_000)]


def test_an_empty_log(tmp_path: Path) -> None:
    """It has no lines."""
    _log(tmp_path).write_bytes(b"")

    assert last_lines(backward(list_pieces(tmp_path)), 5) == []


def test_what_lies_there_is_told_apart(tmp_path: Path) -> None:
    """Pieces in their order; a double once; names that are none not at all."""
    for name in (
        "attempt-0002.log",
        "attempt-0001.log",
        "attempt-0001.log.0010.gz",
        "attempt-0001.log.0002",
        "attempt-0001.log.0002.zst",
        "attempt-0001.log.0001.gz.tmp",
        ".attempt-0001.log.0003.gz.tmp-77",
        "attempt-1.log",
        "notes",
    ):
        (tmp_path / name).write_bytes(b"x")

    assert [each.path.name for each in list_pieces(tmp_path)] == [
        "attempt-0001.log.0002",
        "attempt-0001.log.0010.gz",
        "attempt-0001.log",
        "attempt-0002.log",
    ]
    assert (next_attempt(tmp_path, 1), next_attempt(tmp_path, 2)) == (2, None)


def test_the_end_reaches_over_a_cut(tmp_path: Path) -> None:
    """A traceback that a cut went through is whole; packed pieces are left alone."""
    (tmp_path / "attempt-0001.log.0001.gz").write_bytes(gzip.compress(b"packed\n"))
    (tmp_path / "attempt-0001.log.0002").write_bytes(b"Traceback\n  one\n")
    _log(tmp_path).write_bytes(b"  two\nError\n")

    assert end_of(_log(tmp_path), 1000) == b"Traceback\n  one\n  two\nError\n"
    assert end_of(_log(tmp_path), 14) == b"e\n  two\nError\n"
    assert end_of(tmp_path / "attempt-0009.log", 14) == b""


def test_a_damaged_piece_ends_early(tmp_path: Path) -> None:
    """What can be read of it is; nothing else breaks."""
    whole = gzip.compress(b"".join(b"line %d\n" % n for n in range(5000)))
    (tmp_path / "attempt-0001.log.0001.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "attempt-0001.log.0002.gz").write_bytes(b"no gzip at all")
    _log(tmp_path).write_bytes(b"end\n")

    first, second, _ = list_pieces(tmp_path)

    assert len(b"".join(read_piece(first))) < 5000 * 10
    assert b"".join(read_piece(second)) == b""
    assert last_lines(backward(list_pieces(tmp_path)), 1) == [b"end"]


def test_what_is_written_just_before_a_cut_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a look at the end of a piece and a look for the next one, both may happen."""
    last = _log(tmp_path)
    last.write_bytes(b"one\n")
    follower = Follower(tmp_path, 1, last)
    assert follower.tail(9) == [b"one"]
    look, is_cut = follower._closed, False

    def cut_before(after: int = 0) -> list[Piece]:
        nonlocal is_cut
        if not is_cut:
            is_cut = True
            with last.open("ab") as file:
                file.write(b"two\n")
            last.rename(closed_path(last, 1))
            last.write_bytes(b"three\n")
        return look(after)

    monkeypatch.setattr(follower, "_closed", cut_before)
    assert [follower.read() for _ in range(3)] == [b"two\n", b"three\n", b""]
    follower.close()


def test_gaps_are_said() -> None:
    """One piece, several, or none."""
    assert gap(3, 4) == b""
    assert b"piece 4 of" in gap(3, 5)
    assert b"piece 1 to 4 of" in gap(0, 5)
