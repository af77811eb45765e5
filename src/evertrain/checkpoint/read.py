"""Reading one checkpoint: nothing is used before its digest is right.

A directory is opened once and its files are opened relative to it, so that a
checkpoint that is pruned meanwhile is read whole or reported as gone.

Layer: checkpoint. Imports core only.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from evertrain.checkpoint import manifest as manifests
from evertrain.checkpoint.check import check_files, fill
from evertrain.checkpoint.contents import Content, contents_of
from evertrain.checkpoint.directory import Opened, opened
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.manifest import ArrayEntry, Manifest
from evertrain.checkpoint.plugin import RawArray, Tree
from evertrain.checkpoint.strict import corrupt
from evertrain.core.errors import EvertrainError, NotFoundError, StateError
from evertrain.core.rundir import parse_step

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Arrays = dict[str, dict[str, RawArray]]


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A checkpoint in memory.

    Attributes:
        info: What the listings say about it.
        state: The trees, by name.
        manifest: Everything that it says about itself.
        mapped: The arrays that lie in the checkpoint's files still, by name.
    """

    info: CheckpointInfo
    state: dict[str, Tree]
    manifest: Manifest
    mapped: Arrays = field(default_factory=dict)

    def apart(self, copied_later: Collection[str]) -> dict[str, Tree]:
        """Return the trees, with memory of their own.

        Args:
            copied_later: Names of which the caller copies every array that it keeps.
        """
        from evertrain.checkpoint.tree import unflatten

        found = {name: self.state[name] for name in self.state if name in copied_later}
        for name in self.state.keys() - found.keys():
            if name not in self.mapped:
                found[name] = self.state[name]
                continue
            own = {
                key: RawArray(raw.dtype, raw.shape, raw.data.copy())
                for key, raw in self.mapped[name].items()
            }
            found[name] = unflatten(self.manifest.skeletons[name], own)
        return found


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
    return _load(path, names, is_own=True)


def map_checkpoint(path: Path, *, names: Collection[str] | None = None) -> Loaded:
    """Load the checkpoint in the directory `path`, its arrays mapped instead of read.

    Every byte is checked, as in `read_checkpoint`. The arrays of the state lie
    in the files still: copy them before they are changed or kept, for the
    disk's space is not free before the last of them is gone.

    Args:
        path: Directory with a `manifest.json`.
        names: As `read_checkpoint`.

    Raises:
        EvertrainError: As `read_checkpoint`.
        FileNotFoundError: There is no such directory.
    """
    return _load(path, names, is_own=False)


def _load(path: Path, names: Collection[str] | None, *, is_own: bool) -> Loaded:
    from evertrain.checkpoint.tree import unflatten  # listings read manifests only

    with opened(path) as directory:
        manifest = read_manifest(directory)
        wanted = list(manifest.skeletons) if names is None else _known(manifest, names, path)
        arrays = _arrays(directory, manifest, wanted, is_own=is_own)
    state = {name: unflatten(manifest.skeletons[name], arrays[name]) for name in wanted}
    info = manifests.to_info(manifest, path)
    return Loaded(info, state, manifest, {} if is_own else arrays)


def _known(manifest: Manifest, names: Collection[str], path: Path) -> list[str]:
    missing = sorted(set(names) - manifest.skeletons.keys())
    if missing:
        raise NotFoundError(
            f"{path} holds no {', '.join(map(repr, missing))}.",
            f"it holds {', '.join(map(repr, manifest.skeletons)) or 'nothing'}.",
            "Ask for one of these.",
        )
    return [name for name in manifest.skeletons if name in names]


