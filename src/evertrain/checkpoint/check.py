"""Reading files back against their digests: the one place that decides what is whole.

The bytes are read, not mapped: a bad sector is then an error, not a signal.

Layer: checkpoint. Imports core only.
"""

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from evertrain.checkpoint.contents import Content
from evertrain.checkpoint.cut import PART_BYTES
from evertrain.checkpoint.directory import Opened
from evertrain.checkpoint.manifest import Manifest
from evertrain.checkpoint.strict import corrupt
from evertrain.core.machine import cores
from evertrain.core.threads import spread

Span = tuple[int, int]  # first byte and length

_MAX_THREADS: Final = 8
_BATCH: Final = 32  # parts that one thread checks at a time


class Piece(NamedTuple):
    """What has its own digest in a file.

    Attributes:
        offset: Its first byte.
        length: How many there are.
        blake3: The digest that they should have.
        title: What to call it; "" for the file's head.
        into: Where to read it to, of `length` bytes; None keeps nothing.
    """

    offset: int
    length: int
    blake3: str
    title: str
    into: memoryview | None = None


# Returns where an array, or the part of it in one file, is to be read to.
Room = Callable[[Content], memoryview]


def pieces_of(
    manifest: Manifest, name: str, contents: list[Content], room: Room | None = None
) -> Iterator[Piece]:
    """Yield what has a digest in the file `name`: its head, then the parts of its arrays."""
    entry = manifest.files[name]
    yield Piece(0, entry.head_bytes, entry.blake3, "")
    for content in contents:
        into, first = room(content) if room else None, content.extent.offset
        for offset, length, digest in content.parts():
            here = None if into is None else into[offset - first :][:length]
            yield Piece(offset, length, digest, content.title, here)


def problems(
    directory: Opened,
    manifest: Manifest,
    name: str,
    found: Iterable[Piece],
    known: dict[Span, str] | None = None,
) -> Iterator[str]:
    """Yield what is wrong with pieces of a file, each in a sentence without a subject.

    Args:
        directory: The checkpoint.
        manifest: What it says about itself.
        name: The file.
        found: The pieces to look at.
        known: Digests of pieces read under another name of the file; new ones are added.

    Raises:
        CorruptError: It is missing, no regular file, or cannot be read.
        FileNotFoundError: The whole checkpoint is gone.
    """
    from blake3 import blake3

    path, entry = directory.path / name, manifest.files[name]
    known = {} if known is None else known
    room = memoryview(bytearray(min(PART_BYTES, entry.bytes)))
    with directory.file(name) as (file, size_bytes):
        if size_bytes != entry.bytes:
            yield f"it has {size_bytes} bytes instead of {entry.bytes}"
            return
        for piece in found:
            span = piece.offset, piece.length
            digest = None if piece.into is not None else known.get(span)
            if digest is None:
                hasher = blake3()
                file.seek(piece.offset)
                for view in _chunks(room if piece.into is None else piece.into, piece.length):
                    fill(file, view, path)
                    hasher.update(view)
                digest = known[span] = hasher.hexdigest()
            if digest != piece.blake3:
                what = f"the digest of {piece.title!r}" if piece.title else "its digest"
                yield f"{what} is {digest[:12]}, not {piece.blake3[:12]}"


def check_files(
    directory: Opened,
    manifest: Manifest,
    files: Mapping[str, list[Content]],
    room: Room | None = None,
) -> None:
    """Check every byte of some files, several at a time.

    Args:
        directory: The checkpoint.
        manifest: What it says about itself.
        files: What each of them holds.
        room: Where what they hold is to be read to; None keeps nothing. A byte is
            looked at where it comes to lie, so that nobody needs to read it again.

    Raises:
        CorruptError: A byte is not what was written.
        FileNotFoundError: The whole checkpoint is gone.
    """

    def check(job: tuple[str, list[Piece]]) -> None:
        name, batch = job
        for problem in problems(directory, manifest, name, batch):
            raise corrupt(directory.path / name, problem)

    jobs = [
        (name, batch)
        for name, contents in files.items()
        for batch in _batches(pieces_of(manifest, name, contents, room))
    ]
    for _ in spread(check, jobs, min(_MAX_THREADS, cores())):
        pass


def fill(file: Any, view: memoryview, path: Path) -> None:
    """Read exactly as many bytes as fit into `view`.

    Raises:
        CorruptError: The file ends too early, or the medium cannot be read.
    """
    done = 0
    while done < len(view):
        try:
            count = file.readinto(view[done:])
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            raise corrupt(path, f"the disk cannot read it ({error})") from error
        if not count:
            raise corrupt(path, f"it ends after {done} of {len(view)} bytes")
        done += count


def _chunks(room: memoryview, length: int) -> Iterator[memoryview]:
    while length > 0:
        yield room[: min(length, len(room))]
        length -= len(room)


def _batches(found: Iterator[Piece]) -> Iterator[list[Piece]]:
    while batch := list(islice(found, _BATCH)):
        yield batch
