"""A snapshot is of one moment, whatever the training does while it is written."""

import copy
import os
import sys
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evertrain.checkpoint import Store, snapshot
from evertrain.checkpoint.arena import Arena
from evertrain.checkpoint.plugin import Rows
from evertrain.checkpoint.snapshot import take
from evertrain.core.errors import UsageError

MIB = 1 << 20


def live() -> dict[str, Any]:
    """Return a state of every kind of memory that a training overwrites in place."""
    wide = np.arange(60.0).reshape(6, 10)
    return {
        "plain": np.arange(5),
        "large": np.arange(300_000),
        "strided": wide[::2, 1::3],
        "fortran": np.asfortranarray(wide.copy()),
        "fortran slice": np.asfortranarray(wide.copy())[:, 2:5],
        "row slice": wide[2:4],
        "zero": np.array(3.0),
        "empty": np.zeros((0, 3)),
        "big endian": np.arange(9, dtype=">i4"),
        "tensor": torch.arange(5.0),
        "parameter": torch.nn.Parameter(torch.arange(6.0).reshape(2, 3)),
        "tensor slice": torch.arange(12.0).reshape(3, 4)[:, 1:3],
        "transposed": torch.arange(12.0).reshape(3, 4).T,
        "complex": torch.tensor([1 + 2j, 3 - 4j]).conj(),
        "nested": {"list": [np.arange(3), {"deep": (np.arange(4),)}], "tail": deque([np.ones(2)])},
        "bytes": bytes(range(200)),
        "buffer": bytearray(range(200)),
        "numbers": [2**80, -(2**70), 1.5, float("nan"), *range(1000)],
        "floats": [0.5] * 1000,
        "text": ["a", "b"],
        "flags": {1, 2, 3},
    }


def overwrite(value: Any) -> None:
    """Change everything in place, as a training would."""
    if isinstance(value, np.ndarray):
        value[...] = 77
    elif isinstance(value, torch.Tensor):
        value.detach().fill_(77)
    elif isinstance(value, bytearray):
        value[:] = b"M" * len(value)
    elif isinstance(value, dict):
        for each in value.values():
            overwrite(each)
    elif isinstance(value, set):
        value.clear()
    elif isinstance(value, list | tuple | deque):
        for each in value:
            overwrite(each)
        if not isinstance(value, tuple):
            value.clear()


def digests(path: Path) -> str:
    """Return what tells one state from another."""
    from evertrain.checkpoint.manifest import state_digest

    return state_digest(Store(path).load().manifest)


@pytest.mark.parametrize("saves", [1, 2, 3])
def test_what_is_overwritten_after_begin_is_saved_as_it_was(tmp_path: Path, saves: int) -> None:
    """Numpy, torch, slices, bytes, lists: also once the store compares with earlier saves."""
    Store(tmp_path / "wanted").save(1, {"a": live()})
    store = Store(tmp_path / "store")
    state = live()
    for step in range(1, saves):
        store.commit(store.begin(step, {"a": copy.deepcopy(state)}))

    pending = store.begin(saves, {"a": state})
    overwrite(state)
    store.commit(pending)

    assert digests(tmp_path / "store") == digests(tmp_path / "wanted")
    assert store.verify() == []


def test_a_state_without_a_byte_is_copied(tmp_path: Path) -> None:
    """Empty arrays alone need no room."""
    store = Store(tmp_path)
    for step in range(3):
        store.commit(store.begin(step, {"a": {"x": np.zeros((0, 3)), "n": step}}))
    assert store.load().state["a"]["x"].shape == (0, 3)


def test_the_room_for_copies_is_used_again() -> None:
    """Fifty saves of one size take the memory of one."""
    arena = Arena()
    state = {"a": {"x": np.zeros(100_000), "y": np.zeros(7)}}
    places = set()
    for _ in range(50):
        snapshot = take(state, arena=arena)
        places |= {each.raw.data.ctypes.data for each in snapshot.groups[0].items}
        assert 800_056 <= arena.capacity_bytes < 901_000
    assert len(places) == 2


def test_the_room_for_copies_shrinks_after_a_peak() -> None:
    """One large save does not hold its memory for ever; one small save does not give it up."""
    arena = Arena()
    small, large = {"a": {"x": np.zeros(10)}}, {"a": {"x": np.zeros(MIB)}}
    take(large, arena=arena)
    for state in (small, small, large, small, small):
        take(state, arena=arena)
        assert 8 * MIB <= arena.capacity_bytes <= 9 * MIB
    take(small, arena=arena)
    assert arena.capacity_bytes < 1000


