"""`evertrain.supervise.logs.collapse`: what is left of all that is drawn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evertrain.supervise.logs.collapse import Collapse


def left(data: bytes, chunk_bytes: int = 1 << 20, state_every: int = 0) -> bytes:
    """Return what a log holds in the end of `data` that came in chunks."""
    collapse, out = Collapse(), b""
    for number, start in enumerate(range(0, len(data), chunk_bytes)):
        out += collapse.feed(data[start : start + chunk_bytes])
        if state_every and number % state_every == 0:
            out += collapse.state()
    return out + collapse.end()


def readable(log: bytes) -> list[bytes]:
    """Return the lines as every reader of a log takes them: of a line, its last state."""
    return [line.rstrip(b"\r").rpartition(b"\r")[2] for line in log.split(b"\n")]


NESTED = b"".join(
    b"\rout %d" % outer + b"".join(b"\n\rin %d\x1b[A" % inner for inner in range(5))
    for outer in range(50)
)
RICH = b"\r\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K".join(b"a%d\nb%d\nc%d" % (n, n, n) for n in range(9))


def docker(down: bytes, count: int = 50, names: bytes = b"abc") -> bytes:
    """Return bars as docker draws them: up to the row, and down again behind all of them."""
    drawn = b"".join(b"%c: 0\n" % name for name in names)
    for number in range(count):
        for index, name in enumerate(names):
            up = len(names) - index
            drawn += b"\x1b[%dA\x1b[2K\r%c: %d MB" % (up, name, number) + down % up
    return drawn


DOCKED = [b"a: 0", b"b: 0", b"c: 0", b"a: 49 MB", b"b: 49 MB", b"c: 49 MB"]


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 7, 4096])
@pytest.mark.parametrize(
    ("drawn", "lines"),
    [
        (b"plain\ntext", [b"plain", b"text"]),
        (b"\r 1%\r 2%\r 3%\nbye\n", [b" 3%", b"bye", b""]),
        (b"1%\r2%\r3%\r\nbye", [b"3%", b"bye"]),
        (b"dos\r\nline\r\n", [b"dos", b"line", b""]),
        (b"work |\b/\b-\b done\n", [b"work  done", b""]),
        (b"ol\xc3\xa9\b\be!\n", [b"oe!", b""]),
        (b"a\x1b[1Gb\x1b[Gc\n", [b"c", b""]),
        (b"ab\x1b[1Dc\x1b[31mred\x1b[0m\n", [b"ac\x1b[31mred\x1b[0m", b""]),
        (b"unfinished\rover", [b"over"]),
        (b"unfinished\r", [b"unfinished"]),
        (b"\x1b[31mred\x1b[0m stays \x1b[1", [b"\x1b[31mred\x1b[0m stays \x1b[1"]),
        (b"start\n" + NESTED + b"\n\nafter\nend\n",
         [b"start", b"out 0", b"out 49", b"in 4", b"after", b"end", b""]),
        (b"start\n" + RICH + b"\nafter\nend\nof\nit\n",
         [b"start", b"a0", b"b0", b"c0", b"\x1b[2Ka8", b"b8", b"c8", b"after", b"end",
          b"of", b"it", b""]),
        (docker(b"\r\x1b[%dB") + b"done\nbye\n", [*DOCKED, b"done", b"bye", b""]),
        (docker(b"\x1b[%dB") + b"done\nbye\n", [*DOCKED, b"done", b"bye", b""]),
        (docker(b"\x1b[%dE") + b"done\nbye\n", [*DOCKED, b"done", b"bye", b""]),
        (docker(b"\r\x1b[%dB") + b"Traceback\n" * 9, [*DOCKED, *[b"Traceback"] * 9, b""]),
        (docker(b"\r\x1b[%dB"), [*DOCKED, b""]),
        (b"a\nb\x1b[A\ra2\x1b[B, and on\n", [b"a", b"b", b"a2", b"b, and on", b""]),
        (b"\rstep 1\x1b[A\x1b[Bgone\n", [b"step 1gone", b""]),
        (b"\rstep 1\x1b[F\x1b[Eover\n", [b"over", b""]),
        (b"\rstep 1\x1b[F\x1b[B\x1b[2Kover\n", [b"\x1b[2Kover", b""]),
        (b"a\nb\x1b[A\ra2\x1b[B\x1b[2Kover\n", [b"a", b"b", b"a2", b"\x1b[2Kover", b""]),
        (b"bar 0\r\x1b[Bbar 1\r\x1b[Bbar 2", [b"bar 0", b"bar 1", b"bar 2"]),
        (b"top\x1b[999B\x1b[Eend\n", [b"top", b"end", b""]),
        (b"a\x1b[0Ab\x1b[0Bc\x1b[0Ed\n", [b"a", b"b", b"ac", b"d", b""]),
    ],
)  # fmt: skip
def test_what_is_left(drawn: bytes, lines: list[bytes], chunk_bytes: int) -> None:
    """The last state of each line, wherever the reads cut the output."""
    assert readable(left(drawn, chunk_bytes)) == lines


def test_text_passes_at_once() -> None:
    """A line that is not finished yet is not held back, and comes as the bytes that it is."""
    collapse = Collapse()
    assert collapse.feed(b"\xff\xc3loading...") == b"\xff\xc3loading..."
    assert not collapse.is_holding


def test_a_drawing_is_held_until_it_is_asked_for() -> None:
    """Its newest state is one more of the same line; one that did not change is not repeated."""
    collapse = Collapse()
    assert collapse.feed(b"epoch 1\n\r 5%") == b"epoch 1\n"
    assert collapse.feed(b"\r 6%") == b""
    assert collapse.is_holding
    assert collapse.state() == b" 6%"
    assert not collapse.is_holding
    assert collapse.state() == b""
    assert collapse.feed(b"\r 7%") == b""
    assert collapse.state() == b"\r 7%"
    assert collapse.feed(b"\r100%\nnext\n") == b"\r100%\nnext\n"


@pytest.mark.parametrize(
    "bar",
    [
        b"\r%6d it/s",
        b"%6d it/s\r",
        b"\n\r%6d it/s\x1b[A",
        b"\x1b[A\x1b[2K\r%6d it/s\x1b[B",
        b"\x1b[A\r%6d it/s\x1b[B\x1b[2Kx",
    ],
)
def test_a_weekend_of_drawing_takes_little(bar: bytes) -> None:
    """Of twenty drawings a second for an hour, asked for every 10 s, only those are left."""
    drawn = b"".join(bar % number for number in range(20 * 3600))
    log = left(drawn, chunk_bytes=len(bar % 0) * 200, state_every=1)

    assert len(log) < 360 * 40
    assert b"%6d it/s" % (20 * 3600 - 1) in log


def test_lines_above_a_live_display_come_at_once() -> None:
    """What rich prints above its bars is text, though the bars are drawn on."""
    again = b"\r\x1b[2K\x1b[1A\x1b[2K"
    collapse = Collapse()
    for number in range(3):
        collapse.feed(again + b"a%d\nb%d" % (number, number))
    assert b"\x1b[2Kreward 7\n" in collapse.feed(again + b"reward 7\na3\nb3")


def test_memory_is_bounded() -> None:
    """A line of 100 MB, or a drawing that never ends its line or its rows, is passed on."""
    collapse, passed = Collapse(), 0
    for block in [b"\r"] + [b"x" * 65_536] * 1600 + [b"\n\x1b[1A"] * 1000 + [b"\n\ry"] * 100_000:
        passed += len(collapse.feed(block))
    held = sum(len(row.text or b"") for row in collapse._rows)

    assert passed > 100_000_000
    assert held < 200_000
    assert len(collapse._rows) < 200


WORDS = st.lists(
    st.sampled_from(
        [b"a", b"bc", b"\xc3\xa9", b"\n", b"\r", b"\r\n", b"\b", b"\x1b[A", b"\x1b[2A", b"\x1b[2D",
         b"\x1b[K", b"\x1b[31m", b"\x1b", b"\x1bM", b"\x1b[1G",
         b"\x1b[B", b"\x1b[2B", b"\x1b[E", b"\x1b[2K"]
    ),
    max_size=40,
)  # fmt: skip


@given(WORDS, st.integers(1, 5))
def test_reads_may_cut_anywhere(words: list[bytes], chunk_bytes: int) -> None:
    """What is left does not depend on how the output came in."""
    data = b"".join(words)
    assert readable(left(data, chunk_bytes)) == readable(left(data))


@given(st.binary().filter(lambda data: not set(data) & set(b"\r\b\x1b")), st.integers(1, 9))
def test_what_draws_nothing_is_kept_byte_by_byte(data: bytes, chunk_bytes: int) -> None:
    """Whatever the bytes are."""
    assert left(data, chunk_bytes, state_every=2) == data


@given(st.lists(st.from_regex(rb"\A[a-z ]{0,9}(\r[a-z]{1,9}){0,3}\n\Z"), max_size=20))
def test_the_last_state_of_each_line_is_kept(lines: list[bytes]) -> None:
    """However often a line is redrawn before its end, and whenever the state is asked for."""
    data = b"".join(lines)
    assert readable(left(data, 3, state_every=1)) == readable(data)
