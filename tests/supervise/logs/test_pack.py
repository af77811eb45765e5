"""`evertrain.supervise.logs.pack`, `.budget`: packing and dropping, killed at any operation."""

import gzip
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evertrain.core import zstd
from evertrain.core.fs import Bytes, LocalFs
from evertrain.monitor.logs import Piece, list_pieces, read_piece
from evertrain.supervise.logs.budget import BLOCK_BYTES, superfluous
from evertrain.supervise.logs.pack import Packer
from evertrain.supervise.logs.writer import LogWriter
from evertrain.testing import CutFs, PowerCut


def put(logs: Path, *pieces: str) -> None:
    """Write pieces, given as "attempt/number" or "attempt/last", each with its own contents."""
    for each in pieces:
        attempt, _, number = each.partition("/")
        name = f"attempt-{int(attempt):04d}.log"
        name += "" if number == "last" else f".{int(number):04d}"
        (logs / name).write_bytes(each.encode() * 600)


def contents(logs: Path) -> dict[str, bytes]:
    """Return what is in each piece, by its name without the packing."""
    return {
        each.path.name.removesuffix(each.packed): b"".join(read_piece(each))
        for each in list_pieces(logs)
    }


def packed(logs: Path) -> list[str]:
    """Return the names of the packed pieces."""
    return [each.path.name for each in list_pieces(logs) if each.packed]


@pytest.mark.parametrize("has_zstd", [True, False])
def test_old_pieces_are_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_zstd: bool
) -> None:
    """All but the newest closed one of the live attempt, with what is at hand; none changes."""
    if has_zstd:
        pytest.importorskip("zstandard")
    else:
        monkeypatch.setattr("evertrain.supervise.logs.pack.compressor", lambda _: None)
    put(tmp_path, "1/1", "1/2", "1/last", "2/1", "2/2", "2/3", "2/last")
    before = contents(tmp_path)
    Packer(tmp_path, 2).work()

    suffix = ".zst" if has_zstd else ".gz"
    wanted = ["0001.log.0001", "0001.log.0002", "0002.log.0001", "0002.log.0002"]
    assert packed(tmp_path) == [f"attempt-{each}{suffix}" for each in wanted]
    assert contents(tmp_path) == before
    assert sum(each.size_bytes for each in list_pieces(tmp_path)) < 10_000


def test_gzip_is_for_everybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the stdlib packs, `zcat` reads."""
    monkeypatch.setattr("evertrain.supervise.logs.pack.compressor", lambda _: None)
    put(tmp_path, "1/1", "1/last")
    Packer(tmp_path, 2).work()
    assert gzip.decompress((tmp_path / "attempt-0001.log.0001.gz").read_bytes()) == b"1/1" * 600


def test_a_reader_without_zstd_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instead of the piece."""
    (tmp_path / "attempt-0001.log.0001.zst").write_bytes(zstd.MAGIC)
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    (piece,) = list_pieces(tmp_path)
    assert b"pip install" in b"".join(read_piece(piece))


def test_a_death_at_any_operation_loses_nothing(tmp_path: Path) -> None:
    """Wherever packing is killed: all is readable then, and the next one clears up."""
    count = 0
    while True:
        logs = tmp_path / str(count)
        logs.mkdir()
        put(logs, "1/1", "1/2", "1/last")
        before = contents(logs)
        try:
            Packer(logs, 2, fs=CutFs(cut_before=count)).work()
        except PowerCut:
            assert contents(logs) == before
            Packer(logs, 2).work()
            assert contents(logs) == before
            assert len(os.listdir(logs)) == 3
            count += 1
            continue
        break
    assert count >= 8


def test_what_cannot_be_read_whole_stays(tmp_path: Path) -> None:
    """A packed piece never holds less than the plain one that goes."""
    put(tmp_path, "1/1", "1/last")
    (piece, _) = list_pieces(tmp_path)
    long = Piece(piece.path, 1, 1, "", piece.size_bytes + 1)
    with pytest.raises(OSError, match="cannot be read to its end"):
        Packer(tmp_path, 2)._pack(long)
    assert os.listdir(tmp_path).count(piece.path.name) == 1
    assert len(os.listdir(tmp_path)) == 2


