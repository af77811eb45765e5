"""Reading a checkpoint back, every byte of it, and saying what is wrong.

Layer: checkpoint. Imports core only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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


def faults_of(path: Path, step: int) -> list[Fault]:
    """Read the checkpoint in `path` back and return what is wrong; nothing is best.

    Raises:
        FileNotFoundError: It is gone.
    """
    with opened(path) as directory:
        try:
            manifest = read_manifest(directory)
        except (CorruptError, FormatError) as error:
            return [Fault(step, path / manifests.MANIFEST, problem_of(error))]
        return [Fault(step, path / name, problem) for name, problem in _check(directory, manifest)]


def _check(directory: Opened, manifest: Manifest) -> Iterator[tuple[str, str]]:
    for name in directory.names():
        if name not in manifest.files and name != manifests.MANIFEST:
            yield name, "the manifest does not list it"
    for name in manifest.files:
        try:
            yield from ((name, problem) for problem in _check_file(directory, manifest, name))
        except EvertrainError as error:
            yield name, problem_of(error)


def _check_file(directory: Opened, manifest: Manifest, name: str) -> Iterator[str]:
    from blake3 import blake3

    path, entry, whole = directory.path / name, manifest.files[name], blake3()
    arrays = {
        key: each
        for entries in manifest.arrays.values()
        for key, each in entries.items()
        if each.file == name
    }
    with directory.file(name) as (file, size_bytes):
        if size_bytes != entry.bytes:
            yield f"it has {size_bytes} bytes instead of {entry.bytes}"
            return
        position = 0
        if name.endswith(manifests.SUFFIX):
            head = _head(file, size_bytes, path)
            whole.update(head)
            position = len(head)
            yield from _check_header(parts.parse_header(head, size_bytes, path), arrays)
        for key, each in sorted(arrays.items(), key=lambda item: item[1].place.offset):
            own = blake3()
            skip(file, each.place.offset - position, path, whole)
            skip(file, each.place.bytes, path, whole, own)
            position = max(position, each.place.offset + each.place.bytes)
            if own.hexdigest() != each.blake3:
                yield f"the digest of {key!r} is {own.hexdigest()[:12]}, not {each.blake3[:12]}"
        skip(file, size_bytes - position, path, whole)
    if whole.hexdigest() != entry.blake3:
        yield f"its digest is {whole.hexdigest()[:12]}, not {entry.blake3[:12]}"


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
