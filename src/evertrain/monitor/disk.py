"""What lies on the disk: sizes, and the ends of files that may be huge.

Layer: monitor. Imports checkpoint and core.
"""

import os
from pathlib import Path
from typing import Final

from evertrain.checkpoint.share import files_below
from evertrain.core.journal import Row, parse_lines
from evertrain.core.regular import open_regular

_TAIL_BYTES: Final = 65_536


def disk_bytes(path: Path) -> int:
    """Return the bytes of all files below `path`, hard-linked ones once."""
    seen: set[tuple[int, int]] = set()
    total_bytes = 0
    for found in files_below(path):
        key = (found.st_dev, found.st_ino)
        if found.st_nlink == 1 or key not in seen:
            seen.add(key)
            total_bytes += found.st_size
    return total_bytes


def tail_rows(path: Path) -> tuple[Row, ...]:
    """Return the rows at the end of a file that may be huge."""
    try:
        with open_regular(path) as file:
            size_bytes = file.seek(0, os.SEEK_END)
            file.seek(max(0, size_bytes - _TAIL_BYTES))
            return parse_lines(file.read()).rows
    except OSError:
        return ()
