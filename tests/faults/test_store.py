"""A disk that refuses any operation of a store: what was there is whole, and the next save works.

Every operation of everything that a store does is refused in every way that a disk has.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evertrain.checkpoint import About, Store, keep_any, keep_best, keep_last
from evertrain.checkpoint.commit import Tools
from evertrain.checkpoint.shelf import quarantine, save_emergency, supersede
from evertrain.checkpoint.trash import discard
from evertrain.core.errors import EvertrainError, SaveError
from evertrain.core.fs import LOCAL_FS
from evertrain.testing import FaultyFs
from faults.disks import FAULTS, FastFs, faulty

OLD, NEW, NEXT = (2, 4, 6), 8, 10
LARGE = np.arange(140_000.0)  # stands still, and is large enough to be shared

Action = Callable[[Store, FaultyFs], Any]

pytestmark = pytest.mark.filterwarnings("ignore:.*could not be updated:RuntimeWarning")


def state(step: int, still: Any = LARGE) -> dict[str, Any]:
    """Return a state that says which step it is of."""
    return {"agent": {"weights": np.full(500, step), "still": still}, "more": {"step": step}}


def save(store: Store, step: int, still: Any = LARGE) -> None:
    """Save the state of `step`."""
    store.save(step, state(step, still), about=About(score=float(step)))


def small(root: Path, disk: FaultyFs) -> Store:
    """Return a store with three checkpoints that share nothing."""
    store = Store(root, fs=disk)
    for step in OLD:
        save(store, step, still=None)
    return store


def shared(root: Path, disk: FaultyFs) -> Store:
    """Return a store with three checkpoints; the next one will share a file with the last."""
    store = Store(root, fs=disk)
    for step in OLD:
        save(store, step)
    return store


def throw_away(store: Store, disk: FaultyFs) -> None:
    """Empty the trash; once more, and it is empty."""
    store.empty_trash()
    disk.heal()
    store.empty_trash()
    assert not list(store.path.glob("trash/*"))


def filled_trash(root: Path, disk: FaultyFs) -> Store:
    """Return a store that threw two more away."""
    store = small(root, disk)
    for step in (1, 3):
        save(store, step, still=None)
    discard(root, [1, 3], Tools(disk), grace_s=60)
    return store


def prune_ahead(store: Store, disk: FaultyFs) -> None:
    """Make room for a save before it is written."""
    pending = store.begin(NEW, state(NEW), copy=False)
    store.prune(keep_last(2), ahead=pending)
    store.commit(pending)


def emergency(store: Store, disk: FaultyFs) -> None:
    """Keep a third wreck."""
    about = About(kind="error")
    save_emergency(store.path, NEW, state(NEW), about, Tools(disk))


def wrecked(root: Path, disk: FaultyFs) -> Store:
    """Return a store with two emergency checkpoints."""
    store = small(root, disk)
    for step in (5, 7):
        save_emergency(root, step, state(step, None), About(kind="error"), Tools(disk))
    return store


ACTIONS: dict[str, tuple[Callable[[Path, FaultyFs], Store], Action]] = {
    "first save": (lambda root, disk: Store(root, fs=disk), lambda store, _: save(store, NEW)),
    "save": (small, lambda store, _: save(store, NEW, None)),
    "save that shares": (shared, lambda store, _: save(store, NEW)),
    "prune": (shared, lambda store, _: store.prune(keep_last(1))),
    "prune ahead": (shared, prune_ahead),
    "pin": (small, lambda store, _: store.pin(OLD[0])),
    "quarantine": (small, lambda store, disk: quarantine(store.path, 6, "bad", Tools(disk))),
    "supersede": (small, lambda store, disk: supersede(store.path, 2, Tools(disk))),
    "recover": (small, lambda store, _: store.recover()),
    "empty the trash": (filled_trash, throw_away),
    "emergency": (wrecked, emergency),
}


def operations(name: str, root: Path, fault: str) -> int:
    """Count what a disk can refuse of an action."""
    prepare, act = ACTIONS[name]
    disk = faulty(fault)
    store = prepare(root, disk)
    before = disk.operations
    act(store, disk)
    return disk.operations - before


def outcome(act: Callable[[], Any]) -> Exception | None:
    """Act; return the error."""
    try:
        act()
    except (OSError, EvertrainError) as error:
        return error
    return None


def check_whole(store: Store, disk: FaultyFs, had: list[int]) -> None:
    """Assert what must hold as long as the disk refuses, and once it does not."""
    assert store.verify() == []
    disk.heal()
    left = [info.step for info in store.list()]
    assert left or not had
    assert not had or store.load("latest").state["more"]["step"] == left[-1]
    save(store, NEXT)
    assert store.verify() == []
    assert store.load("latest").state["more"]["step"] == NEXT
    assert (store.path / "latest").readlink() == Path("000000010")


FEW = ("full", "broken", "read-only")
CASES = [(name, fault) for name in ACTIONS for fault in (FAULTS if name == "save" else FEW)]


@pytest.mark.parametrize(("name", "fault"), CASES)
def test_every_refused_operation(tmp_path: Path, name: str, fault: str) -> None:
    """What was there stays whole, the error names the place, and nothing is left lying about."""
    prepare, act = ACTIONS[name]
    count = operations(name, tmp_path / "count", fault)
    is_save = "save" in name or name == "emergency"
    for at in range(count):
        root, disk = tmp_path / str(at), faulty(fault)
        store = prepare(root, disk)
        had = [info.step for info in store.list()]
        disk.fail(after=at)
        error = outcome(lambda: act(store, disk))  # noqa: B023  (called at once)

        assert disk.refused
        assert error is None or str(root) in str(error)
        assert error is None or not is_save or (isinstance(error, SaveError) and error.fix)
        check_whole(store, disk, had)
        assert not is_save or not list(store.path.glob(".*"))
        store.recover()
        litter = [each for each in store.path.rglob(".*") if each.is_dir() or fault == "full"]
        assert litter == []  # a file of a process that lives may be in use
        assert not list(store.path.glob("trash/0????????"))
    assert count or name == "empty the trash"


def test_a_save_that_was_refused_leaves_room_for_the_next(tmp_path: Path) -> None:
    """What it had written goes before the next one is, though the disk did not even delete."""
    disk = FaultyFs(FastFs(), error=errno.EIO, is_sticky=True)
    store = small(tmp_path, disk)
    disk.fail(after=4)
    with pytest.raises(SaveError):
        save(store, NEW)
    assert len(list(tmp_path.glob(".tmp-*"))) == 1
    disk.heal()
    seen: list[int] = []

    class Looking(FastFs):
        def write(self, path: Path, chunks: Any) -> int:
            seen.append(
                len([each for each in tmp_path.glob(".tmp-*") if int(each.name[5:14]) == NEW])
            )
            return super().write(path, chunks)

    disk._fs = Looking()
    save(store, NEXT)

    assert seen
    assert set(seen) == {0}


def test_retention_needs_no_room(tmp_path: Path) -> None:
    """Where not even the trash can be made, what nobody keeps goes all the same."""
    disk = FaultyFs(FastFs(), error=errno.ENOSPC, is_sticky=True, kinds={"mkdir", "write"})
    store = small(tmp_path, disk)
    disk.fail()
    store.prune(keep_last(1))

    assert [info.step for info in store.list()] == [6]
    assert not (tmp_path / "trash").exists()
    assert not list(tmp_path.glob(".tmp-*"))


def test_what_could_come_back_is_not_hidden(tmp_path: Path) -> None:
    """A grace needs the trash: without it, the checkpoints stay where they are."""
    disk = FaultyFs(FastFs(), error=errno.ENOSPC, is_sticky=True, kinds={"mkdir"})
    store = small(tmp_path, disk)
    disk.fail()
    with pytest.raises(OSError, match="No space"):
        discard(tmp_path, [2], Tools(disk), grace_s=60)

    assert [info.step for info in store.list()] == list(OLD)


def test_a_damaged_checkpoint_is_set_aside_without_its_note(tmp_path: Path) -> None:
    """A disk without room for a note must not leave it in the way."""
    disk = FaultyFs(FastFs(), error=errno.ENOSPC, is_sticky=True, kinds={"write"})
    store = small(tmp_path, disk)
    disk.fail()
    place = quarantine(tmp_path, 6, "bad", Tools(disk))

    assert [info.step for info in store.list()] == [2, 4]
    assert [each.name for each in place.parent.iterdir()] == ["000000006"]


def test_an_append_that_does_not_fit_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk takes half a line; left there, each new try would add another half."""
    LOCAL_FS.append(tmp_path / "log", b"whole\n")
    write = os.write

    def half(handle: int, data: Any) -> int:
        if len(data) < 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    for _ in range(3):
        with pytest.raises(OSError, match="log"):
            LOCAL_FS.append(tmp_path / "log", b"another line\n")

    assert (tmp_path / "log").read_bytes() == b"whole\n"


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_room_is_made_ahead_of_a_save_that_shares(tmp_path: Path, keep: int) -> None:
    """The newest stays, which the save shares with; so does the best until it is beaten."""
    store = Store(tmp_path, fs=FastFs())
    for step, score in ((2, 9.0), (4, 1.0), (6, 2.0)):
        store.save(step, state(step), about=About(score=score))
    pending = store.begin(NEW, state(NEW), about=About(score=10.0), copy=False)
    store.prune(keep_any(keep_last(keep), keep_best(1)), ahead=pending)

    kept = {1: [2, 6], 2: [2, 6], 3: [2, 4, 6]}[keep]
    assert [info.step for info in store.list()] == kept
    store.commit(pending)
    assert store.verify() == []
    linked = [each for each in (tmp_path / "000000008").iterdir() if each.stat().st_nlink > 1]
    assert linked


def test_what_goes_ahead_is_what_goes_after(tmp_path: Path) -> None:
    """Nothing is deleted that the rule would have kept beside the new checkpoint."""
    store = small(tmp_path, FaultyFs(FastFs(), error=errno.EIO))
    pending = store.begin(NEW, state(NEW), copy=False)
    ahead = {
        each.step
        for each in store.prune(keep_last(3), dry_run=True, ahead=pending)
        if not each.is_kept
    }
    assert [info.step for info in store.list()] == list(OLD)
    store.commit(pending)
    after = {each.step for each in store.prune(keep_last(3)) if not each.is_kept}

    assert ahead == after == {2}
