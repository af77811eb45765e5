"""Ways in which a file on a disk can be wrong."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Damage = Callable[[Path], object]


def written(path: Path, data: bytes) -> None:
    """Replace a file, as rot in one place would: what it was linked to stays."""
    path.unlink()
    path.write_bytes(data)


def flip(path: Path, bit: int) -> None:
    """Flip one bit in place, under every name that the file has; flip it again to undo it."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


def flipped(at: Callable[[int], int]) -> Damage:
    """Return what flips a bit of the byte that `at` chooses of so many."""

    def act(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[at(len(data))] ^= 0x20
        written(path, bytes(data))

    return act


def cut_to(length: Callable[[int], int]) -> Damage:
    """Return what cuts a file, or lengthens it by zeros, to a length."""

    def act(path: Path) -> None:
        data = path.read_bytes()
        size = length(len(data))
        written(path, data[:size] + bytes(max(0, size - len(data))))

    return act


def _sibling(path: Path) -> Path:
    """Return another file of the same directory."""
    return next(each for each in sorted(path.parent.iterdir()) if each.name != path.name)


def _swap(path: Path) -> None:
    """Exchange two files."""
    other = _sibling(path)
    mine, its = path.read_bytes(), other.read_bytes()
    written(path, its)
    written(other, mine)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _symlink(path: Path) -> None:
    """Put a link to the right bytes in its place."""
    place = path.parents[3] / "elsewhere"
    path.rename(place)
    path.symlink_to(place)


def _dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _hard_link(path: Path) -> None:
    """Let it be another file of the checkpoint."""
    path.unlink()
    path.hardlink_to(_sibling(path.with_name("~")))


def _unreadable(path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    path.chmod(0)


LENGTHS: dict[str, Damage] = {
    "cut to nothing": cut_to(lambda _: 0),
    "cut to a byte": cut_to(lambda _: 1),
    "cut in half": cut_to(lambda size: size // 2),
    "one byte less": cut_to(lambda size: size - 1),
    "one byte more": cut_to(lambda size: size + 1),
    "a sector more": cut_to(lambda size: size + 512),
    "up to the next block": cut_to(lambda size: (size // 4096 + 1) * 4096),
}
CONTENTS: dict[str, Damage] = {
    "first byte": flipped(lambda _: 0),
    "last byte": flipped(lambda size: size - 1),
    "a byte in the middle": flipped(lambda size: size // 2),
    "all zeros": lambda path: written(path, bytes(path.stat().st_size)),
    "all garbage": lambda path: written(path, random.Random(1).randbytes(path.stat().st_size)),
    "swapped with another": _swap,
}
KINDS: dict[str, Damage] = {
    "gone": lambda path: path.unlink(),
    "a directory": _directory,
    "a FIFO": _fifo,
    "a link to the right bytes": _symlink,
    "a link to nowhere": _dangling,
    "another file": _hard_link,
    "unreadable": _unreadable,
}
ALL = {**LENGTHS, **CONTENTS, **KINDS}


def border_bits(size: int, header: int, part: int) -> Iterator[int]:
    """Yield bits of a large file: ends, header, either side of each part's border, some others."""
    places = {0, 7, 8, header - 1, header, size - 1}
    for border in range(header + part, size, part):
        places |= {border - 1, border}
    places |= set(random.Random(3).sample(range(size), 20))
    for place in sorted(places):
        yield 8 * place
        yield 8 * place + 7
