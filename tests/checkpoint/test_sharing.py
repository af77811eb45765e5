"""What stands still is not written again: new files are counted by their inodes."""

import errno
import mmap
import os
import resource
import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evertrain.checkpoint import About, Store, cut, group, keep_last, previous
from evertrain.checkpoint.commit import Tools, draft
from evertrain.checkpoint.manifest import ArrayEntry, Extent, FileEntry, encode, parse
from evertrain.checkpoint.plugin import Rows
from evertrain.checkpoint.read import read_checkpoint
from evertrain.checkpoint.refresh import Shared, due
from evertrain.core.errors import BaseLostError, CorruptError, EvertrainError, SaveError
from evertrain.core.fs import Bytes, LocalFs
from evertrain.testing import PowerDisk

ROWS, ROW = 64, 16  # parts of four rows: sixteen files


class FastFs(LocalFs):
    """A disk that does not wait for the medium."""

    def sync_file(self, path: Path) -> None:
        """Look that there is something to sync."""
        assert path.is_file()

    def sync_dir(self, path: Path) -> None:
        """Look that there is something to sync."""
        assert path.is_dir()


class NoLinks(FastFs):
    """A disk without hard links."""

    def __init__(self, number: int) -> None:
        """Refuse with this errno."""
        self.number = number

    def link(self, src: Path, dst: Path) -> bool:
        """Let the real one see a refusal."""
        with pytest.MonkeyPatch.context() as patch:

            def refuse(*_: object) -> None:
                raise OSError(self.number, os.strerror(self.number))

            patch.setattr(os, "link", refuse)
            return super().link(src, dst)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut after 64 bytes instead of 2 MiB."""
    monkeypatch.setattr(cut, "PART_BYTES", 4 * ROW)
    monkeypatch.setattr(group, "_WORTH_BYTES", 4 * ROW)


class Ring:
    """A replay buffer."""

    def __init__(self, rows: int = ROWS) -> None:
        """Hold nothing."""
        self.array = np.zeros((rows, ROW), np.uint8)
        self.written = 0

    def add(self, count: int) -> None:
        """Write the next rows."""
        for _ in range(count):
            self.written += 1
            self.array[(self.written - 1) % len(self.array)] = self.written % 251

    def tree(self, *, is_counted: bool = True) -> dict[str, Any]:
        """Return the state to save."""
        return {"buffer": {"obs": Rows(self.array, self.written if is_counted else None)}}


def inodes(path: Path) -> dict[str, int]:
    """Return the inode of each file with arrays."""
    return {each.name: each.stat().st_ino for each in path.glob("*.safetensors")}


def new_files(store: Store, before: int, now: int) -> set[str]:
    """Return the files that a checkpoint does not share with another one."""
    there = set(inodes(store.path / f"{before:09}").values())
    return {name for name, inode in inodes(store.path / f"{now:09}").items() if inode not in there}


def commit(store: Store, step: int, tree: dict[str, Any]) -> None:
    """Save in two steps, as a run does."""
    store.commit(store.begin(step, tree))


def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refresh nothing, so that only what changed is written."""
    monkeypatch.setattr(previous, "due", lambda _, credit: (frozenset(), credit))


