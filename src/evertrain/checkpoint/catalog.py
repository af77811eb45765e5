"""Which checkpoints there are: read from their manifests, each of them once.

Layer: checkpoint. Imports core only.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Final

from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.manifest import MANIFEST, to_info
from evertrain.checkpoint.read import opened, read_manifest
from evertrain.core.errors import CorruptError, FormatError
from evertrain.core.rundir import parse_step

# Identifies the bytes of a manifest without reading them.
Stamp = tuple[int, int, int]

PINS: Final = "pins"


class Catalog:
    """The listing of one directory of checkpoints. Takes no lock, writes nothing.

    Args:
        root: The directory; it need not exist.
    """

    def __init__(self, root: Path) -> None:
        """Read nothing yet."""
        self._root = root
        self._known: dict[str, tuple[Stamp, CheckpointInfo | None]] = {}

    def infos(self) -> list[CheckpointInfo]:
        """Return what can be read, ascending by step. Damaged ones are left out."""
        pins = pinned_names(self._root)
        names = step_names(self._root)
        for gone in self._known.keys() - set(names):
            self._known.pop(gone, None)
        found = ((name, self._look(name)) for name in names)
        return [
            replace(info, is_pinned=True) if name in pins else info
            for name, info in found
            if info is not None
        ]

    def _look(self, name: str) -> CheckpointInfo | None:
        path = self._root / name
        try:
            stamp = _stamp(path / MANIFEST)
            known = self._known.get(name)
            if known is None or known[0] != stamp:
                known = (stamp, _read(path))
                self._known[name] = known
        except OSError:
            return None
        return known[1]


def step_names(root: Path) -> list[str]:
    """Return the names of the checkpoints' directories, ascending by step, readable or not."""
    try:
        with os.scandir(root) as entries:
            names = [
                each.name
                for each in entries
                if parse_step(each.name) is not None and each.is_dir(follow_symlinks=False)
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(names, key=lambda name: (len(name), name))


def pinned_names(root: Path) -> frozenset[str]:
    """Return the names of the checkpoints that a person asked to keep."""
    try:
        return frozenset(os.listdir(root / PINS))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()


def _read(path: Path) -> CheckpointInfo | None:
    try:
        with opened(path) as directory:
            return to_info(read_manifest(directory), path)
    except (CorruptError, FormatError):
        return None


def _stamp(path: Path) -> Stamp:
    found = path.stat(follow_symlinks=False)
    return found.st_ino, found.st_mtime_ns, found.st_size
