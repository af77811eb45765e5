"""Packing a run into one file, read back before it counts.

Layer: checkpoint. Imports core only.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from evertrain.checkpoint.care import tar, zstd
from evertrain.checkpoint.care.hold import Still
from evertrain.checkpoint.care.listing import LISTING, Entry, Listing, bad_archive, encode_listing
from evertrain.checkpoint.care.snapshot import snapshot
from evertrain.checkpoint.care.tar import Reader
from evertrain.checkpoint.commit import Tools, sweep
from evertrain.checkpoint.strict import corrupt
from evertrain.checkpoint.verify import Memory, faults_of
from evertrain.core.errors import UsageError
from evertrain.core.fs import make_dir
from evertrain.core.rundir import RunDir, parse_step

_TOOLS: Final = Tools()


def archive(
    run_dir: RunDir, out: Path, *, steps: Collection[int] | None = None, tools: Tools = _TOOLS
) -> Listing:
    """Pack a run into the file `out`, and return what is in it.

    Args:
        run_dir: The run; it may be training.
        out: `NAME.tar.zst`, or `NAME.tar`. It must not exist.
        steps: Checkpoints to take; None takes all, and those set aside.
        tools: Disk and clock.

    Raises:
        UsageError: `out` exists, or is no name of an archive; or the run
            holds what no archive can.
        MissingExtraError: Nothing here compresses.
        CorruptError: A checkpoint is damaged, or the file did not arrive as it was written.
        NotFoundError: One of `steps` is not there.
        EvertrainError: The run cannot be written, so it was not held still, and it changed.
        OSError: The disk refused.

    Durability:
        After return the archive survives a power cut, and every byte of it
        was read back. Killed before that, `out` is not there; what is left is
        hidden, and swept by the next archive there and the run's next start.
    """
    zstd.check_name(out)
    if out.exists():
        raise UsageError(
            f"{out} exists.", "an archive is never overwritten.", "Give another: --out FILE.tar.zst"
        )
    make_dir(out.parent, fs=tools.fs)
    sweep(out.parent, tools.fs, prefix=f".{out.name}.tmp-")
    tmp = out.with_name(f".{out.name}.tmp-{os.getpid()}")
    try:
        with snapshot(run_dir, steps, tools) as files:  # at its end it was of one moment, or fails
            _check_checkpoints(files)
            listing = _listing(run_dir, files)
            tools.fs.write(tmp, zstd.packed(out, _stream(listing, files)))
            tools.fs.sync_file(tmp)
            check(tmp, listing)
        tools.fs.replace(tmp, out)
    except Exception:
        with suppress(OSError):  # the first failure is the one to report
            tools.fs.unlink(tmp)
        raise
    tools.fs.sync_dir(out.parent)
    return listing


def check(path: Path, listing: Listing | None = None) -> Listing:
    """Read an archive back, every byte of it, and return what it declares.

    Args:
        path: The archive.
        listing: What it must declare; None believes it.

    Raises:
        CorruptError: It is damaged.
    """
    with zstd.unpacked(path) as (read, failures):
        reader = Reader(read, failures, path)
        found = reader.listing()
        if listing is not None and found != listing:
            raise bad_archive(path, "its listing is not the one that was written")
        reader.pour(found, _Nowhere())
    return found


class _Nowhere:
    """Reads everything and keeps nothing."""

    def file(self, path: str, chunks: Iterator[bytes], *, is_read_only: bool) -> None:
        """See `Sink.file`."""
        del path, is_read_only
        for _ in chunks:
            pass

    def link(self, path: str, target: str) -> None:
        """See `Sink.link`."""


def _listing(run_dir: RunDir, files: Mapping[str, Still]) -> Listing:
    known: dict[tuple[tuple[int, int], int], Entry] = {}
    entries = {}
    for path, each in sorted(files.items()):
        _check_name(path)
        key = (each.inode, each.bytes)
        if key not in known:
            known[key] = Entry(each.bytes, _digest(each))
        entries[path] = known[key]
    return Listing(run_dir.path.resolve().name, sum(size_bytes for _, size_bytes in known), entries)


def _check_name(path: str) -> None:
    with suppress(UnicodeEncodeError):
        path.encode()
        return
    raise UsageError(
        f"{path!r} is no name in UTF-8.",
        "other machines would not find it under that name.",
        "Rename it.",
    )


def _digest(each: Still) -> str:
    from blake3 import blake3

    hasher = blake3()
    for chunk in _chunks(each):
        hasher.update(chunk)
    return hasher.hexdigest()


def _check_checkpoints(files: Mapping[str, Still]) -> None:
    """Read the committed checkpoints back and compare them with what they say about themselves.

    Raises:
        CorruptError: One of them is damaged.
    """
    memory: Memory = {}
    places = {Path(path).parent for path in files}
    for place in sorted(each for each in places if _is_committed(each)):
        held = next(each.path.parent for path, each in files.items() if Path(path).parent == place)
        for fault in faults_of(held, int(place.name), memory):
            raise corrupt(place / fault.path.name, fault.problem)


def _is_committed(place: Path) -> bool:
    return str(place.parent) == "checkpoints" and parse_step(place.name) is not None


def _stream(listing: Listing, files: Mapping[str, Still]) -> Iterator[bytes]:
    """Yield the archive: the listing, then the files by path, shared ones once."""
    text, name = encode_listing(listing), listing.name
    yield tar.head(f"{name}/{LISTING}", len(text), mode=0o444, mtime_s=0)
    yield text + tar.padding(len(text))
    first: dict[tuple[tuple[int, int], int], str] = {}
    for path, entry in listing.files.items():
        each = files[path]
        mode = 0o444 if each.is_read_only else 0o644
        target = first.setdefault((each.inode, each.bytes), path)
        if target != path:
            yield tar.head(
                f"{name}/{path}", 0, mode=mode, mtime_s=each.mtime_s, link=f"{name}/{target}"
            )
            continue
        yield tar.head(f"{name}/{path}", entry.bytes, mode=mode, mtime_s=each.mtime_s)
        yield from _chunks(each)
        yield tar.padding(entry.bytes)
    yield tar.END


def _chunks(each: Still) -> Iterator[bytes]:
    """Yield the bytes that count.

    Raises:
        CorruptError: There are fewer.
    """
    left = each.bytes
    with each.path.open("rb") as file:
        while left:
            chunk = file.read(min(left, tar.CHUNK_BYTES))
            if not chunk:
                raise corrupt(each.path, f"{left} bytes of it are gone")
            left -= len(chunk)
            yield chunk