def test_the_whole_is_bounded(tmp_path: Path) -> None:
    """What is superfluous goes once all is packed."""
    put(tmp_path, *(f"1/{number}" for number in range(1, 9)), "1/last", "2/last")
    Packer(tmp_path, 2).work()
    all_bytes = sum(max(each.size_bytes, BLOCK_BYTES) for each in list_pieces(tmp_path))
    Packer(tmp_path, 2, kept_bytes=all_bytes - 1).work()

    found = [each.number for each in list_pieces(tmp_path, 1)]
    assert found == [1, 3, 4, 5, 6, 7, 8, None]


class Meanwhile(LocalFs):
    """A disk on which something else happens behind each piece that is packed.

    Args:
        then: What happens. It gets the number of the packed piece.
    """

    def __init__(self, then: Callable[[int], None]) -> None:
        """Nothing was packed yet."""
        self.packed: list[int] = []
        self._then = then

    def write(self, path: Path, chunks: Iterable[Bytes]) -> int:
        """See `Fs.write`."""
        self.packed.append(int(path.name.split(".")[3]))
        size_bytes = super().write(path, chunks)
        self._then(self.packed[-1])
        return size_bytes


def numbers(logs: Path) -> list[int | None]:
    """Return the numbers of the first attempt's pieces."""
    return [each.number for each in list_pieces(logs, 1)]


def test_a_flood_is_bounded_though_nothing_is_packed(tmp_path: Path) -> None:
    """At every moment, with a packer that gets no time at all, and in the end."""
    kept_bytes = 10 * 8192
    packer = Packer(tmp_path, 1, kept_bytes=kept_bytes)
    writer = LogWriter(
        tmp_path / "attempt-0001.log", piece_ended=packer.piece_ended, piece_bytes=8192
    )
    most_bytes = 0
    for number in range(4000):
        writer.write(b"%063d\n" % number)
        sizes = [max(each.size_bytes, BLOCK_BYTES) for each in list_pieces(tmp_path)]
        most_bytes = max(most_bytes, sum(sizes))
    assert most_bytes <= kept_bytes + 8192
    writer.close()

    assert sum(max(each.size_bytes, BLOCK_BYTES) for each in list_pieces(tmp_path)) <= kept_bytes
    assert numbers(tmp_path) == [1, *range(24, 32), None], "how it began, and what was last"


def test_a_short_attempt_drops_what_a_flood_left(tmp_path: Path) -> None:
    """Though it ends before anything could be packed."""
    put(tmp_path, *(f"1/{number}" for number in range(1, 9)), "1/last")
    packer = Packer(tmp_path, 2, kept_bytes=6 * BLOCK_BYTES)
    LogWriter(tmp_path / "attempt-0002.log", piece_ended=packer.piece_ended).close()
    assert numbers(tmp_path) == [1, 6, 7, 8, None]


def test_what_is_going_to_be_dropped_is_not_packed(tmp_path: Path) -> None:
    """It takes no time from what stays."""
    put(tmp_path, *(f"1/{number}" for number in range(1, 9)), "1/last", "2/last")
    fs = Meanwhile(lambda _: None)
    Packer(tmp_path, 2, kept_bytes=6 * BLOCK_BYTES, fs=fs).work()
    assert fs.packed == [1, 6, 7, 8]
    assert numbers(tmp_path) == [1, 6, 7, 8, None]


def test_it_drops_between_packing_one_and_the_next(tmp_path: Path) -> None:
    """What comes meanwhile is in its place: the limit does not wait for the last piece."""
    put(tmp_path, *(f"1/{number}" for number in range(1, 9)), "1/last")
    most = 0

    def more(_: int) -> None:
        nonlocal most
        most = max(most, len(numbers(tmp_path)))
        last = max(each or 0 for each in numbers(tmp_path))
        if last < 30:
            put(tmp_path, f"1/{last + 1}")

    fs = Meanwhile(more)
    Packer(tmp_path, 1, kept_bytes=7 * BLOCK_BYTES, fs=fs).work()
    assert most <= 8
    assert numbers(tmp_path) == [1, *range(26, 31), None]


