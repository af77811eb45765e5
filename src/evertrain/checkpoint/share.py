"""What checkpoints share on the disk: a file with several names is there once.

The link count is the garbage collector: the bytes of a file are free when the
last of its names is gone.

Layer: checkpoint. Imports nothing from evertrain.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path


def added_bytes(paths: Sequence[Path]) -> list[int]:
    """Return the bytes that each directory adds to what those before it hold already."""
    seen: set[tuple[int, int]] = set()
    added = []
    for path in paths:
        size_bytes = 0
        for found in files_below(path):
            key = (found.st_dev, found.st_ino)
            if found.st_nlink == 1 or key not in seen:
                seen.add(key)
                size_bytes += found.st_size
        added.append(size_bytes)
    return added


def freed_bytes(paths: Sequence[Path]) -> int:
    """Return the bytes that would be free without these directories: no name elsewhere has them."""
    names: dict[tuple[int, int], int] = {}
    total_bytes = 0
    for path in paths:
        for found in files_below(path):
            key = (found.st_dev, found.st_ino)
            names[key] = names.get(key, 0) + 1
            if names[key] == found.st_nlink:
                total_bytes += found.st_size
    return total_bytes


def files_below(path: Path) -> Iterator[os.stat_result]:
    """Yield what the system says of each file below `path`; one that vanishes is left out."""
    try:
        entries = list(os.scandir(path))
    except OSError:
        return
    for entry in entries:
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        if stat.S_ISDIR(found.st_mode):
            yield from files_below(Path(entry.path))
        elif stat.S_ISREG(found.st_mode):
            yield found
