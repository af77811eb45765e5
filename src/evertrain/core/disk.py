"""How much room a disk has, and how people say bytes.

Layer: core. Imports nothing from evertrain.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FEW_FILES: Final = 1000


@dataclass(frozen=True, slots=True)
class Size:
    """What files take on a disk.

    Attributes:
        bytes: Their bytes.
        files: How many they are, directories among them: a disk can run out of these, too.
    """

    bytes: int = 0
    files: int = 0


@dataclass(frozen=True, slots=True)
class Room:
    """What a disk has room for.

    Attributes:
        free_bytes: What any user may still write.
        most_bytes: The same, with what is reserved for root.
        total_bytes: All that the disk holds, free or not.
        free_files: How many more files it can name; None where it does not count them.
    """

    free_bytes: int
    most_bytes: int
    total_bytes: int
    free_files: int | None = None


def room_at(path: Path) -> Room | None:
    """Return the room of the disk that holds `path`, which need not exist.

    None where the system does not say: a tmpfs without a limit, and some network
    file systems, report a disk of no size.
    """
    place = path.absolute()
    for each in (place, *place.parents):
        try:
            found = os.statvfs(each)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        if found.f_blocks <= 0:
            return None
        return Room(
            free_bytes=found.f_bavail * found.f_frsize,
            most_bytes=found.f_bfree * found.f_frsize,
            total_bytes=found.f_blocks * found.f_frsize,
            free_files=found.f_favail if found.f_files > 0 else None,
        )
    return None


def human_bytes(size_bytes: int) -> str:
    """Return bytes as people say them: `512 B`, `12.3 MB`."""
    if size_bytes < 1000:  # noqa: PLR2004
        return f"{size_bytes} B"
    value = float(size_bytes)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.95:  # noqa: PLR2004
            return f"{value:.1f} {unit}"
    return f"{value / 1000:.1f} PB"


def human_room(room: Room) -> str:
    """Return e.g. "1.2 GB", or "1.2 GB in 3 files" where names are about to run out."""
    text = human_bytes(room.free_bytes)
    if room.free_files is None or room.free_files > _FEW_FILES:
        return text
    return f"{text} in {room.free_files} files"
