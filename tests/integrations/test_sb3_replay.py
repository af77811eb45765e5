"""What saving and restoring a replay buffer costs: what changed, and not twice the memory."""

import re
import tracemalloc
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv

from evertrain import Run, Store, every, keep_last
from evertrain.checkpoint import cut, group
from evertrain.checkpoint.plugin import Rows, Tree
from evertrain.checkpoint.tree import flatten
from evertrain.core.errors import StateError
from evertrain.core.fs import LocalFs
from evertrain.integrations.sb3 import replay
from evertrain.integrations.sb3.model import ModelAdapter
from integrations.worlds import Observation, World

NUMBERS = 100  # of an observation
ADAPTER = ModelAdapter()
OPTIMIZED = {
    "optimize_memory_usage": True,
    "replay_buffer_kwargs": {"handle_timeout_termination": False},
}


class HundredNumbers(World):
    """A world that is hardly ever asked: the buffer is filled by hand."""

    def __init__(self) -> None:
        super().__init__(is_discrete=True)
        self.observation_space = gymnasium.spaces.Box(-9.0, 9.0, (NUMBERS,), np.float32)

    def reset(self, **options: Any) -> tuple[Observation, dict[str, Any]]:
        found, info = super().reset(**options)
        return np.resize(found, NUMBERS), info

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        found, *rest = super().step(action)
        return np.resize(found, NUMBERS), *rest  # type: ignore[return-value]

    def set_state(self, state: dict[str, Any]) -> None:
        """Keep the very array that it is given, as many environments do."""
        self.point = state["point"]


class DiscreteWorld(World):
    """With short observations."""

    def __init__(self) -> None:
        super().__init__(is_discrete=True)


class LongRows(World):
    """A world whose observations, 8 KiB each, are filled in by hand."""

    def __init__(self) -> None:
        super().__init__(is_discrete=True)
        self.observation_space = gymnasium.spaces.Box(-9.0, 9.0, (2048,), np.float32)


class NoWait(LocalFs):
    """A disk that does not wait for the medium."""

    def sync_file(self, path: Path) -> None:
        assert path.is_file()


class Sealed(ReplayBuffer):
    """A buffer of the program's own."""


