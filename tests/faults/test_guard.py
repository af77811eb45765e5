"""The disk guard: it makes room in time, takes only what nobody keeps, and says so once."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evertrain.checkpoint import About, Store, keep_any, keep_best, keep_last
from evertrain.checkpoint.commit import Tools
from evertrain.checkpoint.store import Pending
from evertrain.checkpoint.trash import discard
from evertrain.core.disk import Room
from evertrain.core.errors import SaveError
from evertrain.core.journal import Journal
from evertrain.run.account import Account
from evertrain.run.guard import Guard
from evertrain.testing import FakeClock
from faults.disks import FastFs

SIZE = 400_000  # bytes of a checkpoint, about
TOTAL_BYTES = 100 * SIZE  # its reserve is one checkpoint

MakeGuard = Callable[..., Guard]


class Disk:
    """A disk of a given size, of which the checkpoints take what they take."""

    def __init__(self, root: Path) -> None:
        self.root, self.others = root, 0

    def look(self, _: Path) -> Room:
        """Measure it."""
        files = [each for each in self.root.rglob("*") if each.is_file()]
        used = sum({each.stat().st_ino: each.stat().st_size for each in files}.values())
        free = max(0, TOTAL_BYTES - used - self.others)
        return Room(free, free, TOTAL_BYTES)

    def leave(self, free_bytes: int) -> None:
        """Let others use all but so much."""
        self.others = 0
        self.others = self.look(self.root).free_bytes - free_bytes


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Provide a store with three checkpoints, the oldest the best, that share nothing."""
    store = Store(tmp_path / "checkpoints", fs=FastFs(), clock=FakeClock())
    for step, score in ((1, 9.0), (2, 1.0), (3, 2.0)):
        store.save(step, state(step), about=About(score=score))
    return store


@pytest.fixture
def disk(store: Store) -> Disk:
    """Provide its disk."""
    return Disk(store.path)


@pytest.fixture
def guard(tmp_path: Path, store: Store, disk: Disk) -> Guard:
    """Provide a guard of that disk."""
    journal = Journal(tmp_path / "journal.jsonl", fs=FastFs(), clock=FakeClock())
    account = Account(journal, print, 1, store.path)
    return Guard(store, keep_last(3), account, disk.look)


