"""What the disk refused, said instead of where in the program.

Layer: cli.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evertrain.core.errors import EvertrainError


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an error of the disk into one of ours.

    Args:
        path: What is written. An error of a file that does not lie beside it names that file.

    Raises:
        EvertrainError: The disk refused something.
    """
    try:
        yield
    except OSError as error:
        refused = _refused(error, path)
        raise EvertrainError(
            f"{refused}: the disk refused: {error}.",
            "whatever is not finished does not count, and can be done again.",
            f"Look at: df -h; ls -ld {refused}",
        ) from error


def _refused(error: OSError, path: Path) -> Path:
    if not isinstance(error.filename, (str, bytes)):
        return path
    named = Path(os.fsdecode(error.filename))
    is_beside = named.absolute().is_relative_to(path.absolute().parent)  # the unfinished file
    return path if is_beside and named.name.startswith(".") else named
