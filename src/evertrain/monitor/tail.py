"""The ends of files that may be huge.

Layer: monitor. Imports core only.
"""

import os
from pathlib import Path
from typing import Final

from evertrain.core.journal import Row, parse_lines
from evertrain.core.regular import open_regular

_TAIL_BYTES: Final = 65_536


def tail_rows(path: Path) -> tuple[Row, ...]:
    """Return the rows at the end of a file that may be huge."""
    try:
        with open_regular(path) as file:
            size_bytes = file.seek(0, os.SEEK_END)
            file.seek(max(0, size_bytes - _TAIL_BYTES))
            return parse_lines(file.read()).rows
    except OSError:
        return ()
