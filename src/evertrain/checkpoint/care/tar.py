"""The archive of a run: a tar of regular files and hard links, its listing first.

Written so that any tar can read it. Read by hand: an archive may come from
anybody, and only what its listing declares, of that size, is passed on.

Layer: checkpoint. Imports core only.
"""

import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from evertrain.checkpoint.care.listing import LISTING, Entry, Listing, bad_archive, parse_listing
from evertrain.core.document import DOCUMENT_BYTES
from evertrain.core.errors import CorruptError

END: Final = bytes(1024)
CHUNK_BYTES: Final = 1 << 20

_BLOCK: Final = tarfile.BLOCKSIZE
_MAX_LISTING_BYTES: Final = DOCUMENT_BYTES
_MAX_PAX_BYTES: Final = 1 << 16
_MAX_PART: Final = 255
_MAX_DEPTH: Final = 32
_MAX_DIGITS: Final = 19
_MAX_TAIL_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before a file.

    Attributes:
        path: Path in the archive.
        bytes: Bytes that follow.
        link: Path of the earlier file that it is another name of, or None.
        is_read_only: Whether nobody may write to it.
    """

    path: str
    bytes: int
    link: str | None
    is_read_only: bool


class Sink(Protocol):
    """Takes what an archive holds, in order."""

    def file(self, path: str, chunks: Iterator[bytes], *, is_read_only: bool) -> None:
        """Take a file; all of `chunks` must be consumed."""

    def link(self, path: str, target: str) -> None:
        """Take another name of the file `target`, which came before."""


def head(path: str, size_bytes: int, *, mode: int, mtime_s: int, link: str | None = None) -> bytes:
    """Return the bytes that go before a file. The same file always gets the same ones."""
    info = tarfile.TarInfo(path)
    info.size, info.mode, info.mtime = size_bytes, mode, mtime_s
    if link is not None:
        info.type, info.linkname, info.size = tarfile.LNKTYPE, link, 0
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def padding(size_bytes: int) -> bytes:
    """Return the zeros that go behind a file."""
    return bytes(-size_bytes % _BLOCK)


class Reader:
    """Reads one archive, front to back, believing nothing.

    Args:
        read: Returns at most so many of the next bytes.
        failures: How `read` fails on damage.
        path: The archive, for messages.
    """

    def __init__(
        self, read: Callable[[int], bytes], failures: tuple[type[Exception], ...], path: Path
    ) -> None:
        """Read nothing yet."""
        self._read = read
        self._failures = failures
        self._path = path

    def listing(self) -> Listing:
        """Return what the archive declares; it comes first.

        Raises:
            CorruptError: It is no archive of a run, or a hostile one.
            FormatError: A newer version wrote it.
        """
        first = self._header()
        if first is None or first.link is not None or first.bytes > _MAX_LISTING_BYTES:
            raise self._bad("it does not begin with a listing")
        name, _, rest = first.path.partition("/")
        if rest != LISTING or not _is_part(name):
            raise self._bad(f"it begins with {first.path!r:.80}, not with a listing")
        found = parse_listing(b"".join(self._body(first.bytes)), self._path)
        if found.name != name:
            raise self._bad("its listing is of another run")
        self._check_paths(found.files)
        return found

    def pour(self, listing: Listing, sink: Sink) -> None:
        """Pass on every file, checked, to `sink`.

        Raises:
            CorruptError: There is anything but what is declared.
        """
        missing, left = dict(listing.files), listing.bytes
        while (found := self._header()) is not None:
            top, _, path = found.path.partition("/")
            entry = missing.pop(path, None)
            left -= found.bytes
            if top != listing.name or entry is None or left < 0:
                raise self._bad(f"{found.path!r:.120} is not declared, or too much")
            if found.link is None:
                self._pour_file(path, found, entry, sink)
            else:
                self._pour_link(path, found.link, listing, missing, sink)
        if missing:
            raise self._bad(f"{next(iter(missing))!r:.120} is missing")
        self._check_tail()

    def _pour_file(self, path: str, found: Header, entry: Entry, sink: Sink) -> None:
        from blake3 import blake3

        if found.bytes != entry.bytes:
            raise self._bad(f"{path!r:.120} has {found.bytes} bytes, {entry.bytes} are declared")
        digest = blake3()

        def hashed() -> Iterator[bytes]:
            for chunk in self._body(found.bytes):
                digest.update(chunk)
                yield chunk

        sink.file(path, hashed(), is_read_only=found.is_read_only)
        if digest.hexdigest() != entry.blake3:
            raise self._bad(f"the digest of {path!r:.120} is {digest.hexdigest()[:12]}")

    def _pour_link(
        self, path: str, link: str, listing: Listing, missing: Mapping[str, Entry], sink: Sink
    ) -> None:
        top, _, target = link.partition("/")
        is_known = top == listing.name and target in listing.files and target not in missing
        if not is_known or target == path or listing.files[target] != listing.files[path]:
            raise self._bad(f"{path!r:.120} is a link to {link!r:.120}")
        sink.link(path, target)

    def _header(self) -> Header | None:
        """Return the next one, or None at the end.

        Raises:
            CorruptError: It is of a kind that no archive of ours has.
        """
        more: dict[str, str] = {}
        while True:
            block = self._exactly(_BLOCK)
            if block == bytes(_BLOCK):
                return None
            try:
                info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
            except (tarfile.HeaderError, ValueError) as error:
                raise self._bad(f"a header is broken ({error})") from error
            if info.type != tarfile.XHDTYPE:
                break
            if more or not 0 < info.size <= _MAX_PAX_BYTES:
                raise self._bad("a header is too long")
            more = self._pax(b"".join(self._body(info.size)))
        if info.type not in {tarfile.REGTYPE, tarfile.LNKTYPE}:
            raise self._bad(f"{info.name!r:.120} is neither a file nor a hard link")
        size = more.get("size", str(info.size))
        if not (size.isascii() and size.isdecimal() and len(size) <= _MAX_DIGITS):
            raise self._bad(f"{info.name!r:.120} has {size!r:.40} bytes")
        size_bytes = int(size)
        is_link = info.type == tarfile.LNKTYPE
        if is_link and size_bytes:
            raise self._bad(f"{info.name!r:.120} has {size_bytes} bytes")
        link = more.get("linkpath", info.linkname) if is_link else None
        return Header(more.get("path", info.name), size_bytes, link, not info.mode & 0o222)

    def _pax(self, data: bytes) -> dict[str, str]:
        found = {}
        while data:
            digits, _, _ = data.partition(b" ")
            length = int(digits) if digits.isdigit() and len(digits) < 7 else 0  # noqa: PLR2004
            record = data[len(digits) + 1 : length]
            key, equals, value = record.partition(b"=")
            if not equals or not record.endswith(b"\n") or length > len(data):
                raise self._bad("a header is broken")
            try:
                found[key.decode()] = value[:-1].decode()
            except UnicodeDecodeError as error:
                raise self._bad("a name is no UTF-8") from error
            data = data[length:]
        return found

    def _body(self, size_bytes: int) -> Iterator[bytes]:
        left = size_bytes
        while left:
            chunk = self._exactly(min(left, CHUNK_BYTES))
            left -= len(chunk)
            yield chunk
        self._exactly(-size_bytes % _BLOCK)

    def _exactly(self, count: int) -> bytes:
        parts = []
        while count:
            part = self._some(count)
            if not part:
                raise self._bad("it ends too early")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _some(self, count: int) -> bytes:
        try:
            return self._read(count)
        except self._failures as error:
            raise self._bad(f"it cannot be unpacked ({error!s:.120})") from error

    def _check_tail(self) -> None:
        left = _MAX_TAIL_BYTES
        while part := self._some(_BLOCK):
            left -= len(part)
            if left < 0 or part.strip(b"\0"):
                raise self._bad("something follows its end")

    def _check_paths(self, files: Mapping[str, Entry]) -> None:
        for path in files:
            parts = path.split("/")
            if path == LISTING or len(parts) > _MAX_DEPTH or not all(map(_is_part, parts)):
                raise self._bad(f"it declares {path!r:.120}")
            if any("/".join(parts[:count]) in files for count in range(1, len(parts))):
                raise self._bad(f"it declares {path!r:.120}, below a file")

    def _bad(self, problem: str) -> CorruptError:
        return bad_archive(self._path, problem)


def _is_part(name: str) -> bool:
    is_short = 0 < len(name.encode(errors="replace")) <= _MAX_PART
    return is_short and name not in {".", ".."} and not set(name) & {"/", "\0"}