class Mirrored(ReplayBuffer):
    """A buffer that writes elsewhere too."""

    def add(self, *transition: Any) -> None:
        super().add(*transition)
        self.rewards[-self.pos] = 1.0


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut after 16 KiB instead of 2 MiB."""
    monkeypatch.setattr(cut, "PART_BYTES", 16 << 10)
    monkeypatch.setattr(group, "_WORTH_BYTES", 8 << 10)


def build(rows: int, *, count: int = 1, make: type[World] = HundredNumbers, **options: Any) -> Any:
    """Return a model whose ring has so many rows."""
    venv = DummyVecEnv([make] * count)
    chosen: dict[str, Any] = {"policy_kwargs": {"net_arch": [8]}, "seed": 1}
    return DQN("MlpPolicy", venv, buffer_size=rows * count, device="cpu", **chosen | options)


def fill(program: Any, rows: int, seed: int = 0) -> None:
    """Add so many rows, as SB3 does while it collects."""
    rng, buffer = np.random.default_rng(seed), program.replay_buffer
    for _ in range(rows):
        shape = (2, *buffer.observations.shape[1:])
        seen: NDArray[np.float32] = rng.normal(size=shape).astype(np.float32)
        action, reward = rng.integers(3, size=buffer.n_envs), rng.normal(size=buffer.n_envs)
        buffer.add(*seen, action, reward, reward > 1, [{}] * buffer.n_envs)
        program.num_timesteps += buffer.n_envs


def save(store: Store, step: int, program: Any) -> int:
    """Save as a run does beside the loop; return the bytes of the files that are new."""
    before = known(store.path)
    store.commit(store.begin(step, {"model": ADAPTER.capture(program)}))
    return sum(size for inode, size in known(store.path).items() if inode not in before)


def known(path: Path) -> dict[int, int]:
    """Return the bytes of each file below, by inode."""
    found = [each.stat() for each in path.rglob("*") if each.is_file()]
    return {each.st_ino: each.st_size for each in found}


def contents(program: Any) -> dict[str, bytes]:
    """Return what a buffer holds."""
    return {name: each.tobytes() for name, each in replay._arrays(program.replay_buffer).items()}


def test_a_save_costs_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row in a hundred writes 4 % at most, and ten checkpoints take the room of 1.25.

    Over the end of the ring too; and what is said of the rows is true.
    """
    monkeypatch.setattr(cut, "PART_BYTES", 128 << 10)  # 131 MB then have as many parts as 2 GB
    monkeypatch.setattr(group, "_WORTH_BYTES", 64 << 10)
    program, store = build(8000, make=LongRows), Store(tmp_path, fs=NoWait())
    buffer = program.replay_buffer
    buffer.observations[:] = np.random.default_rng(0).normal(size=(8000, 1, 1))
    buffer.pos, buffer.full, program.num_timesteps = 7800, True, 15_800
    whole = save(store, 0, program)
    assert whole > 2 * buffer.observations.nbytes

    costs = []
    for step in range(1, 10):
        fill(program, 80, seed=step)
        costs.append(save(store, step, program))

    assert buffer.pos == 520
    assert max(costs) <= 0.04 * whole
    assert sum(known(tmp_path).values()) <= 1.25 * whole
    fill(program, 80)
    store.save(10, {"model": ADAPTER.capture(program)})  # looks at every byte; a lie is a warning
    fresh = build(8000, make=LongRows)
    ADAPTER.restore(fresh, store.map().state["model"])
    assert contents(fresh) == contents(program)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("kind", ["counted", "shared rows", "own class", "mirrored"])
def test_whatever_is_added_comes_back(kind: str, count: int, tmp_path: Path) -> None:
    """Empty, growing, full and wrapping around, with rows from elsewhere, by every count."""
    options: dict[str, dict[str, Any]] = {
        "shared rows": OPTIMIZED,
        "own class": {"replay_buffer_class": Sealed},
        "mirrored": {"replay_buffer_class": Mirrored},
    }
    program = build(700, count=count, **options.get(kind, {}))
    store = Store(tmp_path, fs=NoWait())
    for step, more in enumerate([0, 1, 39, 40, 300, 0, 319, 1, 0, 1, 699, 700, 0, 350, 1500, 3]):
        fill(program, more, seed=step)
        if step == 10:
            program.replay_buffer.add(*[np.ones((count, NUMBERS))] * 2, *[np.ones(count)] * 3, [{}])
        save(store, step, program)
        fresh = build(700, count=count, **options.get(kind, {}))
        if step % 2:
            fill(fresh, 650)  # what is there already goes
        ADAPTER.restore(fresh, store.map(step).state["model"])
        assert contents(fresh) == contents(program), step
        assert (fresh.replay_buffer.pos, fresh.replay_buffer.full) == (
            program.replay_buffer.pos,
            program.replay_buffer.full,
        )
    assert store.verify() == []


@pytest.mark.usefixtures("small_parts")
def test_what_is_empty_is_not_written(tmp_path: Path) -> None:
    """A ring for a long training costs, at its beginning, what it holds."""
    program, store = build(20_000), Store(tmp_path, fs=NoWait())
    fill(program, 100)

    assert save(store, 0, program) < 1 << 20  # of 16 MB