@pytest.mark.parametrize("is_counted", [True, False])
@pytest.mark.parametrize("save", [commit, Store.save])
def test_a_ring_writes_only_the_parts_that_it_touched(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    save: Callable[[Store, int, dict[str, Any]], object],
    *,
    is_counted: bool,
) -> None:
    """Also where it wraps around, with the owner's count of rows or without."""
    quiet(monkeypatch)
    store, ring = Store(tmp_path, fs=FastFs()), Ring()
    ring.add(ROWS - 6)
    save(store, 0, ring.tree(is_counted=is_counted))
    for step, count in enumerate([0, 1, 4, 7, 3, 0, ROWS - 1, 0, 2 * ROWS, 0], 1):
        old = ring.array.copy()
        ring.add(count)
        touched = {row // 4 for row in np.flatnonzero((old != ring.array).any(axis=1))}
        save(store, step, ring.tree(is_counted=is_counted))
        names = {f"buffer_obs_{each:05}.safetensors" for each in touched}
        assert new_files(store, step - 1, step) == names, step
        np.testing.assert_array_equal(store.load().state["buffer"]["obs"], ring.array)
    assert store.verify() == []


def test_a_successor_shares_with_what_it_resumed_from(tmp_path: Path) -> None:
    """The first save of a new process writes only the parts that are new."""
    store, ring = Store(tmp_path, fs=FastFs()), Ring()
    ring.add(30)
    store.save(1, ring.tree())
    store = Store(tmp_path, fs=FastFs())
    loaded = store.map(1)
    store.share_with(loaded.info.path, loaded.manifest)
    ring.add(2)
    commit(store, 2, ring.tree())
    assert new_files(store, 1, 2) == {"buffer_obs_00007.safetensors"}
    assert store.verify() == []


def test_a_count_that_lies_is_found_by_a_save_without_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It believes nobody: what it writes is right, and the count is not believed again."""
    quiet(monkeypatch)
    store, ring = Store(tmp_path, fs=FastFs()), Ring()
    commit(store, 0, ring.tree())
    ring.array[20] = 9
    commit(store, 1, ring.tree())
    assert not store.load(1).state["buffer"]["obs"].any()  # the lie
    with pytest.warns(RuntimeWarning, match="buffer: rows of its arrays changed"):
        store.save(2, ring.tree())
    np.testing.assert_array_equal(store.load(2).state["buffer"]["obs"], ring.array)
    ring.array[40] = 9
    commit(store, 3, ring.tree())
    np.testing.assert_array_equal(store.load(3).state["buffer"]["obs"], ring.array)
    assert store.verify() == []


def test_a_count_that_lies_is_found_by_the_refresh(tmp_path: Path) -> None:
    """Within some hundred saves: the part is written afresh and differs."""
    store, ring = Store(tmp_path, fs=FastFs()), Ring()
    for step in range(2):
        commit(store, step, ring.tree())
    ring.array[20] = 9
    with pytest.warns(RuntimeWarning, match="buffer: rows"):  # noqa: PT031  (one of the saves)
        for step in range(2, 2 + 110):
            commit(store, step, ring.tree())
            if step % 10 == 0:
                store.prune(keep_last(2))
    np.testing.assert_array_equal(store.load().state["buffer"]["obs"], ring.array)
    assert store.verify() == []


def test_an_honest_count_is_never_doubted(tmp_path: Path) -> None:
    """Refreshes and saves of both kinds find nothing to warn of."""
    store, ring = Store(tmp_path, fs=FastFs()), Ring()
    for step in range(60):
        ring.add(step % 5)
        (commit if step % 3 else Store.save)(store, step, ring.tree())
        store.prune(keep_last(1))
    np.testing.assert_array_equal(store.load().state["buffer"]["obs"], ring.array)


def test_a_frozen_encoder_is_shared_and_a_thawed_one_is_written(tmp_path: Path) -> None:
    """In one object with its head; what stands still gets a file of its own."""
    store = Store(tmp_path, fs=FastFs())
    agent = {"encoder": np.zeros(1000), "norm": np.zeros(50), "head": np.zeros(10)}
    for step in range(6):
        agent["head"] += 1
        commit(store, step, {"agent": agent})
    assert new_files(store, 4, 5) == {"agent.safetensors"}
    assert set(inodes(store.path / "000000005")) == {"agent.safetensors", "agent-still.safetensors"}

    agent["encoder"] += 1
    commit(store, 6, {"agent": agent})
    assert new_files(store, 5, 6) == {"agent.safetensors", "agent-still.safetensors"}
    agent["encoder"] += 1
    commit(store, 7, {"agent": agent})
    for step in range(8):
        loaded = store.load(step).state["agent"]
        assert loaded["encoder"][0] == max(step - 5, 0)
        assert loaded["head"][0] == min(step + 1, 6)
    assert store.verify() == []


def test_every_shared_file_is_written_afresh_within_two_hundred_saves(tmp_path: Path) -> None:
    """And no save writes more than a two-hundredth of the shared bytes, and one file."""
    store, ring = Store(tmp_path, fs=FastFs()), Ring()
    for step in range(2):
        commit(store, step, ring.tree())
    first = inodes(store.path / "000000001")
    seen = set()
    for step in range(2, 210):
        commit(store, step, ring.tree())
        fresh = new_files(store, step - 1, step)
        assert len(fresh) <= 1
        seen |= fresh
        store.prune(keep_last(2))
    assert seen == set(first)


def test_files_that_change_earn_no_refresh(tmp_path: Path) -> None:
    """The two-hundredth is one of what is shared, not of what is written anyway."""
    store, ring = Store(tmp_path, fs=FastFs()), Ring()
    agent, refreshed = np.zeros(10_000), 0
    for step in range(40):
        agent += 1
        commit(store, step, {"agent": agent, **ring.tree()})
        if step > 1:
            refreshed += len(new_files(store, step - 1, step)) - 1
            store.prune(keep_last(2))
    assert refreshed <= 8


@pytest.mark.parametrize("number", [errno.EPERM, errno.EMLINK, errno.EXDEV])
def test_without_links_it_copies_durably(tmp_path: Path, number: int) -> None:
    """Each checkpoint has bytes of its own, safe once the save has returned."""
    root = tmp_path / "live"
    root.mkdir()
    disk = PowerDisk(root, NoLinks(number))
    store, ring = Store(root, fs=disk), Ring()
    for step in range(3):
        ring.add(5)
        commit(store, step, ring.tree())
    assert len(new_files(store, 1, 2)) == 16
    assert store.verify() == []
    for count, world in enumerate(disk.worlds()):
        after = tmp_path / f"after-{count}"
        disk.reboot(after, world)
        assert Store(after).verify() == []
        np.testing.assert_array_equal(Store(after).load(2).state["buffer"]["obs"], ring.array)


def test_without_links_the_refresh_still_gets_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy keeps the age of what it copies, so each file has its turn."""
    chosen: set[str] = set()

    def watched(shared: Sequence[Shared], credit_bytes: int) -> tuple[frozenset[str], int]:
        stale, left = due(shared, credit_bytes)
        chosen.update(stale)
        return stale, left

    monkeypatch.setattr(previous, "due", watched)
    store, ring = Store(tmp_path, fs=NoLinks(errno.EPERM)), Ring()
    for step in range(210):
        commit(store, step, ring.tree())
        store.prune(keep_last(1))
    assert chosen == set(inodes(tmp_path / f"{step:09}"))


def test_a_base_removed_between_begin_and_commit(tmp_path: Path) -> None:
    """The copy has only what changed: the error says so, and the next save writes everything."""
    store, ring = Store(tmp_path, fs=FastFs()), Ring()
    for step in range(2):
        commit(store, step, ring.tree())
    pending = store.begin(2, ring.tree())
    shutil.rmtree(tmp_path / "000000001")
    with pytest.raises(BaseLostError, match=r"buffer_obs_00000\.safetensors is gone"):
        store.commit(pending)
    assert not list(tmp_path.glob(".tmp*"))
    assert [info.step for info in store.list()] == [0]
    commit(store, 2, ring.tree())
    assert len(new_files(store, 0, 2)) == 16
    assert store.verify() == []


@pytest.mark.parametrize("save", [commit, Store.save])
def test_a_base_removed_between_two_saves(
    tmp_path: Path, save: Callable[[Store, int, dict[str, Any]], object]
) -> None:
    """Without a copy the bytes are at hand and are written; with one, the next save does it."""
    store, ring = Store(tmp_path, fs=FastFs()), Ring()
    for step in range(2):
        save(store, step, ring.tree())
    shutil.rmtree(tmp_path / "000000001")
    with suppress(BaseLostError):
        save(store, 2, ring.tree())
        assert save is Store.save
    save(store, 3, ring.tree())
    assert store.verify() == []
    np.testing.assert_array_equal(store.load(3).state["buffer"]["obs"], ring.array)


def test_a_pruned_base_is_not_missed(tmp_path: Path) -> None:
    """Retention may take the last save, where steps went backwards."""
    store, ring = Store(tmp_path, fs=FastFs()), Ring()
    commit(store, 30, ring.tree())
    commit(store, 10, ring.tree())
    store.prune(keep_last(1))
    assert [info.step for info in store.list()] == [30]
    commit(store, 11, ring.tree())
    assert store.verify() == []


@pytest.mark.parametrize("kind", ["short", "long", "same size", "link", "directory"])
@pytest.mark.parametrize("save", [commit, Store.save])
def test_a_file_of_the_base_that_is_not_what_it_was_is_not_shared(
    tmp_path: Path, kind: str, save: Callable[[Store, int, dict[str, Any]], object]
) -> None:
    """Cut short or replaced by hand: it is written again, at the latest by the next save."""
    store, ring = Store(tmp_path / "store", fs=FastFs()), Ring()
    for step in range(2):
        save(store, step, ring.tree())
    path = store.path / "000000001" / "buffer_obs_00003.safetensors"
    data = path.read_bytes()
    path.unlink()
    if kind == "link":
        (tmp_path / "elsewhere").write_bytes(data)
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "directory":
        path.mkdir()
    else:
        other = bytes([data[-1] ^ 1])
        path.write_bytes(data[:-1] + {"short": b"", "long": other * 2, "same size": other}[kind])
    with suppress(BaseLostError):
        save(store, 2, ring.tree())
        assert save is Store.save
    save(store, 3, ring.tree())
    assert {fault.step for fault in store.verify()} == {1}
    np.testing.assert_array_equal(store.load(3).state["buffer"]["obs"], ring.array)


def test_rot_in_a_shared_sector_is_found_in_every_checkpoint_that_shares_it(
    tmp_path: Path,
) -> None:
    """No promise says otherwise: but verify names them all, and load refuses them."""
    store, ring = Store(tmp_path, fs=FastFs()), Ring()
    for step in range(2):
        commit(store, step, ring.tree())
    name = next(iter(set(inodes(tmp_path / "000000001")) - new_files(store, 0, 1)))
    path = tmp_path / "000000001" / name
    path.chmod(0o644)
    data, written_at = bytearray(path.read_bytes()), path.stat().st_mtime_ns
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(written_at, written_at))  # a sector that rots has no time of change
    commit(store, 2, ring.tree())
    steps = {
        step for step in range(3) if inodes(tmp_path / f"{step:09}")[name] == path.stat().st_ino
    }
    assert {1} < steps
    assert {fault.step for fault in store.verify()} == steps
    for step in steps:
        with pytest.raises(CorruptError, match="digest of 'obs#"):
            store.load(step)


