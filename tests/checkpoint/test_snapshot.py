"""A snapshot is of one moment, whatever the training does while it is written."""

import copy
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evertrain.checkpoint import Store
from evertrain.checkpoint.arena import Arena
from evertrain.checkpoint.plugin import Rows
from evertrain.checkpoint.snapshot import take

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
        assert 800_056 <= arena.capacity_bytes < 801_000
    assert len(places) == 2


def test_the_room_for_copies_shrinks_after_a_peak() -> None:
    """One large save does not hold its memory for ever; one small save does not give it up."""
    arena = Arena()
    small, large = {"a": {"x": np.zeros(10)}}, {"a": {"x": np.zeros(MIB)}}
    take(large, arena=arena)
    for state in (small, small, large, small, small):
        take(state, arena=arena)
        assert arena.capacity_bytes == 8 * MIB
    take(small, arena=arena)
    assert arena.capacity_bytes < 1000


def test_no_room_for_a_copy_is_a_memory_error_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller may save without a copy instead, and copy again later."""
    store, real = Store(tmp_path), np.empty

    def full(size: Any, dtype: Any) -> Any:
        raise MemoryError(size, dtype)

    monkeypatch.setattr(np, "empty", full)
    with pytest.raises(MemoryError):
        store.begin(1, {"a": np.zeros(9)})
    monkeypatch.setattr(np, "empty", real)
    store.save(1, {"a": np.zeros(9)})
    store.commit(store.begin(2, {"a": np.ones(9)}))
    assert store.load().state["a"].all()


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