def state(step: int) -> dict[str, Any]:
    """Return a state of nearly `SIZE` bytes."""
    return {"agent": np.full(SIZE // 8 - 4000, step, np.float64)}


def next_save(store: Store) -> Pending:
    """Begin the save of step 4."""
    return store.begin(4, state(4), about=About(score=10.0), copy=False)


def steps(store: Store) -> list[int]:
    """Return what is there."""
    return [info.step for info in store.list()]


def lows(guard: Guard) -> list[tuple[Any, ...]]:
    """Return what the journal says of the disk."""
    rows = guard.account.journal.events("disk_low")
    return [(row["state"], row.get("step"), row["free"]) for row in rows]


def test_a_roomy_disk_is_left_alone(guard: Guard, store: Store, disk: Disk) -> None:
    """Neither the trash nor a checkpoint goes, and nothing is said."""
    discard(store.path, [2], Tools(FastFs()), grace_s=60)
    disk.leave(4 * SIZE)
    guard.before(next_save(store), is_last_try=False)

    assert steps(store) == [1, 3]
    assert len(list((store.path / "trash").iterdir())) == 1
    assert lows(guard) == []


def test_room_for_one_is_told_in_time(
    guard: Guard, store: Store, disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once, while there is still room to act; again only after it was better."""
    disk.leave(int(2.5 * SIZE))
    for _ in range(3):
        guard.before(next_save(store), is_last_try=False)
    assert capsys.readouterr().out.count("no room for two") == 1
    disk.leave(9 * SIZE)
    guard.before(next_save(store), is_last_try=False)
    disk.leave(int(2.5 * SIZE))
    guard.before(next_save(store), is_last_try=False)

    assert capsys.readouterr().out.count("no room for two") == 1
    assert [each[:2] for each in lows(guard)] == [("low", 4), ("low", 4)]
    assert steps(store) == [1, 2, 3]


def test_the_trash_goes_first(guard: Guard, store: Store, disk: Disk) -> None:
    """What it frees is enough: no checkpoint goes."""
    discard(store.path, [2], Tools(FastFs()), grace_s=60)
    disk.leave(int(1.5 * SIZE))
    guard.before(next_save(store), is_last_try=False)

    assert steps(store) == [1, 3]
    assert list((store.path / "trash").iterdir()) == []
    assert [each[0] for each in lows(guard)] == ["trash"]
    assert guard.account.journal.last("trash_emptied") is not None


def test_then_what_the_rule_drops_anyway(guard: Guard, store: Store, disk: Disk) -> None:
    """The fourth checkpoint costs the first, a moment early; the save then fits."""
    disk.leave(SIZE // 2)
    pending = next_save(store)
    guard.before(pending, is_last_try=False)

    assert steps(store) == [2, 3]
    pruned = guard.account.journal.last("pruned")
    assert pruned is not None
    assert pruned["steps"] == [1]
    assert disk.look(store.path).free_bytes >= pending.need.bytes
    assert [each[0] for each in lows(guard)] == ["prune"]


def test_what_the_rule_keeps_stays(guard: Guard, store: Store, disk: Disk) -> None:
    """The best so far is not given for one that is not on the disk; pinned ones stay, too."""
    guard.keep = keep_any(keep_last(1), keep_best(1))
    store.pin(2)
    disk.leave(SIZE // 2)
    with pytest.raises(SaveError, match="needs about"):
        guard.before(next_save(store), is_last_try=False)

    assert steps(store) == [1, 2, 3]


def test_nothing_goes_in_vain(
    guard: Guard, store: Store, disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where all that may go is not enough, it stays, nothing is written, and the error says all."""
    discard(store.path, [2], Tools(FastFs()), grace_s=60)
    disk.others = 10**9
    guard.keep = keep_last(1)
    big = store.begin(4, {"agent": np.zeros(SIZE)}, copy=False)
    with pytest.raises(SaveError) as caught:
        guard.before(big, is_last_try=False)

    assert steps(store) == [1, 3]
    assert len(list((store.path / "trash").iterdir())) == 1
    assert "the checkpoint of step 4 needs about 3.2 MB and 4 files" in caught.value.what
    assert f"{store.path} has room for 0 B" in caught.value.what
    assert "the trash holds 3" in caught.value.fix
    assert "prune" not in caught.value.fix, "the best and the newest are all that is left"
    assert not list(store.path.glob(".*"))
    assert lows(guard) == [("full", 4, 0)]
    assert capsys.readouterr().out == "", "the failed save is told by whoever counts it"


def test_the_last_try_is_a_real_one(guard: Guard, store: Store, disk: Disk) -> None:
    """A disk may compress what is written: before a training ends, it is asked."""
    guard.keep = keep_last(5)
    disk.leave(0)
    guard.before(next_save(store), is_last_try=True)

    assert steps(store) == [1, 2, 3]


def test_shared_files_free_nothing(tmp_path: Path, disk: Disk, guard: Guard) -> None:
    """An old checkpoint that shares all its bytes with the newest is no room."""
    store = Store(tmp_path / "shared", fs=FastFs(), clock=FakeClock())
    frozen = np.zeros(SIZE)
    for step in (1, 2, 3, 4, 5):
        store.save(step, {"frozen": frozen, "step": step})
    store.prune(keep_last(3))
    guard.store, disk.root = store, store.path
    disk.leave(SIZE // 8)
    changed = store.begin(6, {"frozen": frozen + 1, "step": 6}, copy=False)
    with pytest.raises(SaveError):
        guard.before(changed, is_last_try=False)

    assert steps(store) == [3, 4, 5]


def test_a_save_that_shares_needs_little(tmp_path: Path) -> None:
    """What is linked takes no room: 3 MB that stand still do not count."""
    store = Store(tmp_path, fs=FastFs())
    frozen = np.zeros(SIZE)
    for step in (1, 2, 3):
        store.save(step, {"frozen": frozen, "step": step})

    need = store.begin(4, {"frozen": frozen, "step": 4}, copy=False).need
    assert need.bytes < 100_000
    assert store.begin(4, {"frozen": frozen + 1, "step": 4}, copy=False).need.bytes > 3_200_000


def test_what_a_save_needs_is_what_it_takes(tmp_path: Path) -> None:
    """The prediction is never less than the files, and not much more."""
    for number, arrays in enumerate(([1], [300_000], [10, 20, 400_000], [5] * 200)):
        store = Store(tmp_path / str(number), fs=FastFs())
        trees: Any = {f"part{at}": {"a": np.zeros(size)} for at, size in enumerate(arrays)}
        pending = store.begin(1, trees, copy=False)
        info = store.commit(pending)
        files = [each for each in info.path.iterdir() if each.is_file()]
        blocks = sum(-(-each.stat().st_size // 4096) * 4096 for each in files)

        assert blocks <= pending.need.bytes <= 1.2 * blocks + 100_000
        assert len(files) + 1 == pending.need.files


def test_a_start_on_a_low_disk_says_so(
    guard: Guard, disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the first save of an attempt, from what the last one wrote."""
    disk.leave(3 * SIZE)
    guard.foresee(None)
    guard.foresee(SIZE)
    assert lows(guard) == []
    disk.leave(2 * SIZE)
    guard.foresee(SIZE)

    assert [each[:2] for each in lows(guard)] == [("low", None)]
    assert "400.0 kB" in capsys.readouterr().out


def test_a_rule_that_fails_makes_no_room(guard: Guard, store: Store, disk: Disk) -> None:
    """And is no reason for another error than that of the full disk."""

    def keep(_: Sequence[Any]) -> frozenset[int]:
        raise KeyError("odd")

    guard.keep = keep
    disk.leave(0)
    with pytest.raises(SaveError, match="has room for 0 B"):
        guard.before(next_save(store), is_last_try=False)
    assert steps(store) == [1, 2, 3]