def test_a_piece_that_is_dropped_while_it_is_packed_does_not_come_back(tmp_path: Path) -> None:
    """Its packed one is no piece more than there may be."""
    put(tmp_path, *(f"1/{number}" for number in range(1, 5)), "1/last")

    def drop(number: int) -> None:
        if number == 2:
            dropper.piece_ended()

    dropper = Packer(tmp_path, 1, kept_bytes=4 * BLOCK_BYTES)
    Packer(tmp_path, 1, fs=Meanwhile(drop)).work()
    assert numbers(tmp_path) == [1, 3, 4, None]
    assert len(os.listdir(tmp_path)) == 4


def test_a_piece_that_lies_there_twice_goes_as_a_whole(tmp_path: Path) -> None:
    """Plain and packed: the packer was between the two."""
    put(tmp_path, *(f"1/{number}" for number in range(1, 5)), "1/last")
    (tmp_path / "attempt-0001.log.0002.gz").write_bytes(gzip.compress(b"1/2" * 600))
    Packer(tmp_path, 1, kept_bytes=4 * BLOCK_BYTES).piece_ended()
    assert numbers(tmp_path) == [1, 3, 4, None]


def test_the_thread_packs_when_it_is_woken(tmp_path: Path) -> None:
    """Beside whoever writes."""
    from evertrain.testing.processes import wait_until

    packer = Packer(tmp_path, 2)
    packer.start()
    put(tmp_path, "1/1", "1/last")
    packer.piece_ended()
    wait_until(lambda: packed(tmp_path), "a packed piece")


def _pieces(sizes: dict[str, int]) -> list[Piece]:
    found = []
    for name, size in sizes.items():
        attempt, _, number = name.partition("/")
        number_or_none = None if number == "last" else int(number)
        found.append(Piece(Path(name), int(attempt), number_or_none, "", size))
    return found


@pytest.mark.parametrize(
    ("limit", "dropped"),
    [
        (120, []),
        (119, ["1/2"]),
        (100, ["1/2", "1/3"]),
        (90, ["1/2", "1/3", "2/2"]),
        (80, ["1/2", "1/3", "2/2", "1/1"]),
        (50, ["1/2", "1/3", "2/2", "1/1", "1/4", "1/last", "2/1"]),
        (0, ["1/2", "1/3", "2/2", "1/1", "1/4", "1/last", "2/1"]),
    ],
)
def test_what_goes_first(limit: int, dropped: list[str]) -> None:
    """Middles, oldest first; then the oldest attempts; the end of the newest never."""
    names = ["1/1", "1/2", "1/3", "1/4", "1/last", "2/1", "2/2", "2/3", "2/last"]
    pieces = _pieces(dict.fromkeys(names, 10_000) | {"2/last": 40_000})
    assert [str(each.path) for each in superfluous(pieces, 1000 * limit)] == dropped


def test_tiny_pieces_take_a_block_each() -> None:
    """A crash loop over a weekend leaves thousands of empty logs: they are bounded, too."""
    pieces = [Piece(Path(str(number)), number, None, "", 0) for number in range(1, 101)]
    assert len(superfluous(pieces, 40 * BLOCK_BYTES)) == 60


@given(
    st.dictionaries(
        st.tuples(st.integers(1, 4), st.integers(1, 6)), st.integers(0, 100), max_size=20
    ),
    st.integers(0, 1000),
)
def test_the_limit_holds_and_the_newest_end_stays(
    sizes: dict[tuple[int, int], int], limit: int
) -> None:
    """Never more than needed, never the last two pieces of the newest attempt."""
    pieces = [
        Piece(Path(f"{a}/{n}"), a, n, "", BLOCK_BYTES * (1 + sizes[a, n])) for a, n in sorted(sizes)
    ]
    limit *= BLOCK_BYTES
    gone = superfluous(pieces, limit)
    left = [each for each in pieces if each not in gone]
    newest = [each for each in pieces if each.attempt == pieces[-1].attempt][-2:] if pieces else []
    left_bytes = sum(each.size_bytes for each in left)

    assert set(newest) <= set(left)
    assert left_bytes <= limit or left == newest
    assert not gone or left_bytes + gone[-1].size_bytes > limit
