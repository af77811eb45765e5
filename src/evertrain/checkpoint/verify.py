"""Reading checkpoints back, every byte of them, and saying what is wrong.

A file that several checkpoints share is read once; each compares what is in it
with its own manifest, so a rotten one is found in all of them.

Layer: checkpoint. Imports core only.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evertrain.checkpoint import manifest as manifests
from evertrain.checkpoint import parts
from evertrain.checkpoint.check import Span, fill, pieces_of, problems
from evertrain.checkpoint.contents import Content, contents_of
from evertrain.checkpoint.directory import Opened, opened
from evertrain.checkpoint.manifest import Manifest
from evertrain.checkpoint.read import read_manifest
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


# Digests by first byte and length, of files by device, inode, size and time (ns): a file that
# has been read under one name need not be read under another.
Memory = dict[tuple[int, int, int, int], dict[Span, str]]


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
    contents = contents_of(manifest)
    for name in manifest.files:
        found = _check_file(directory, manifest, name, contents.get(name, []), memory)
        try:
            yield from ((name, problem) for problem in found)
        except EvertrainError as error:
            yield name, problem_of(error)


def _check_file(
    directory: Opened, manifest: Manifest, name: str, contents: list[Content], memory: Memory
) -> Iterator[str]:
    with directory.file(name) as (file, _):
        about = os.fstat(file.fileno())
    known = {}
    if about.st_nlink > 1:
        stamp = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
        known = memory.setdefault(stamp, {})
    pieces = pieces_of(manifest, name, contents)
    found = list(problems(directory, manifest, name, pieces, known))
    yield from found
    if contents and not found:
        with directory.file(name) as (file, size_bytes):
            head = bytearray(manifest.files[name].head_bytes)
            fill(file, memoryview(head), directory.path / name)
        placed = parts.parse_header(bytes(head), size_bytes, directory.path / name)
        yield from _check_header(placed, {each.title: each.placed for each in contents})


def _check_header(found: dict[str, parts.Placed], said: dict[str, parts.Placed]) -> Iterator[str]:
    for key in sorted(found.keys() | said.keys()):
        if found.get(key) != said.get(key):
            yield f"its header and the manifest disagree on {key!r}"