def _arrays(directory: Opened, manifest: Manifest, wanted: list[str], *, is_own: bool) -> Arrays:
    """Check every byte of what is wanted, in memory of its own or mapped where it lies."""
    entries = {name: manifest.arrays.get(name, {}) for name in wanted}
    files = contents_of(manifest, wanted)
    if is_own:
        found = {
            (name, key): _room(entry.bytes, directory.path)
            for name, inside in entries.items()
            for key, entry in inside.items()
        }
        check_files(directory, manifest, files, lambda each: _place(found, each))
    else:
        check_files(directory, manifest, files)
        mapping = _Mapping(directory)
        found = {
            (name, key): mapping.data(entry)
            for name, inside in entries.items()
            for key, entry in inside.items()
        }
    return {
        name: {
            key: RawArray(entry.dtype, entry.shape, found[name, key])
            for key, entry in inside.items()
        }
        for name, inside in entries.items()
    }


def _place(found: "dict[tuple[str, str], npt.NDArray[np.uint8]]", content: Content) -> memoryview:
    """Return where what lies in one file belongs."""
    return found[content.name, content.key][content.start : content.end].data


def read_arrays(directory: Opened, manifest: Manifest, name: str) -> dict[str, RawArray]:
    """Return the arrays of one attached object, by key, every byte of their files checked.

    Raises:
        CorruptError: A byte is not what was written.
        StateError: They need more memory than there is.
    """
    return _arrays(directory, manifest, [name], is_own=True)[name]


def map_array(directory: Opened, manifest: Manifest, name: str, key: str) -> RawArray:
    """Return one array of an attached object as it lies in its files, which are not checked.

    Only an array whose parts lie in several places is read into memory.

    Raises:
        CorruptError: A file of it cannot be mapped or read.
        StateError: It needs more memory than there is.
    """
    entry = manifest.arrays[name][key]
    return RawArray(entry.dtype, entry.shape, _Mapping(directory).data(entry))


class _Mapping:
    """Gets arrays out of the files of one checkpoint, without a look at their digests.

    A map holds a descriptor as long as it lives, and a cut array may lie in thousands of
    files. So only what lies in one piece is mapped; the rest is read, a file at a time.
    """

    def __init__(self, directory: Opened) -> None:
        self._directory = directory
        self._maps: dict[str, npt.NDArray[np.uint8]] = {}

    def data(self, entry: ArrayEntry) -> "npt.NDArray[np.uint8]":
        """Return an array's bytes."""
        if len(entry.extents) == 1:
            (extent,) = entry.extents
            return self._map(extent.file)[extent.offset : extent.offset + entry.bytes]
        data = _room(entry.bytes, self._directory.path)
        for extent, start, end in entry.spans():
            if start == end:
                continue
            with self._directory.file(extent.file) as (file, _):
                file.seek(extent.offset)
                fill(file, data[start:end].data, self._directory.path / extent.file)
        return data

    def _map(self, name: str) -> "npt.NDArray[np.uint8]":
        if name not in self._maps:
            self._maps[name] = _mapped(self._directory, name)
        return self._maps[name]


def _mapped(directory: Opened, name: str) -> "npt.NDArray[np.uint8]":
    """Map a file privately: whoever writes to it writes to memory of his own."""
    import mmap

    import numpy as np

    with directory.file(name) as (file, size_bytes):
        try:
            view = mmap.mmap(file.fileno(), size_bytes, access=mmap.ACCESS_COPY)
        except ValueError as error:
            raise corrupt(directory.path / name, f"it cannot be mapped ({error})") from error
        except OSError as error:  # the process may have no more; the checkpoint is none the worse
            raise EvertrainError(
                f"{directory.path / name} cannot be mapped into memory: {error}.",
                "the checkpoint is whole; the system gives this process no more memory or files.",
                "Raise its limits (ulimit -n, ulimit -v), then resume.",
            ) from error
    return np.frombuffer(view, np.uint8)


def _room(size_bytes: int, path: Path) -> "npt.NDArray[np.uint8]":
    import numpy as np

    try:
        return np.empty(size_bytes, np.uint8)
    except MemoryError as error:
        raise StateError(
            f"{path} holds an array of {size_bytes} bytes.",
            "this machine has no room for it in memory.",
            "Load it on a larger machine, or only some objects: load(step, names=[...]).",
        ) from error
