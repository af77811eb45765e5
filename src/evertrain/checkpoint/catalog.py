"""Which checkpoints there are: from their manifests, each read once, or from the index.

Layer: checkpoint. Imports core only.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from evertrain.checkpoint.directory import opened
from evertrain.checkpoint.index import Known, Stamp, read_index, refresh
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.manifest import MANIFEST, to_info
from evertrain.checkpoint.read import read_manifest
from evertrain.core.errors import CorruptError, FormatError
from evertrain.core.refusal import refusal
from evertrain.core.rundir import parse_step

if TYPE_CHECKING:
    from evertrain.checkpoint.commit import Tools  # saving is not part of listing

PINS: Final = "pins"
DEMOTED: Final = "demoted"


class Catalog:
    """The listing of one directory of checkpoints. Reading it takes no lock.

    Args:
        root: The directory; it need not exist.
    """

    def __init__(self, root: Path) -> None:
        """Read nothing yet."""
        self._root = root
        self._known: Known | None = None

    def infos(self) -> list[CheckpointInfo]:
        """Return what can be read, ascending by step. Damaged ones are left out."""
        return self._scan()[0]

    def newest(self) -> CheckpointInfo | None:
        """Return the readable one of the highest step; looks at no other."""
        known = self._known or {}
        for name in _step_names_descending(self._root):
            info = self._look(name, known)
            if info is not None:
                return self._pinned(name, info)
        return None

    def find(self, name: str) -> CheckpointInfo | None:
        """Return the one of that name, or None if it cannot be read."""
        info = self._look(name, self._known or {})
        return None if info is None else self._pinned(name, info)

    def learn(self, info: CheckpointInfo) -> None:
        """Remember a checkpoint just written: nobody needs to read its manifest again."""
        name = info.path.name
        with suppress(OSError):
            known = read_index(self._root) if self._known is None else dict(self._known)
            known[name] = (_stamp((info.path / MANIFEST).lstat()), info)
            self._known = known

    def _pinned(self, name: str, info: CheckpointInfo) -> CheckpointInfo:
        is_pinned = (self._root / PINS / name).exists()
        return replace(info, is_pinned=True) if is_pinned else info

    def refresh(self, tools: "Tools") -> None:
        """Bring the links and `index.json` up to date.

        Raises:
            OSError: The disk refused.
        """
        infos, known = self._scan()
        refresh(self._root, infos, {name: each[0] for name, each in known.items()}, tools)

    def _scan(self) -> tuple[list[CheckpointInfo], Known]:
        pins = pinned_names(self._root)
        names = step_names(self._root)
        known = read_index(self._root) if self._known is None else self._known
        known = {name: known[name] for name in names if name in known}
        found = [(name, self._look(name, known)) for name in names]
        self._known = known
        infos = [
            replace(info, is_pinned=True) if name in pins else info
            for name, info in found
            if info is not None
        ]
        return infos, known

    def _look(self, name: str, known: Known) -> CheckpointInfo | None:
        try:
            # Of each checkpoint at each save: a Path per file would triple its time.
            stamp = _stamp(os.stat(f"{self._root}/{name}/{MANIFEST}", follow_symlinks=False))  # noqa: PTH116
            if name not in known or known[name][0] != stamp:
                known[name] = (stamp, _read(self._root / name))
        except OSError:
            return None
        return known[name][1]


def step_names(root: Path) -> list[str]:
    """Return the names of the checkpoints' directories, ascending by step, readable or not.

    Raises:
        EvertrainError: The directory may not be read, or is a loop of links.
    """
    try:
        with os.scandir(root) as entries:
            names = [
                each.name
                for each in entries
                if parse_step(each.name) is not None and each.is_dir(follow_symlinks=False)
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:  # there may be checkpoints: none would be a lie
        raise refusal(error, root) from error
    return sorted(names, key=lambda name: (len(name), name))


def misplaced_names(root: Path) -> list[str]:
    """Return the names that checkpoints should have, and that something else has: files, links."""
    try:
        with os.scandir(root) as entries:
            found = [each for each in entries if parse_step(each.name) is not None]
            return sorted(each.name for each in found if not each.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _step_names_descending(root: Path) -> Iterator[str]:
    """Yield names that may be checkpoints, the highest step first. Sorts no further than asked."""
    try:
        names = set(filter(str.isdecimal, os.listdir(root)))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return
    while names:
        length = max(map(len, names))
        name = max(each for each in names if len(each) == length)
        if parse_step(name) is not None and not (root / name).is_symlink():
            yield name
        names.discard(name)


def pinned_names(root: Path) -> frozenset[str]:
    """Return the names of the checkpoints that a person asked to keep."""
    try:
        return frozenset(os.listdir(root / PINS))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except OSError as error:  # what is pinned must not pass for unpinned
        raise refusal(error, root / PINS) from error


def demoted(root: Path) -> list[CheckpointInfo]:
    """Return the readable demoted checkpoints, ascending by step; of one step the latest last."""
    try:
        names = os.listdir(root / DEMOTED)  # noqa: PTH208
    except OSError:  # nearly always: there is none
        return []
    found = []
    for name in names:
        with suppress(OSError):  # the note beside one, or not readable
            found += [info for info in [_read(root / DEMOTED / name)] if info is not None]
    return sorted(found, key=lambda info: (info.step, info.attempt, info.path.name))


def _read(path: Path) -> CheckpointInfo | None:
    try:
        with opened(path) as directory:
            return to_info(read_manifest(directory), path)
    except (CorruptError, FormatError):
        return None


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_ino, found.st_mtime_ns, found.st_size
