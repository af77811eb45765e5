"""What an archive of a run declares about itself, in its first file.

Layer: checkpoint. Imports core only.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evertrain.checkpoint.strict import Fields, dumps, loads, shortened
from evertrain.core.errors import CorruptError
from evertrain.core.rundir import check_format

FORMAT: Final = 1
LISTING: Final = "archive.json"
_HEX: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the listing.

    Attributes:
        bytes: Its size.
        blake3: Its digest, hex.
    """

    bytes: int
    blake3: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What an archive declares.

    Attributes:
        name: Name of the run's directory.
        bytes: Size of all its files, shared ones once.
        files: Its files, by path inside it.
    """

    name: str
    bytes: int
    files: dict[str, Entry]


def encode_listing(listing: Listing) -> bytes:
    """Return the bytes of `archive.json`."""
    files = {
        path: {"bytes": each.bytes, "blake3": each.blake3} for path, each in listing.files.items()
    }
    about = {"format": FORMAT, "name": listing.name, "bytes": listing.bytes, "files": files}
    return dumps(about).encode() + b"\n"


def parse_listing(data: bytes, path: Path) -> Listing:
    """Return what the bytes of an `archive.json` in the archive `path` declare.

    Raises:
        CorruptError: They are none.
        FormatError: A newer version wrote it.
    """
    top = Fields(loads(data, path), path)
    check_format(path, top.take("format", int), FORMAT)
    inner = top.inner("files")
    files = {each: _entry(inner.inner(each)) for each in inner.names()}
    return Listing(top.take("name", str), top.count("bytes"), files)


def bad_archive(path: Path, problem: str) -> CorruptError:
    """Return the error for an archive that is damaged, or never was one of ours."""
    return CorruptError(
        f"{path} is no archive of a run, or damaged: {shortened(problem)}.",
        "nothing of it was kept: a part of a run could go silently wrong.",
        "Use another copy of the archive.",
    )


def _entry(fields: Fields) -> Entry:
    digest = fields.take("blake3", str)
    if len(digest) != 64 or not set(digest) <= _HEX:  # noqa: PLR2004
        fields.fail(f"'blake3' is {digest!r:.80}")
    return Entry(fields.count("bytes"), digest)