def test_the_rows_are_counted_where_that_is_safe() -> None:
    """The number is exact, or None: for steps that do not agree and for other classes."""
    program = build(50, count=2)
    for more, expected in [(0, 0), (49, 49), (1, 50), (1, 51), (120, 171)]:
        fill(program, more)
        assert replay.written(program.replay_buffer, program.num_timesteps) == expected
    buffer = program.replay_buffer

    assert replay.written(buffer, program.num_timesteps + 1) is None  # in the middle of a step
    assert replay.written(buffer, program.num_timesteps + 2) is None  # a step that was not kept
    assert replay.written(buffer, 2 * 21) is None  # too few for a ring that is full
    buffer.reset()
    assert replay.written(buffer, 2 * 100) is None
    for options in (OPTIMIZED, {"replay_buffer_class": Sealed}):
        other = build(50, **options)
        fill(other, 10)
        assert replay.written(other.replay_buffer, 10) is None


@pytest.mark.parametrize("size", [1, 3, 7, 8, 9, 63, 64, 65, 200, 1000])
def test_blocks_cover_the_ring_and_share_its_count(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row is in one block, and each block is a ring of its own: row n goes to n % len."""
    monkeypatch.setattr(cut, "PART_BYTES", 4 * 8)
    array = np.zeros((size, 1))
    blocks = list(replay._blocks(array))
    assert [row for first, last in blocks for row in range(first, last)] == list(range(size))
    assert all(last - first == 32 for first, last in blocks[:-1])
    assert blocks[-1][1] - blocks[-1][0] <= 64

    counts = [0] * len(blocks)
    for n in range(2 * size + 3):
        for index, (first, last) in enumerate(blocks):
            assert replay._in_block(n, size, first, last) == counts[index]
            if first <= n % size < last:
                assert counts[index] % (last - first) == n % size - first
                counts[index] += 1


def test_a_restore_holds_no_second_buffer(tmp_path: Path) -> None:
    """What is copied is let go; the copy goes to where the buffer is."""
    program = build(20_000)
    fill(program, 20_000)
    store = Store(tmp_path, fs=NoWait())
    save(store, 0, program)
    fresh = build(20_000)
    fresh.replay_buffer.observations[:] = 1  # its memory counts now

    tracemalloc.start()
    try:
        tree = store.map().state["model"]
        loaded, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        ADAPTER.restore(fresh, tree)
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert contents(fresh) == contents(program)
    assert peak - loaded < 2 << 20
    assert left - loaded < -(12 << 20)  # the file's 16 MB are gone, though the tree is not
    assert ADAPTER.mismatches(fresh, tree)  # which is used up, and says so


def test_nothing_that_is_restored_lies_in_the_file(tmp_path: Path) -> None:
    """Whatever happens to the mapped arrays afterwards, the model stays as it is."""
    program = build(600, learning_starts=10, batch_size=8)
    program.learn(50)
    assert program._n_updates
    store = Store(tmp_path, fs=NoWait())
    save(store, 0, program)
    fresh = build(600)
    fresh.env.reset()
    tree = store.map().state["model"]
    mapped = [*leaves(tree)]
    ADAPTER.restore(fresh, tree)
    before = bits(fresh)

    for each in mapped:
        each.fill_(7) if isinstance(each, torch.Tensor) else each.fill(7)

    assert len(mapped) > 20
    assert bits(fresh) == before


def bits(program: Any) -> Any:
    """Return all that is captured of a model."""
    flat = flatten(ADAPTER.capture(program), "model")
    return flat.skeleton, {key: each.data.tobytes() for key, each in flat.arrays.items()}


def leaves(tree: Tree) -> Any:
    """Yield the arrays and tensors of a tree."""
    if isinstance(tree, (np.ndarray, torch.Tensor)):
        yield tree
    for each in tree.values() if isinstance(tree, dict) else tree if type(tree) is list else ():
        yield from leaves(each)


@pytest.mark.parametrize("is_live", [True, False], ids=["taken", "loaded"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 80}, "buffer_size: 60 rows there, 80 here: give buffer_size=60"),
        ({"rows": 30, "count": 2}, "buffer_size: 60 rows there, 30 here: give buffer_size=120"),
        ({"count": 2}, r"actions: rows of \(1, 1\) int64 there, rows of \(2, 1\) int64 here"),
        (
            {"make": DiscreteWorld},
            r"observations: rows of \(1, 100\) float32 there, rows of \(1, 3\)",
        ),
        (OPTIMIZED, "next_observations: rows of .* there, nothing here: build the environments"),
    ],
)
def test_another_buffer_is_named(
    options: dict[str, Any], message: str, tmp_path: Path, *, is_live: bool
) -> None:
    """Whether its rows are fewer, longer or of another kind, what fits is said."""
    program, other = build(60), build(**{"rows": 60} | options)
    fill(program, 5)
    tree = ADAPTER.capture(program)
    if not is_live:
        store = Store(tmp_path, fs=NoWait())
        save(store, 0, program)
        tree = store.map().state["model"]

    found = [f"{each.path}: {each.problem}" for each in ADAPTER.mismatches(other, tree)]

    assert ADAPTER.mismatches(program, tree) == []
    assert any(re.search(message, each) for each in found), found


@pytest.mark.parametrize("rows", [0, 1, 37, 60, 75, 130])
@pytest.mark.parametrize("size", [20, 59, 61, 90])
def test_a_ring_of_another_size_gets_the_newest_rows_in_order(rows: int, size: int) -> None:
    """What fits is kept as if only that had been added; nothing of before is left."""
    program, other, expected = build(60), build(size), build(size)
    fill(program, rows)
    fill(other, 7, seed=1)
    tree = ADAPTER.capture(program)["replay"]
    ring, kept = program.replay_buffer, min(rows, 60, size)
    order = [number % 60 for number in range(rows - kept, rows)]
    for name in ("observations", "next_observations", "actions", "rewards", "dones", "timeouts"):
        getattr(expected.replay_buffer, name)[:kept] = getattr(ring, name)[order]

    assert replay.put(other, tree)

    mine, theirs = other.replay_buffer, expected.replay_buffer
    assert (mine.pos, mine.full) == (kept % size, kept == size)
    for name in ("observations", "next_observations", "actions", "rewards", "dones", "timeouts"):
        assert np.array_equal(getattr(mine, name), getattr(theirs, name))


@pytest.mark.parametrize(
    "options", [OPTIMIZED, {"replay_buffer_class": Sealed}, {"count": 2}], ids=str
)
def test_what_cannot_be_moved_starts_empty_and_says_so(options: dict[str, Any]) -> None:
    """Rows of another kind, or in a ring of which nobody knows what it does at its end."""
    before = {name: each for name, each in options.items() if name != "count"}
    program, other = build(60, **before), build(80, **options)
    fill(program, 25)
    tree = ADAPTER.capture(program)

    told = [each.accepted for each in replay.mismatches(other, tree["replay"])]

    assert set(told) == {"the replay buffer starts empty"}
    assert not replay.put(other, tree["replay"])
    assert other.replay_buffer.pos == 0


def test_a_run_refuses_another_buffer_and_may_begin_an_empty_one(tmp_path: Path) -> None:
    """The error has path and fix; `partial` keeps the newest rows, and they still are counted."""
    program = build(60)
    with Run(tmp_path, total=3, seed=1, save=every(steps=1), keep=keep_last(3)) as run:
        run.attach(model=program)
        for _ in run:
            fill(program, 25)

    def resume(partial: str) -> Any:
        other = build(80)
        with Run(tmp_path, total=4, seed=1, partial=[partial]) as run:
            run.attach(model=other)
            for _ in run:
                fill(other, 5)
        return other

    with pytest.raises(StateError, match=r"model\.replay_buffer\.buffer_size: .*=60"):
        resume("none")
    other = resume("model.replay_buffer.*")
    assert (other.replay_buffer.pos, other.num_timesteps) == (65, 80)
    assert isinstance(ADAPTER.capture(other)["replay"]["arrays"]["rewards"][0], Rows)
