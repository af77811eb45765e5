"""Reading one checkpoint: nothing is used before its digest is right.

A directory is opened once and its files are opened relative to it, so that a
checkpoint that is pruned meanwhile is read whole or reported as gone.

Layer: checkpoint. Imports core only.
"""

import errno
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from evertrain.checkpoint import manifest as manifests
from evertrain.checkpoint import parts
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.manifest import ArrayEntry, Manifest
from evertrain.checkpoint.plugin import RawArray, Tree
from evertrain.checkpoint.strict import corrupt
from evertrain.core.errors import NotFoundError, StateError
from evertrain.core.rundir import parse_step

if TYPE_CHECKING:
    from blake3 import blake3

_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A checkpoint in memory.

    Attributes:
        info: What the listings say about it.
        state: The trees, by name.
        manifest: Everything that it says about itself.
    """

    info: CheckpointInfo
    state: dict[str, Tree]
    manifest: Manifest


class Opened:
    """A checkpoint's directory, held open.

    Attributes:
        path: Where it was.
    """

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            FileNotFoundError: There is no such directory.
        """
        self.path = path
        self._handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let it go."""
        os.close(self._handle)

    def names(self) -> list[str]:
        """Return the names in it."""
        return sorted(os.listdir(self._handle))  # noqa: PTH208  (a descriptor, no path)

    @contextmanager
    def file(self, name: str) -> Iterator[tuple[Any, int]]:
        """Open a regular file of it: the file, unbuffered, and its size in bytes.

        Raises:
            CorruptError: It is missing, no regular file, or cannot be read.
            FileNotFoundError: The whole checkpoint is gone.
        """
        path = self.path / name
        try:
            handle = os.open(name, _FLAGS, dir_fd=self._handle)
        except FileNotFoundError:
            if not self._is_in_place():
                raise
            raise corrupt(path, "it is missing") from None
        except OSError as error:
            if error.errno not in {errno.ELOOP, errno.ENXIO, errno.EIO}:
                raise
            raise corrupt(path, f"it cannot be opened ({error})") from error
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            os.close(handle)
            raise corrupt(path, "it is no regular file")
        with os.fdopen(handle, "rb", buffering=0) as file:
            yield file, found.st_size

    def _is_in_place(self) -> bool:
        """Say whether the directory still has its name: pruning takes it away first."""
        try:
            there, here = self.path.stat(), os.fstat(self._handle)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open the checkpoint in the directory `path`.

    Raises:
        FileNotFoundError: There is no such directory.
    """
    directory = Opened(path)
    try:
        yield directory
    finally:
        directory.close()


def read_manifest(directory: Opened) -> Manifest:
    """Return what the checkpoint says about itself.

    Raises:
        CorruptError: It is missing or damaged, or the directory is named for another step.
        FormatError: A newer version wrote it.
        FileNotFoundError: The whole checkpoint is gone.
    """
    path = directory.path / manifests.MANIFEST
    with directory.file(manifests.MANIFEST) as (file, size_bytes):
        if size_bytes > manifests.MAX_BYTES:
            raise corrupt(path, f"it has {size_bytes} bytes")
        data = bytearray(size_bytes)
        fill(file, memoryview(data), path)
    manifest = manifests.parse(bytes(data), path)
    if parse_step(directory.path.name) not in {None, manifest.step}:
        raise corrupt(path, f"it is of step {manifest.step}, under another name")
    return manifest


def read_checkpoint(path: Path, *, names: Collection[str] | None = None) -> Loaded:
    """Load the checkpoint in the directory `path`, wherever that is.

    Args:
        path: Directory with a `manifest.json`.
        names: The attached objects to load; None loads all. The files of
            the others are not even opened.

    Raises:
        CorruptError: A byte of what is read is not what was written.
        FormatError: A newer version wrote it.
        StateError: It needs a type that the program has not registered, or
            more memory than there is.
        MissingExtraError: It needs a package that is not installed.
        NotFoundError: `names` asks for an object that it does not hold.
        FileNotFoundError: There is no such directory.
    """
    from evertrain.checkpoint.tree import unflatten  # listings read manifests only

    with opened(path) as directory:
        manifest = read_manifest(directory)
        wanted = list(manifest.skeletons) if names is None else _known(manifest, names, path)
        arrays = {name: read_arrays(directory, manifest, name) for name in wanted}
    state = {name: unflatten(manifest.skeletons[name], arrays[name]) for name in wanted}
    return Loaded(manifests.to_info(manifest, path), state, manifest)


