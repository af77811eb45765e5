"""Reading a checkpoint back, every byte of it, and saying what is wrong.

Layer: checkpoint. Imports core only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evertrain.checkpoint import manifest as manifests
from evertrain.checkpoint import parts
from evertrain.checkpoint.check import fill, pieces_of, problems
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
    contents = contents_of(manifest)
    for name in manifest.files:
        found = _check_file(directory, manifest, name, contents.get(name, []))
        try:
            yield from ((name, problem) for problem in found)
        except EvertrainError as error:
            yield name, problem_of(error)


def _check_file(
    directory: Opened, manifest: Manifest, name: str, contents: list[Content]
) -> Iterator[str]:
    found = list(problems(directory, manifest, name, pieces_of(manifest, name, contents)))
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
