"""What the disk refused, said instead of where in the program.

Layer: cli.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evertrain.core.errors import EvertrainError


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an error of the disk into one of ours.

    Raises:
        EvertrainError: The disk refused something.
    """
    try:
        yield
    except OSError as error:
        raise EvertrainError(
            f"{path}: the disk refused: {error}.",
            "whatever is not finished does not count, and can be done again.",
            "Look at: df -h; ls -ld " + str(path),
        ) from error