def fill(file: Any, view: memoryview, path: Path, *hashers: "blake3") -> None:
    """Read exactly as many bytes as fit into `view`, a chunk at a time.

    Raises:
        CorruptError: The file ends too early, or the medium cannot be read.
    """
    done = 0
    while done < len(view):
        try:
            count = file.readinto(view[done : done + parts.CHUNK_BYTES])
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            raise corrupt(path, f"the disk cannot read it ({error})") from error
        if not count:
            raise corrupt(path, f"it ends after {done} of {len(view)} bytes")
        for hasher in hashers:
            hasher.update(view[done : done + count])
        done += count


def _known(manifest: Manifest, names: Collection[str], path: Path) -> list[str]:
    missing = sorted(set(names) - manifest.skeletons.keys())
    if missing:
        raise NotFoundError(
            f"{path} holds no {', '.join(map(repr, missing))}.",
            f"it holds {', '.join(map(repr, manifest.skeletons)) or 'nothing'}.",
            "Ask for one of these.",
        )
    return [name for name in manifest.skeletons if name in names]


def read_arrays(directory: Opened, manifest: Manifest, name: str) -> dict[str, RawArray]:
    """Return the arrays of one attached object, by key, every byte of their files checked.

    Raises:
        CorruptError: A byte is not what was written.
        StateError: They need more memory than there is.
    """
    entries = manifest.arrays.get(name, {})
    found: dict[str, RawArray] = {}
    for file in sorted({each.file for each in entries.values()}):
        mine = {key: each for key, each in entries.items() if each.file == file}
        found |= _read_part(directory, manifest, file, mine)
    return found


def _read_part(
    directory: Opened, manifest: Manifest, name: str, entries: Mapping[str, ArrayEntry]
) -> dict[str, RawArray]:
    """Read one file whole: each wanted array into memory of its own, the rest past it."""
    from blake3 import blake3

    path, entry = directory.path / name, manifest.files[name]
    hasher = blake3()
    found: dict[str, RawArray] = {}
    with directory.file(name) as (file, size_bytes):
        if size_bytes != entry.bytes:
            raise corrupt(path, f"it has {size_bytes} bytes instead of {entry.bytes}")
        position = 0
        for key, each in sorted(entries.items(), key=lambda item: _order(item[1])):
            skip(file, each.place.offset - position, path, hasher)
            data = _room(each.place.bytes, path)
            fill(file, memoryview(data), path, hasher)
            found[key] = RawArray(each.place.dtype, each.place.shape, data)
            position = each.place.offset + each.place.bytes
        skip(file, size_bytes - position, path, hasher)
    if hasher.hexdigest() != entry.blake3:
        raise corrupt(path, f"its digest is {hasher.hexdigest()[:12]}, not {entry.blake3[:12]}")
    return found


def skip(file: Any, count: int, path: Path, *hashers: "blake3") -> None:
    """Read `count` bytes for their digest only.

    Raises:
        CorruptError: As `fill`.
    """
    room = memoryview(bytearray(min(count, parts.CHUNK_BYTES)))
    while count > 0:
        fill(file, room[: min(count, len(room))], path, *hashers)
        count -= len(room)


def _order(entry: ArrayEntry) -> tuple[int, int]:
    return entry.place.offset, entry.place.bytes


def _room(size_bytes: int, path: Path) -> Any:
    import numpy as np

    try:
        return np.empty(size_bytes, np.uint8)
    except MemoryError as error:
        raise StateError(
            f"{path} holds an array of {size_bytes} bytes.",
            "this machine has no room for it in memory.",
            "Load it on a larger machine, or only some objects: load(step, names=[...]).",
        ) from error
