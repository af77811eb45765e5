"""What checkpoints share on the disk: a file with several names is there once.

The link count is the garbage collector: the bytes of a file are free when the
last of its names is gone.

Layer: checkpoint. Imports core only.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from evertrain.core.disk import Size


def disk_bytes(path: Path, seen: set[tuple[int, int]] | None = None) -> int:
    """Return the bytes of all files below `path`, those of several names once.

    Args:
        path: A directory.
        seen: Files of several names that were counted elsewhere; new ones are added.
    """
    seen = set() if seen is None else seen
    total_bytes = 0
    for found in files_below(path):
        if found.st_nlink > 1:
            key = (found.st_dev, found.st_ino)
            if key in seen:
                continue
            seen.add(key)
        total_bytes += found.st_size
    return total_bytes


def added_bytes(paths: Sequence[Path]) -> list[int]:
    """Return the bytes that each directory adds to what those before it hold already."""
    seen: set[tuple[int, int]] = set()
    return [disk_bytes(path, seen) for path in paths]


def freed(paths: Sequence[Path]) -> Size:
    """Return what would be free without these directories: no name elsewhere has it."""
    names: dict[tuple[int, int], int] = {}
    size_bytes = count = 0
    for path in paths:
        for found in files_below(path):
            key = (found.st_dev, found.st_ino)
            names[key] = names.get(key, 0) + 1
            if names[key] == found.st_nlink:
                size_bytes += found.st_size
                count += 1
    return Size(size_bytes, count)


def files_below(path: Path) -> Iterator[os.stat_result]:
    """Yield what the system says of each file below `path`; one that vanishes is left out."""
    waiting = [os.fspath(path)]
    while waiting:  # of every checkpoint of a run: no Path, and no call for each directory
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield entry.stat(follow_symlinks=False)
            except OSError:
                continue
