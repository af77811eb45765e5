"""Whether a save fits on the disk, and the least that makes room for it. Pure.

Only the trash and what the retention rule drops anyway can make room; how much
that is, counts files that no other checkpoint shares.

Layer: checkpoint. Imports core only.
"""

from dataclasses import dataclass
from typing import Final, Literal

from evertrain.core.disk import Room, Size

Means = Literal["nothing", "trash", "prune"]

# What stays free for the journal, metrics and logs while a save is on the disk.
MAX_RESERVE_BYTES: Final = 32 << 20
_RESERVE_SHARE: Final = 0.01
_FEW: Final = 2  # saves; with room for fewer the disk is low
_FEW_FILES: Final = 10
_NONE: Final = Size()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do before a save.

    Attributes:
        means: The least that makes room: emptying the trash, or that and retention, ahead of time.
        fits: Whether the save can fit then. If not, no means would help, and none is wanted.
        is_low: Whether it took means, or goes at the reserve.
    """

    means: Means
    fits: bool
    is_low: bool


def plan(need: Size, room: Room, trash: Size = _NONE, doomed: Size = _NONE) -> Plan:
    """Say what makes room for a save.

    Args:
        need: What the save will write.
        room: What the disk has.
        trash: What emptying the trash would free.
        doomed: What that and retention together would free.
    """
    gains: dict[Means, Size] = {"nothing": _NONE, "trash": trash, "prune": doomed}
    left_bytes = {
        "reserve left": room.free_bytes - reserve_bytes(room),
        "fits": room.free_bytes,
        "fits for root": room.most_bytes,  # an ordinary user will be refused, and hear of it
    }
    for how, bytes_there in left_bytes.items():
        for means, gain in gains.items():
            if need.bytes <= bytes_there + gain.bytes and _has_names(need, room, gain):
                return Plan(means, fits=True, is_low=means != "nothing" or how != "reserve left")
    return Plan("nothing", fits=False, is_low=True)


def reserve_bytes(room: Room) -> int:
    """Return what a save should leave free."""
    return min(MAX_RESERVE_BYTES, int(room.total_bytes * _RESERVE_SHARE))


@dataclass(frozen=True, slots=True)
class Outlook:
    """How long the disk will do.

    Attributes:
        room: What it has.
        next_bytes: What the next save will write, as far as it is known; None is not at all.
    """

    room: Room
    next_bytes: int | None

    @property
    def saves(self) -> int | None:
        """How many more saves fit; None is not known."""
        if not self.next_bytes:
            return None
        return max(0, self.room.free_bytes - reserve_bytes(self.room)) // self.next_bytes

    @property
    def is_low(self) -> bool:
        """Whether there is room for fewer than two saves, or hardly a name is left."""
        files = self.room.free_files
        return (files is not None and files < _FEW_FILES) or (
            self.saves is not None and self.saves < _FEW
        )


def _has_names(need: Size, room: Room, gain: Size) -> bool:
    return room.free_files is None or need.files <= room.free_files + gain.files
