"""What of the machine this process may use: cores and memory, limits of containers included.

Linux gives memory that it does not have, and kills later. So whoever needs much asks first.

Layer: core. Standard library and psutil.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path("/")
_V1_LIMIT: Final = 1 << 60  # version 1 of control groups says "no limit" by a huge number


def cores(root: Path = ROOT) -> int:
    """Return how many cores this process may keep busy, 1 or more.

    Args:
        root: Where `/proc` and `/sys` are; for tests.
    """
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:  # macOS
        count = os.cpu_count() or 1
    quotas = (_quota(each) for each in groups(root, "cpu"))
    return max(1, min([count, *(math.ceil(each) for each in quotas if each is not None)]))


def available_bytes(root: Path = ROOT) -> int:
    """Return the bytes of memory that this process could take without harm.

    Args:
        root: Where `/proc` and `/sys` are; for tests.
    """
    import psutil

    rooms = (_room(each) for each in groups(root, "memory"))
    machine: int = psutil.virtual_memory().available
    return max(0, min([machine, *(each for each in rooms if each is not None)]))


def groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the control groups that this process is in, the innermost first."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number != "0" and controller not in names.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("" if number == "0" else controller)
        inside = Path(path.lstrip("/"))
        # In a container, its own group may be mounted as the top one: then the path leads nowhere.
        yield from (top / each for each in (inside, *inside.parents) if (top / each).is_dir())


def _quota(group: Path) -> float | None:
    """Return the cores that a group may keep busy; None is no limit."""
    words = _text(group / "cpu.max").split()
    if not words:
        words = [_text(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    numbers = [int(each) for each in words if each.isdecimal()]
    return numbers[0] / numbers[1] if len(numbers) == 2 and all(numbers) else None  # noqa: PLR2004


def _room(group: Path) -> int | None:
    """Return what a group may still take; None is no limit. What was read from files can go."""
    for limit, used, idle in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        texts = [_text(group / name).strip() for name in (limit, used)]
        if all(each.isdecimal() for each in texts) and int(texts[0]) < _V1_LIMIT:
            return int(texts[0]) - int(texts[1]) + _stat(group, idle)
    return None


def _stat(group: Path, name: str) -> int:
    words = (line.split() for line in _text(group / "memory.stat").splitlines())
    return next((int(found[1]) for found in words if found[:1] == [name]), 0)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
