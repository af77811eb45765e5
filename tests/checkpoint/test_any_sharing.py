"""Whatever changes between saves, every kept checkpoint is exactly what was saved."""

import copy
import errno
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evertrain.checkpoint import Store, cut, group
from evertrain.checkpoint.plugin import Rows
from evertrain.checkpoint.read import read_checkpoint
from evertrain.core.errors import SaveError
from evertrain.core.fs import Bytes, LocalFs

Array = np.ndarray[Any, Any]
State = dict[str, dict[str, Any]]

DTYPES = ("u1", "<f4", "<f8", ">i2", "c16", "?")
SHAPES = ((), (0, 4), (3,), (5, 3), (40,), (9, 7), (2, 50), (1, 90), (33, 3), (64, 2))


class FastFs(LocalFs):
    """A disk that does not wait for the medium.

    Attributes:
        left: Operations until it refuses one; None refuses none.
    """

    left: int | None = None

    def write(self, path: Path, chunks: Iterable[Bytes]) -> int:
        """Refuse, if it is time."""
        self._count()
        return super().write(path, chunks)

    def link(self, src: Path, dst: Path) -> bool:
        """Refuse, if it is time."""
        self._count()
        return super().link(src, dst)

    def replace(self, src: Path, dst: Path) -> None:
        """Refuse, if it is time."""
        self._count()
        super().replace(src, dst)

    def _count(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise OSError(errno.ENOSPC, "no space")

    def sync_file(self, path: Path) -> None:
        """Look that there is something to sync."""
        assert path.is_file()

    def sync_dir(self, path: Path) -> None:
        """Look that there is something to sync."""
        assert path.is_dir()


@contextmanager
def small_parts() -> Iterator[None]:
    """Cut after 64 bytes instead of 2 MiB."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cut, "PART_BYTES", 64)
        patch.setattr(group, "_WORTH_BYTES", 32)
        yield


def fresh(rng: np.random.Generator) -> Array:
    """Return an array of any dtype, shape and order."""
    dtype, shape = np.dtype(rng.choice(DTYPES)), SHAPES[rng.integers(len(SHAPES))]
    array = rng.integers(0, 2, (*shape, dtype.itemsize), np.uint8)
    found = array.view(dtype).reshape(shape).copy()
    return np.asfortranarray(found) if rng.random() < 0.3 else found


def mutate(state: State, rows: set[tuple[str, str]], seed: int) -> None:
    """Change something: a few items, a whole array, which arrays there are, or nothing."""
    rng = np.random.default_rng(seed)
    name, key = str(rng.choice(["a", "b", "a b"])), str(rng.choice(["x", "y", "Z", "z"]))
    arrays = state[name]
    match rng.integers(6):
        case 0:
            arrays[key] = fresh(rng)
        case 1:
            arrays.pop(key, None)
        case 2:
            rows ^= {(name, key)}
        case 3 | 4 if key in arrays and arrays[key].size:
            flat = arrays[key].reshape(-1).copy()
            flat[rng.integers(flat.size)] = rng.integers(0, 2)
            is_fortran = arrays[key].flags.f_contiguous
            changed = flat.reshape(arrays[key].shape)
            arrays[key] = np.asfortranarray(changed) if is_fortran else changed
        case _:
            state[name] = dict(reversed(arrays.items()))


class Ring:
    """A buffer whose owner counts its rows; they are shared without a look.

    Attributes:
        rows: The buffer.
        given: Rows that it was ever given.
    """

    def __init__(self) -> None:
        """Hold nothing."""
        self.rows = np.zeros((12, 30), np.uint8)
        self.given = 0

    def add(self, count: int) -> None:
        """Write rows in order, round and round."""
        for _ in range(count):
            self.given += 1
            self.rows[(self.given - 1) % len(self.rows)] = self.given % 251


def shown(state: State, rows: set[tuple[str, str]], given: int = 0) -> dict[str, Any]:
    """Return the state as it is given to the store."""
    return {
        name: {
            key: Rows(each, given if name == "ring" else None)
            if name == "ring" or (name, key) in rows
            else each
            for key, each in arrays.items()
        }
        for name, arrays in state.items()
    }


def same(one: Array, two: Array) -> bool:
    """Say whether two arrays are the same in every bit, and in their order."""
    kinds = [
        (each.dtype, each.shape, each.flags.f_contiguous, each.tobytes()) for each in (one, two)
    ]
    return kinds[0] == kinds[1]


def check(path: Path, wanted: State) -> None:
    """Assert that a checkpoint holds exactly this."""
    found = read_checkpoint(path).state
    assert {name: set(arrays) for name, arrays in found.items()} == {
        name: set(arrays) for name, arrays in wanted.items()
    }
    for name, arrays in wanted.items():
        for key, array in arrays.items():
            assert same(np.asarray(found[name][key]), array), (path, name, key)


def save(
    store: Store,
    step: int,
    state: State,
    rows: set[tuple[str, str]],
    how: str,
    *,
    given: int = 0,
    fs: FastFs | None = None,
) -> Store:
    """Save in one of the ways; return the store to go on with."""
    newest, fs = store.latest(), fs or FastFs()
    if how == "restarted":
        store = Store(store.path, fs=fs)
        if newest is not None:
            loaded = store.load(newest.step)
            store.share_with(newest.path, loaded.manifest)
    if how in {"saved", "restarted"}:
        store.save(step, shown(state, rows, given))
        return store
    live = copy.deepcopy(state)
    pending = store.begin(step, shown(live, rows, given))
    for arrays in live.values():
        for array in arrays.values():
            array[...] = 1
    if how == "robbed" and newest is not None:
        shutil.rmtree(newest.path)
    if how == "refused":
        fs.left = step % 7
    try:
        store.commit(pending)
    except SaveError:
        assert how in {"robbed", "refused"}
        return save(store, step, state, rows, "begun", given=given)
    finally:
        fs.left = None
    return store


HOW = st.sampled_from(["saved", "begun", "begun", "restarted", "refused", "robbed"])


@settings(max_examples=120, deadline=None)
@given(
    changes=st.lists(
        st.tuples(
            st.lists(st.integers(0, 2**20), max_size=4), st.integers(0, 15), HOW, st.booleans()
        ),
        min_size=2,
        max_size=12,
    ),
    start=st.lists(st.integers(0, 2**20), max_size=8),
)
def test_every_kept_checkpoint_is_what_was_saved(
    changes: list[tuple[list[int], int, str, bool]], start: list[int]
) -> None:
    """Saved in any way, after any change, and whichever others were deleted by hand.

    Also where the disk refused, or the last checkpoint was taken away under a save.
    """
    ring, fs = Ring(), FastFs()
    state: State = {"a": {}, "b": {}, "a b": {}, "ring": {"r": ring.rows}}
    rows: set[tuple[str, str]] = {("a", "x"), ("a b", "x"), ("b", "Z")}
    for seed in start:
        state["a"][f"{seed % 5}"] = fresh(np.random.default_rng(seed))
    with TemporaryDirectory() as root, small_parts():
        store, wanted = Store(root, fs=fs), dict[int, State]()
        for step, (seeds, added, how, _) in enumerate(changes):
            for seed in seeds:
                mutate(state, rows, seed)
            ring.add(added)
            store = save(store, step, state, rows, how, given=ring.given, fs=fs)
            wanted[step] = copy.deepcopy(state)
            if how == "robbed":
                wanted.pop(step - 1, None)
        for step, (*_, is_kept) in enumerate(changes):
            if not is_kept and step in wanted:
                shutil.rmtree(store.path / f"{step:09}")
                del wanted[step]
        for step, each in wanted.items():
            check(store.path / f"{step:09}", each)
        assert store.verify() == []


def test_every_kept_checkpoint_is_what_was_saved_at_real_size(tmp_path: Path) -> None:
    """The same with parts of 2 MiB: a buffer, a frozen and a trained network, twelve saves."""
    rng = np.random.default_rng(3)
    state: State = {
        "buffer": {
            "obs": rng.integers(0, 9, (5000, 1000), np.uint8),
            "tall": np.zeros((2, 400_000)),
        },
        "agent": {"frozen": rng.random(300_000), "head": rng.random(200)},
    }
    rows = {("buffer", "obs"), ("buffer", "tall")}
    store, wanted = Store(tmp_path, fs=FastFs()), dict[int, State]()
    for step in range(8):
        state["buffer"]["obs"][step * 700 % 5000] = step
        state["buffer"]["tall"][1, -1] = step
        state["agent"]["head"] += 1
        state["agent"]["late"] = np.full(step, 1)
        how = ("begun", "saved", "restarted")[step % 3]
        store = save(store, step, state, rows, how)
        wanted[step] = copy.deepcopy(state)
    for step in (0, 3, 6):
        shutil.rmtree(tmp_path / f"{step:09}")
        del wanted[step]
    for step, each in wanted.items():
        check(tmp_path / f"{step:09}", each)
    assert store.verify() == []
