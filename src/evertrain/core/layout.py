"""Whether a place can hold a run, found out before anything there is touched.

Layer: core. Imports core only.
"""

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from evertrain.core.errors import ConfigError
from evertrain.core.journal import Journal

_IDENTITY: Final = "run.json"
# What evertrain itself may put into a directory before that exists.
_OURS: Final = frozenset(
    {
        "lock",
        "supervisor.lock",
        "shim.lock",
        "journal.jsonl",
        "heartbeat",
        "logs",
        "crashes",
        "inbox",
        "ladder",
    }
)
# What evertrain puts into a directory that may be a link to another disk.
_KEPT: Final = {
    "checkpoints": re.compile(
        r"[0-9]{9,19}|latest|best|index\.json|pins|emergency|superseded|quarantine|demoted|trash"
    ),
    "logs": re.compile(r"attempt-[0-9]{4,}\.log(\.[0-9]{4,}(\.gz|\.zst)?)?"),
    "crashes": re.compile(r"attempt-[0-9]{4,}(\.json|\.errors\.jsonl|\.fault\.txt|-stacks\.txt)"),
    "inbox": re.compile(r"[^/]*\.json"),
}
_SHELVES: Final = ("pins", "emergency", "superseded", "quarantine", "demoted", "trash")
_OF_THE_DISK: Final = "lost+found"


def check_kind(path: Path) -> None:
    """Refuse a run directory that is there and is no directory.

    Raises:
        ConfigError: It is a file, or a symbolic link that leads nowhere.
    """
    try:
        is_dir = stat.S_ISDIR(path.stat().st_mode)  # one look: a rival may just be making it
    except OSError as error:
        if path.is_symlink():
            raise _dangling(path) from error
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return
        raise
    if not is_dir:
        raise ConfigError(
            f"{path} is a file.",
            "a run is a directory.",
            "Give another path: --run runs/NAME",
        )


def check_unmixed(path: Path) -> None:
    """Refuse a directory that holds what is not evertrain's.

    Raises:
        ConfigError: The message names what is there.
    """
    foreign = sorted(_foreign_names(path)) if path.is_dir() else []
    if foreign and not (path / _IDENTITY).exists():  # a rival makes that one first
        raise ConfigError(
            f"{path} holds other things ({', '.join(foreign[:3])}) and no run.json.",
            "a run would mix its files with theirs, and its retention would delete there.",
            f"Give an empty or new directory: --run {path / 'run'}",
        )


def tells_of_attempts(journal: Path) -> bool:
    """Say whether there is a journal that only a run can have: attempts are told in it."""
    return Journal(journal).last("attempt_started", "launched") is not None


def check_entries(directories: Iterable[Path], files: Iterable[Path]) -> None:
    """Refuse what stands where a run has its own; what is missing is fine.

    A link to a directory is welcome, as far as `check_links` allows: checkpoints may lie
    on another disk. A link to a file is not: what is written there would go elsewhere.

    Args:
        directories: What must be directories that can be written.
        files: What must be regular files that can be read and written.

    Raises:
        ConfigError: One of them is something else, leads nowhere, or is forbidden.
    """
    for path in directories:
        if _is_there(path):
            _check_entry(path, "directory", os.R_OK | os.W_OK | os.X_OK, is_kind=path.is_dir())
            check_link(path)
    for path in files:
        if _is_there(path):
            _check_entry(path, "file", os.R_OK | os.W_OK, is_kind=path.is_file())
            if path.is_symlink():
                raise _leading_out(path, "a link there would have a run write elsewhere.")


def check_link(path: Path) -> None:
    """Refuse a directory of a run that is a link to anything but such a directory.

    A run empties its trash, and prunes: what a link leads to must be its own.

    Raises:
        ConfigError: What it leads to holds other things, or one of its shelves is a link.
    """
    if path.is_symlink() and path.is_dir():
        kept = _KEPT[path.name]
        foreign = sorted(
            name
            for name in os.listdir(path)  # noqa: PTH208
            if not kept.fullmatch(name) and not name.startswith(".") and name != _OF_THE_DISK
        )
        if foreign:
            raise _leading_out(path, f"other things are there ({', '.join(foreign[:3])}).")
    for shelf in _SHELVES if path.name == "checkpoints" else ():
        if (path / shelf).is_symlink():
            raise _leading_out(path / shelf, "a run deletes what lies in its trash.")


def check_writable(path: Path) -> None:
    """Refuse a place where nothing can be created.

    Raises:
        ConfigError: The message names the directory that forbids it.
    """
    nearest = next(each for each in (path, *path.absolute().parents) if each.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return
    if nearest.is_dir() and os.statvfs(nearest).f_flag & os.ST_RDONLY:
        raise ConfigError(
            f"{path} cannot be written: the file system of {nearest} is read-only.",
            "a run saves its checkpoints, journal and logs there.",
            "Choose another place (--run DIR), or mount it for writing "
            "(after an error of the disk: see dmesg)",
        )
    raise ConfigError(
        f"{path} cannot be written: {nearest} is not a writable directory.",
        "a run saves its checkpoints, journal and logs there.",
        f"Choose another place (--run DIR), or: chmod u+w {nearest}",
    )


def _is_there(path: Path) -> bool:
    return os.path.lexists(path)


def _check_entry(path: Path, kind: str, mode: int, *, is_kind: bool) -> None:
    if path.is_symlink() and not path.exists():
        raise _dangling(path)
    if not is_kind:
        raise ConfigError(
            f"{path} is no {kind}.",
            f"a run has a {kind} of that name, and could not be saved.",
            f"Look at it, and move it away: ls -ld {path}",
        )
    if not os.access(path, mode):
        raise ConfigError(
            f"{path} cannot be read and written.",
            "a run goes on with what is in it.",
            f"Look at its owner and permissions: ls -ld {path}",
        )


def _leading_out(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path} is a symbolic link to {path.readlink()}.",
        why,
        f"Look at it, and remove the link if it is not yours: ls -ld {path}",
    )


def _dangling(path: Path) -> ConfigError:
    return ConfigError(
        f"{path} is a symbolic link that leads nowhere: {path.readlink()}.",
        "what it meant is not mounted, was moved, or is the link itself.",
        f"Mount or create what it means, or remove the link: rm {path}",
    )


def _foreign_names(path: Path) -> set[str]:
    return {name for name in os.listdir(path) if name not in _OURS and not name.startswith(".")}  # noqa: PTH208
