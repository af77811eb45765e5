"""What the system refuses, said so that a person can act on it.

A full disk may have room tomorrow: that is a `SaveError`. What stands in the
way or is forbidden stays so until somebody changes it: that is a `ConfigError`.

Layer: core. Imports core only.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from evertrain.core.errors import ConfigError, EvertrainError, SaveError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM})
_IN_THE_WAY: Final = frozenset(
    {
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.ELOOP,
        errno.ENXIO,
        errno.ENODEV,
        errno.EFBIG,
    }
)


def is_full(error: BaseException) -> bool:
    """Say whether an error, or what it came from, is a disk or a quota that is full."""
    return any(getattr(each, "errno", None) in _FULL for each in (error, error.__cause__))


@contextmanager
def refusing(place: Path) -> Iterator[None]:
    """Turn an `OSError` of the block into an `EvertrainError`.

    Args:
        place: What to name where the system does not say which file it was.
    """
    try:
        yield
    except OSError as error:
        raise refusal(error, place) from error


def refusal(error: OSError, place: Path | None = None) -> EvertrainError:
    """Return what an `OSError` means, and what to do about it.

    Args:
        error: What the system said.
        place: What to name where it does not say which file it was.
    """
    path = _named(error) or place or Path("the output")
    said = error.strerror or str(error) or type(error).__name__
    if error.errno in _FULL:
        return SaveError(
            f"{path} cannot be written: {said}.",
            "the disk or its quota is full, in bytes or in files; a run needs room to be saved.",
            f"Free some (look with: df -h {_nearest(path)}; df -i {_nearest(path)}), "
            "or choose another place: --run DIR",
        )
    if error.errno == errno.EROFS:
        return ConfigError(
            f"{path} cannot be written: {said}.",
            "the file system is mounted read-only; a run writes its journal and checkpoints there.",
            "Mount it for writing (after an error of the disk: see dmesg), "
            "or choose another place: --run DIR",
        )
    if error.errno in _FORBIDDEN:
        return ConfigError(
            f"{path} cannot be used: {said}.",
            "evertrain reads and writes the files of a run as the user that you are.",
            f"Look at its owner and permissions: ls -ld {path}",
        )
    if error.errno in _IN_THE_WAY:
        return ConfigError(
            f"{path} is not what belongs there: {said}.",
            "a file, a directory or a link of another kind, or far larger, stands where a run"
            " has its own.",
            f"Look at it, and move it away: ls -ld {path}",
        )
    if error.errno == errno.ENAMETOOLONG:
        return ConfigError(
            f"{str(path)[:80]}... cannot be used: {said}.",
            "a file system limits the length of a name and of a path.",
            "Choose a shorter name: --run runs/NAME",
        )
    return _lost_place(error) or EvertrainError(
        f"{path} cannot be used: {said}.",
        "the system refused, and evertrain does not guess around that.",
        "See whether the disk is there and healthy: dmesg; evertrain doctor",
    )


def _lost_place(error: OSError) -> ConfigError | None:
    """Return what to say where the working directory is gone, from which paths begin."""
    if error.errno != errno.ENOENT or _named(error) is not None:
        return None
    try:
        Path.cwd()
    except FileNotFoundError:
        return ConfigError(
            "the working directory is not there any more.",
            "it was removed, and perhaps made anew, since you went there.",
            'Go there again: cd "$PWD"',
        )
    return None


def _named(error: OSError) -> Path | None:
    name = error.filename
    return Path(os.fsdecode(name)) if isinstance(name, (str, bytes)) else None


def _nearest(path: Path) -> Path:
    """Return the closest directory above `path` that is there, for commands to look at."""
    return next((each for each in path.absolute().parents if os.path.isdir(each)), Path("/"))  # noqa: PTH112