class FullFs(FastFs):
    """A disk that is full at times."""

    is_full = False

    def write(self, path: Path, chunks: Iterable[Bytes]) -> int:
        """Refuse, if full."""
        if self.is_full:
            raise OSError(errno.ENOSPC, "no space")
        return super().write(path, chunks)


def test_a_full_disk_does_not_end_the_sharing(tmp_path: Path) -> None:
    """The save after a refused one needs no more room than the refused one."""
    fs = FullFs()
    store, ring = Store(tmp_path, fs=fs), Ring()
    commit(store, 0, ring.tree())
    ring.add(1)
    fs.is_full = True
    with pytest.raises(SaveError, match="no space"):
        commit(store, 1, ring.tree())
    fs.is_full = False
    commit(store, 2, ring.tree())
    assert new_files(store, 0, 2) == {"buffer_obs_00000.safetensors"}
    assert store.verify() == []


def test_an_array_may_become_rows_and_be_rows_no_more(tmp_path: Path) -> None:
    """The part that begins where the whole begins is not taken for it."""
    store = Store(tmp_path, fs=FastFs())
    array = np.arange(4096, dtype=np.uint8).reshape(64, 64)
    for step, is_rows in enumerate([False, True, True, False, False, True, False, True]):
        commit(store, step, {"a": {"x": Rows(array) if is_rows else array}})
        np.testing.assert_array_equal(store.load().state["a"]["x"], array)
    assert store.verify() == []


