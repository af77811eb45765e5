"""How bytes come to harm: one file at a time, and never one of somebody else's.

Layer: testing. Imports core only.
"""

import errno
import os
import random
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from evertrain.core.errors import UsageError
from evertrain.core.flock import exclusive
from evertrain.core.regular import open_regular, regular_handle

_BLOCK_BYTES: Final = 1024 * 1024
_TAIL_BYTES: Final = 65_536


def files_inside(root: Path, pattern: str) -> list[Path]:
    """Return the regular files below `root` that match `pattern`, by name; real paths.

    Left out are files that have a name outside of `root`, too: a hard link, or a
    symbolic link that leads there.

    Raises:
        UsageError: The pattern itself leads outside.
    """
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise UsageError(
            f"the pattern {pattern!r} leads out of {root}.",
            "only what lies inside the run directory may come to harm.",
            "Give a pattern relative to the run, such as checkpoints/latest/*.",
        )
    home = root.resolve()
    found = {each.resolve() for each in root.glob(pattern)}
    return sorted(each for each in found if each.is_relative_to(home) and _is_all_ours(each, home))


def _is_all_ours(path: Path, home: Path) -> bool:
    """Say whether it is a regular file with all of its names below `home`."""
    try:
        there = path.lstat()
    except OSError:  # pruned meanwhile
        return False
    if not stat.S_ISREG(there.st_mode):
        return False
    return there.st_nlink == 1 or _names_inside(there, home) >= there.st_nlink


def _names_inside(there: os.stat_result, home: Path) -> int:
    count = 0
    for folder, _, names in os.walk(home):
        for name in names:
            with suppress(OSError):
                other = os.lstat(os.path.join(folder, name))  # noqa: PTH118  (thousands)
                count += (other.st_dev, other.st_ino) == (there.st_dev, there.st_ino)
    return count


def flip_bits(path: Path, count: int, chance: random.Random) -> list[int]:
    """Flip `count` bits of a file where it lies, read-only or not; return where, in bits.

    Its size, its mode and its times stay as they were, as with a medium that forgets.

    Raises:
        OSError: It cannot be changed, or it is gone.
    """
    before = path.stat()
    if before.st_size == 0:
        return []
    places = [chance.randrange(8 * before.st_size) for _ in range(count)]
    path.chmod(before.st_mode | stat.S_IWUSR)
    try:
        with path.open("r+b") as file:
            for place in places:
                file.seek(place // 8)
                byte = file.read(1)[0]
                file.seek(place // 8)
                file.write(bytes([byte ^ 1 << place % 8]))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    finally:
        path.chmod(before.st_mode)
    return places


def tear_tail(path: Path) -> int:
    """Leave half a line at the end of a file of lines; return its bytes. Nothing is lost by it.

    It is the first half of the last line, once more: what an append leaves that was
    killed, or that found the disk full, in the middle.

    Raises:
        OSError: It cannot be changed, or it is gone.
    """
    with exclusive(regular_handle(path)):
        with open_regular(path) as file:
            size_bytes = file.seek(0, os.SEEK_END)
            file.seek(max(0, size_bytes - _TAIL_BYTES))
            tail = file.read()
        last = tail.rstrip(b"\n").rpartition(b"\n")[2]
        half = last[: len(last) // 2]
        if not tail.endswith(b"\n"):  # it is torn already
            return 0
        with path.open("ab", buffering=0) as file:
            return file.write(half) or 0


def free_bytes(path: Path) -> int:
    """Return what this process may still write on the disk of `path`."""
    found = os.statvfs(path)
    return found.f_frsize * (found.f_bavail if os.geteuid() else found.f_bfree)


@contextmanager
def ballast(path: Path, leave_bytes: int, max_bytes: int) -> Iterator[int]:
    """Hold a file that leaves only `leave_bytes` of room on its disk; yield its bytes.

    Raises:
        UsageError: It would take more than `max_bytes`: others use that disk, too.
    """
    wanted = free_bytes(path.parent) - leave_bytes
    if wanted > max_bytes:
        raise UsageError(
            f"the disk of {path.parent} has {wanted / 1e9:.1f} GB to fill.",
            f"at most {max_bytes / 1e9:.1f} GB are allowed: a large disk is not yours alone.",
            "Let the run live on a small disk of its own (a tmpfs), or raise max_ballast_bytes.",
        )
    try:
        yield _fill(path, leave_bytes, max_bytes)
    finally:
        path.unlink(missing_ok=True)


def _fill(path: Path, leave_bytes: int, max_bytes: int) -> int:
    written = 0
    with path.open("wb", buffering=0) as file:
        while (room := free_bytes(path.parent) - leave_bytes) > 0 and written < max_bytes:
            try:
                written += file.write(bytes(min(room, _BLOCK_BYTES))) or 0
            except OSError as error:
                if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                    raise
                break
    return written