def test_no_room_for_a_copy_is_a_memory_error_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller may save without a copy instead, and copy again later."""
    store = Store(tmp_path)
    monkeypatch.setattr(store._arena, "_available", lambda: 50)
    with pytest.raises(MemoryError):
        store.begin(1, {"a": np.zeros(9)})
    monkeypatch.setattr(store._arena, "_available", lambda: 500)
    store.save(1, {"a": np.zeros(9)})
    store.commit(store.begin(2, {"a": np.ones(9)}))
    assert store.load().state["a"].all()


def test_what_is_left_is_asked_before_it_is_taken() -> None:
    """Linux would give the memory, and kill the training when it is used."""
    asked = 1000
    arena = Arena(lambda: asked)
    arena.start([640])  # with a spare eighth it is 720
    assert arena.capacity_bytes == 720
    with pytest.raises(MemoryError):
        arena.start([1600])
    assert arena.capacity_bytes == 0
    arena.start([896])  # there is no room for a spare part
    assert arena.capacity_bytes == 896


def test_what_grows_a_little_needs_no_new_memory() -> None:
    """Each save of a state that grows would otherwise pay for fresh pages."""
    arena = Arena()
    arena.start([64_000])
    had = arena.take(64).ctypes.data
    for more in range(1_000, 8_000, 1_000):
        arena.start([64_000 + more])
        assert arena.take(64).ctypes.data == had


def test_a_save_that_lost_its_copy_is_refused(tmp_path: Path) -> None:
    """The second begin uses the memory again: the first one must not be committed."""
    store, x = Store(tmp_path), np.zeros(1000)
    first = store.begin(1, {"a": {"x": x}})
    x += 1
    second = store.begin(2, {"a": {"x": x}})
    with pytest.raises(UsageError, match=r"the save of step 1 has lost its copy"):
        store.commit(first)
    store.commit(second)
    assert [info.step for info in store.list()] == [2]
    assert store.load(2).state["a"]["x"].tolist() == [1.0] * 1000


def test_a_forked_child_does_not_have_the_copy(tmp_path: Path) -> None:
    """It is told so, and saves what it begins itself."""
    store = Store(tmp_path)
    pending = store.begin(1, {"a": {"x": np.ones(100_000)}})
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with pytest.raises(UsageError, match="forked child"):
                store.commit(pending)
            store.commit(store.begin(2, {"a": {"x": np.full(100_000, 2.0)}}))
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    store.commit(pending)
    assert [store.load(step).state["a"]["x"].max() for step in (1, 2)] == [1.0, 2.0]


def test_a_forked_child_may_let_go_of_what_it_does_not_have() -> None:
    """Its place is still taken there: else the child would give back what it has put there since.

    A worker does so whenever it collects the remains of a training before it.
    """
    arena = Arena()
    arena.start([MIB])
    view = arena.take(MIB)
    view[:] = 1
    pid = os.fork()
    if pid == 0:
        # Memory that is not there ends the child here, by SIGSEGV.
        left = int(view.sum())
        os._exit(0 if left == 0 or sys.platform != "linux" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert view.sum() == MIB


def test_a_thread_that_writes_into_the_state_spoils_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it caught may be torn, but it has the digests of its own bytes."""
    store, x = Store(tmp_path), np.zeros(MIB)
    for step in (1, 2):
        store.commit(store.begin(step, {"a": {"x": x}}))
    real = snapshot._copy

    def meanwhile(*args: Any) -> None:
        x[7] = 3.0  # after it was looked at, before it is copied
        real(*args)

    monkeypatch.setattr(snapshot, "_copy", meanwhile)
    x[5] = 1.0
    store.commit(store.begin(3, {"a": {"x": x}}))
    assert store.verify() == []
    assert store.load(3).state["a"]["x"][[5, 7]].tolist() == [1.0, 3.0]


def test_only_what_changed_is_copied(tmp_path: Path) -> None:
    """What stood still twice is not copied; of rows, what changed now or at the last save."""
    store = Store(tmp_path)
    ring, still, moving = np.zeros((4096, 4096), np.uint8), np.zeros(MIB), np.zeros(1000)
    for step in range(8):
        ring[step * 512 : step * 512 + 100] = step + 1
        moving += 1
        pending = store.begin(step, {"a": {"ring": Rows(ring), "still": still, "moving": moving}})
        store.commit(pending)
        if step >= 3:
            assert pending.snapshot.copied_bytes <= 2 * 2 * MIB + moving.nbytes
            assert set(pending.snapshot.shared) >= {"a-still.safetensors"}
    np.testing.assert_array_equal(store.load().state["a"]["ring"], ring)


def test_counted_rows_are_neither_compared_nor_copied(tmp_path: Path) -> None:
    """With `written`, the copy is bounded by what changed since the last save."""
    store = Store(tmp_path)
    ring = np.zeros((4096, 4096), np.uint8)
    for step in range(4):
        ring[step * 512 : (step + 1) * 512] = step + 1
        pending = store.begin(step, {"a": {"ring": Rows(ring, written=(step + 1) * 512)}})
        store.commit(pending)
        assert step == 0 or pending.snapshot.copied_bytes == 2 * MIB
    np.testing.assert_array_equal(store.load().state["a"]["ring"], ring)