def test_names_that_look_alike_as_files_do_not_mix(tmp_path: Path) -> None:
    """Whatever order the objects come in, and whichever of them changes."""
    store = Store(tmp_path, fs=FastFs())
    names = ["a b", "a_b", "A b", "a.b"]
    state = {name: {"x": np.full((8, 16), i, np.uint8)} for i, name in enumerate(names)}
    for step in range(10):
        state[names[step % 4]]["x"][step % 8] += 1
        names_now = names[step % 3 :] + names[: step % 3]
        commit(store, step, {name: {"x": Rows(state[name]["x"])} for name in names_now})
        for name in names:
            np.testing.assert_array_equal(store.load().state[name]["x"], state[name]["x"])
    assert store.verify() == []


def test_long_names_are_cut_but_not_their_numbers(tmp_path: Path) -> None:
    """A file name has room for the number of the part."""
    store = Store(tmp_path, fs=FastFs())
    store.save(1, {"n" * 300: {"k" * 300: Rows(np.zeros((64, 16), np.uint8))}})
    names = sorted(inodes(tmp_path / "000000001"))
    assert [name[-17:] for name in names] == [f"{i:05}.safetensors" for i in range(16)]
    assert max(map(len, names)) < 120


def test_a_file_changes_its_name_only_with_its_contents(tmp_path: Path) -> None:
    """What is written again has the name that it had: listings of two checkpoints compare."""
    store, ring = Store(tmp_path, fs=FastFs()), Ring()
    for step in range(4):
        ring.add(9)
        commit(store, step, {"agent": np.full(3, step), **ring.tree()})
    names = [set(inodes(tmp_path / f"{step:09}")) for step in range(4)]
    assert all(each == names[0] for each in names)


