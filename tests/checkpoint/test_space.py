"""The rule of the disk guard: the least that makes room, and nothing where nothing helps."""

import pytest

from evertrain.checkpoint.space import MAX_RESERVE_BYTES, Outlook, Plan, plan, reserve_bytes
from evertrain.core.disk import Room, Size

GB = 10**9
# Trash and retention together free 3 GB; the reserve of this disk is 32 MiB.
TRASH, DOOMED = Size(GB, 10), Size(3 * GB, 30)


def room(free_bytes: float, *, root: float = 0, files: int | None = None) -> Room:
    """Return the room of a disk of 100 GB."""
    return Room(int(free_bytes), int(free_bytes + root), 100 * GB, files)


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        (2.1, Plan("nothing", fits=True, is_low=False)),
        (2.01, Plan("trash", fits=True, is_low=True)),  # it would fit, but use up the reserve
        (1.1, Plan("trash", fits=True, is_low=True)),
        (1.01, Plan("prune", fits=True, is_low=True)),
        (0, Plan("prune", fits=True, is_low=True)),
    ],
)
def test_the_least_that_makes_room(free: float, expected: Plan) -> None:
    """A save of 2 GB: nothing goes as long as it fits, and the trash before a checkpoint."""
    assert plan(Size(2 * GB, 5), room(free * GB), TRASH, DOOMED) == expected


def test_nothing_goes_where_nothing_helps() -> None:
    """What would not make enough room stays where it is."""
    assert plan(Size(5 * GB), room(GB), TRASH, DOOMED) == Plan("nothing", fits=False, is_low=True)


def test_the_reserve_is_used_where_nothing_else_is_left() -> None:
    """A save that just fits is better than none, and deletes nothing in vain."""
    little = Size(1000, 1)
    assert plan(Size(GB), room(GB + 5), little, little) == Plan("nothing", fits=True, is_low=True)


def test_what_is_free_for_root_only_is_tried_last() -> None:
    """Where only root's reserve is left, nobody is refused: the system knows who writes."""
    assert plan(Size(GB), room(0, root=2 * GB)) == Plan("nothing", fits=True, is_low=True)
    assert plan(Size(GB), room(0, root=2 * GB), TRASH, DOOMED).means == "prune"
    assert not plan(Size(3 * GB), room(0, root=2 * GB)).fits


def test_names_run_out_too() -> None:
    """Bytes are of no use without an inode; what deleting frees of those counts."""
    need = Size(1000, 25)

    assert plan(need, room(GB, files=25)).means == "nothing"
    assert plan(need, room(GB, files=24), TRASH, DOOMED).means == "trash"
    assert plan(need, room(GB, files=14), TRASH, DOOMED).means == "prune"
    assert not plan(need, room(GB, files=0), TRASH, Size(3 * GB, 20)).fits


def test_a_small_disk_has_a_small_reserve() -> None:
    """One per cent of it, and on a large one never more than the journal can need."""
    assert reserve_bytes(Room(0, 0, 4_000_000)) == 40_000
    assert reserve_bytes(Room(0, 0, 10**13)) == MAX_RESERVE_BYTES


@pytest.mark.parametrize(
    ("free", "next_bytes", "saves", "is_low"),
    [
        (10, GB, 9, False),
        (2.1, GB, 2, False),
        (2, GB, 1, True),
        (0, GB, 0, True),
        (0, None, None, False),
        (0, 0, None, False),
    ],
)
def test_the_outlook(free: float, next_bytes: int | None, saves: int | None, is_low: bool) -> None:  # noqa: FBT001
    """How many saves fit beside the reserve; fewer than two is low, and unknown is not."""
    found = Outlook(room(free * GB), next_bytes)

    assert (found.saves, found.is_low) == (saves, is_low)


def test_hardly_a_name_left_is_low() -> None:
    """However many bytes are free."""
    assert Outlook(room(50 * GB, files=3), GB).is_low
    assert not Outlook(room(50 * GB, files=5000), GB).is_low
