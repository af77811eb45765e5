"""Reading checkpoints back, every byte of them, and saying what is wrong.

A file that several checkpoints share is read once; each compares what is in it
with its own manifest, so a rotten one is found in all of them.

Layer: checkpoint. Imports core only.
"""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evertrain.checkpoint import manifest as manifests
from evertrain.checkpoint import parts
from evertrain.checkpoint.manifest import ArrayEntry, Manifest
from evertrain.checkpoint.read import Opened, fill, opened, read_manifest, skip
from evertrain.checkpoint.strict import problem_of
from evertrain.core.errors import CorruptError, EvertrainError, FormatError


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a checkpoint.

    Attributes:
        step: Step of its directory.
        path: File or directory.
        problem: What is wrong, in a sentence without a subject.
    """

    step: int
    path: Path
    problem: str


# First byte and length.
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Content:
    """What is in a file.

    Attributes:
        places: Its arrays, as its own header says; empty if it has none.
        spans: Digests of the arrays, hex.
        whole: Digest of all of it, hex.
    """

    places: dict[str, parts.Placed]
    spans: dict[Span, str]
    whole: str


# What was read, by device, inode, size and time (ns): other names of a file need not be read.
Memory = dict[tuple[int, int, int, int], Content]


def faults_of(path: Path, step: int, memory: Memory | None = None) -> list[Fault]:
    """Read the checkpoint in `path` back and return what is wrong; nothing is best.

    Args:
        path: Its directory.
        step: Step of that directory.
        memory: What was read of others in the same go; shared files are added.

    Raises:
        FileNotFoundError: It is gone.
    """
    with opened(path) as directory:
        try:
            manifest = read_manifest(directory)
        except (CorruptError, FormatError) as error:
            return [Fault(step, path / manifests.MANIFEST, problem_of(error))]
        found = _check(directory, manifest, {} if memory is None else memory)
        return [Fault(step, path / name, problem) for name, problem in found]


def _check(directory: Opened, manifest: Manifest, memory: Memory) -> Iterator[tuple[str, str]]:
    for name in directory.names():
        if name not in manifest.files and name != manifests.MANIFEST:
            yield name, "the manifest does not list it"
    for name in manifest.files:
        try:
            for problem in _check_file(directory, manifest, name, memory):
                yield name, problem
        except EvertrainError as error:
            yield name, problem_of(error)


def _check_file(directory: Opened, manifest: Manifest, name: str, memory: Memory) -> Iterator[str]:
    entry = manifest.files[name]
    arrays = {
        key: each
        for entries in manifest.arrays.values()
        for key, each in entries.items()
        if each.file == name
    }
    spans = {(each.place.offset, each.place.bytes) for each in arrays.values()}
    with directory.file(name) as (file, size_bytes):
        if size_bytes != entry.bytes:
            yield f"it has {size_bytes} bytes instead of {entry.bytes}"
            return
        about = os.fstat(file.fileno())
        key = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
        found = memory.get(key)
        if found is None or not spans <= found.spans.keys():
            found = _read(file, size_bytes, directory.path / name, spans)
            if about.st_nlink > 1:
                memory[key] = found
    if name.endswith(manifests.SUFFIX):
        yield from _check_header(found.places, arrays)
    for label, each in arrays.items():
        digest = found.spans[each.place.offset, each.place.bytes]
        if digest != each.blake3:
            yield f"the digest of {label!r} is {digest[:12]}, not {each.blake3[:12]}"
    if found.whole != entry.blake3:
        yield f"its digest is {found.whole[:12]}, not {entry.blake3[:12]}"


def _read(file: Any, size_bytes: int, path: Path, spans: Collection[Span]) -> Content:
    """Read a file from its first byte to its last.

    Raises:
        CorruptError: It ends too early, its header is broken, or the disk cannot read it.
    """
    from blake3 import blake3

    whole, position = blake3(), 0
    places: dict[str, parts.Placed] = {}
    if path.name.endswith(manifests.SUFFIX):
        head = _head(file, size_bytes, path)
        whole.update(head)
        position = len(head)
        places = parts.parse_header(head, size_bytes, path)
    digests = {}
    for offset, length in sorted(spans):
        own = blake3()
        skip(file, offset - position, path, whole)
        skip(file, length, path, whole, own)
        position = max(position, offset + length)
        digests[offset, length] = own.hexdigest()
    skip(file, size_bytes - position, path, whole)
    return Content(places, digests, whole.hexdigest())


def _head(file: object, size_bytes: int, path: Path) -> bytes:
    length = memoryview(bytearray(min(8, size_bytes)))
    fill(file, length, path)
    rest = memoryview(bytearray(parts.header_bytes(bytes(length), size_bytes, path) - len(length)))
    fill(file, rest, path)
    return bytes(length) + bytes(rest)


def _check_header(found: dict[str, parts.Placed], said: dict[str, ArrayEntry]) -> Iterator[str]:
    for key in sorted(found.keys() | said.keys()):
        here, there = found.get(key), said.get(key)
        if there is None or here != there.place:
            yield f"its header and the manifest disagree on {key!r}"