def test_a_thousand_parts(tmp_path: Path) -> None:
    """They are written, shared and read, and one row writes one part."""
    store = Store(tmp_path, fs=FastFs())
    array = np.zeros((4000, ROW), np.uint8)
    commit(store, 0, {"a": {"x": Rows(array, 0)}})
    array[77] = 1
    commit(store, 1, {"a": {"x": Rows(array, 78)}})
    assert store.load(1).state["a"]["x"].sum() == ROW
    assert new_files(store, 0, 1) == {"a_x_00019.safetensors"}


@pytest.mark.parametrize("read", [Store.load, Store.map])
def test_a_process_may_open_fewer_files_than_there_are(
    tmp_path: Path, read: Callable[..., Any]
) -> None:
    """A buffer has more parts than most systems let a process hold open."""
    store = Store(tmp_path, fs=FastFs())
    array = np.arange(400 * ROW, dtype=np.uint8).reshape(400, ROW)
    commit(store, 0, {"a": {"x": Rows(array)}, "b": {"y": np.arange(99)}})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 20, hard))
    try:
        state = read(store, 0).state
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    np.testing.assert_array_equal(state["a"]["x"], array)
    np.testing.assert_array_equal(state["b"]["y"], np.arange(99))


def test_what_the_system_refuses_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process without memory or descriptors must not set its checkpoints aside."""
    store = Store(tmp_path, fs=FastFs())
    commit(store, 0, {"a": {"x": np.arange(9)}})

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(
        EvertrainError, match=r"cannot be mapped[\s\S]*the checkpoint is whole"
    ) as got:
        store.map(0)
    assert type(got.value) is EvertrainError  # none that is never tried again


def test_what_stirs_among_the_still_takes_little_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target network that is copied now and then does not have the encoder written again."""
    monkeypatch.setattr(group, "_PACK_BYTES", 4 * ROW)
    quiet(monkeypatch)
    store = Store(tmp_path, fs=FastFs())
    encoder = {str(each): np.full(4 * ROW, each, np.uint8) for each in range(8)}
    target = np.zeros(4 * ROW, np.uint8)
    for step in range(12):
        target[:] = step // 4
        commit(store, step, {"agent": {"encoder": encoder, "target": target, "n": np.ones(step)}})
    for step in range(4, 12):
        fresh = new_files(store, step - 1, step)
        assert (
            sum((store.path / f"{step:09}" / each).stat().st_size for each in fresh) < 8 * 4 * ROW
        )


def test_a_manifest_of_ten_thousand_parts() -> None:
    """It says what it said, and each part has its digest."""
    names = [f"x_{part:05}.safetensors" for part in range(10_000)]
    digests = tuple(f"{part:064x}" for part in range(10_000))
    extents = tuple(Extent(name, 100, 1) for name in names)
    entry = ArrayEntry("U8", (40_000, ROW), 40_000 * ROW, extents, digests)
    files = {name: FileEntry(100 + 4 * ROW, "0" * 64, 100) for name in names}
    about = draft(1, About(), Tools())
    manifest = replace(about, skeletons={"a": 1}, arrays={"a": {"x": entry}}, files=files)

    again = parse(encode(manifest), Path("manifest.json"))

    assert (again.arrays, again.files) == (manifest.arrays, files)
    assert again.digest_at("a", "x", 7777 * 4 * ROW) == digests[7777]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 5)),
        np.arange(900.0).reshape(1, 900),
        np.arange(900.0).reshape(3, 300),
        np.arange(900.0).reshape(300, 3).T,
        np.arange(9, dtype="u1"),
        np.array(5.0),
        np.arange(100, dtype="c16"),
    ],
)
def test_rows_of_any_shape(tmp_path: Path, array: Any) -> None:
    """No rows, one huge row, rows cut through, columns, a single number."""
    store = Store(tmp_path, fs=FastFs())
    for step in range(3):
        commit(store, step, {"a": {"x": Rows(array, step)}})
        found = store.load().state["a"]["x"]
        assert found.flags.f_contiguous == array.flags.f_contiguous
        np.testing.assert_array_equal(found, array)
    assert store.verify() == []


def test_a_commit_in_another_thread(tmp_path: Path) -> None:
    """The training goes on meanwhile, and what it changes is not in the checkpoint."""
    store, ring = Store(tmp_path, fs=FastFs()), Ring()
    for step in range(5):
        ring.add(11)
        wanted = ring.array.copy()
        thread = threading.Thread(target=store.commit, args=(store.begin(step, ring.tree()),))
        thread.start()
        ring.add(11)
        thread.join()
        found = read_checkpoint(tmp_path / f"{step:09}").state["buffer"]["obs"]
        np.testing.assert_array_equal(found, wanted)
