"""A replay buffer in blocks of rows: what is empty costs nothing, what stands still once.

A buffer is made for a million transitions and filled over days. So only the
blocks that hold something are stored, each in its final shape, and each says
how many rows it has been given: a save writes the parts that changed.

Layer: integrations. Imports checkpoint only.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from stable_baselines3.common import buffers
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer

from evertrain.checkpoint import cut
from evertrain.checkpoint.plugin import Mismatch, Rows, Tree

Array = np.ndarray[Any, Any]

# Their `add` gives one row to each array, in order, round and round, and nothing else changes any.
# NStepReplayBuffer, which young versions of SB3 have, only samples in another way.
_IN_ORDER: Final = frozenset(
    {ReplayBuffer, DictReplayBuffer, getattr(buffers, "NStepReplayBuffer", ReplayBuffer)}
)
_ADDS: Final = frozenset({ReplayBuffer.add, DictReplayBuffer.add})
_EMPTY: Final = "the replay buffer starts empty"
_BLOCK_PARTS: Final = 8  # few names, and not much that is written before it is filled


def take(model: BaseAlgorithm) -> Tree:
    """Return the replay buffer as far as it is filled; None without one."""
    buffer = _buffer(model)
    if buffer is None:
        return None
    count, filled = written(buffer, model.num_timesteps), _filled(buffer)
    return {
        "pos": buffer.pos,
        "full": buffer.full,
        "size": buffer.buffer_size,
        "arrays": {
            name: [
                Rows(array[first:last], _in_block(count, len(array), first, last))
                for first, last in _blocks(array)
                if first < filled
            ]
            for name, array in _arrays(buffer).items()
        },
    }


def mismatches(model: BaseAlgorithm, tree: Tree) -> list[Mismatch]:
    """Return how the stored buffer, or one just taken, does not fit that of `model`."""
    buffer = _buffer(model)
    if buffer is None:
        return [] if tree is None else [Mismatch("replay_buffer", "not in the program")]
    if tree is None:
        return [Mismatch("replay_buffer", "missing in the checkpoint", _EMPTY)]
    found = _other_rows(buffer, tree)
    if buffer.buffer_size == tree["size"]:
        return found
    problem = f"{tree['size']} rows there, {buffer.buffer_size} here"
    fix = f"give buffer_size={tree['size'] * buffer.n_envs}"
    accepted = _EMPTY if found else _moved(buffer, tree)
    return [Mismatch("replay_buffer.buffer_size", f"{problem}: {fix}", accepted), *found]


def _moved(buffer: ReplayBuffer, tree: Tree) -> str:
    """Return what becomes of stored rows of the same kind in a ring of another size."""
    if not _is_movable(buffer):
        return _EMPTY
    return f"the newest {min(_rows_in(tree), buffer.buffer_size)} of {_rows_in(tree)} rows are kept"


def _other_rows(buffer: ReplayBuffer, tree: Tree) -> list[Mismatch]:
    """Return which rows are not as those of `buffer`."""
    mine = {name: _row(array) for name, array in _arrays(buffer).items()}
    there = {name: _row(_bare(blocks[0])) for name, blocks in tree["arrays"].items()}
    return [
        Mismatch(
            f"replay_buffer.{name}",
            f"{there.get(name, 'nothing')} there, {mine.get(name, 'nothing')} here:"
            " build the environments and the buffer as then",
            _EMPTY,
        )
        for name in sorted(mine.keys() | there.keys())
        if mine.get(name) != there.get(name)
    ]


def put(model: BaseAlgorithm, tree: Tree) -> bool:
    """Fill the buffer of `model`, a ring of another size with the newest rows.

    Each block is taken out of `tree` once it is copied, so that memory never holds
    the buffer twice.

    Returns:
        Whether it was filled. One whose rows are of another kind stays as it is.
    """
    buffer = _buffer(model)
    if buffer is None or tree is None or _other_rows(buffer, tree):
        return False
    size, is_same = buffer.buffer_size, buffer.buffer_size == tree["size"]
    if not is_same and not _is_movable(buffer):
        return False
    spans = [(0, size, 0)] if is_same else list(_newest(tree, size))
    is_used = buffer.full or buffer.pos > 0
    for name, array in _arrays(buffer).items():
        end = _copy(tree["arrays"][name], array, spans)
        if is_used:  # else it holds zeros, and no memory yet
            array[end:] = 0
    kept = min(_rows_in(tree), size)
    pos, full = (tree["pos"], tree["full"]) if is_same else (kept % size, kept == size)
    buffer.pos, buffer.full = pos, full
    return True


def _copy(blocks: list[Any], array: Array, spans: Sequence[tuple[int, int, int]]) -> int:
    """Copy spans of rows, each (first, last, first in `array`), and take each block out.

    Returns:
        The first row of `array` behind them.
    """
    start = end = 0
    for index, block in enumerate(blocks):
        rows = _bare(block)
        for first, last, place in spans:
            low, high = max(first, start), min(last, start + len(rows))
            if low < high:
                at = place + low - first
                array[at : at + high - low] = rows[low - start : high - start]
                end = max(end, at + high - low)
        start += len(rows)
        blocks[index] = None
    return end


def _newest(tree: Tree, most: int) -> Iterator[tuple[int, int, int]]:
    """Yield the spans of the newest `most` rows of a stored ring, from the oldest on."""
    parts = [(tree["pos"], tree["size"]), (0, tree["pos"])] if tree["full"] else [(0, tree["pos"])]
    surplus, place = max(_rows_in(tree) - most, 0), 0
    for first, last in parts:
        skipped = min(surplus, last - first)
        surplus -= skipped
        yield first + skipped, last, place
        place += last - first - skipped


def _rows_in(tree: Tree) -> int:
    """Return how many transitions a stored ring holds."""
    return int(tree["size"] if tree["full"] else tree["pos"])


def _is_movable(buffer: ReplayBuffer) -> bool:
    """Say whether its rows mean the same at other places, as long as they stay in order."""
    return type(buffer) in _IN_ORDER and not buffer.optimize_memory_usage


def written(buffer: ReplayBuffer, timesteps: int) -> int | None:
    """Return the rows that the buffer was ever given; None if nobody can tell.

    SB3 knows that number only up to whole rounds. The steps of the training give it,
    and must agree with what the buffer knows: with transitions from elsewhere, or
    after a reset, they do not.

    Args:
        buffer: One row of it is a step in all of its environments.
        timesteps: Steps of the training, over all environments.
    """
    # The memory efficient variant also writes the next row, and the ends of trajectories later.
    if type(buffer) not in _IN_ORDER or buffer.optimize_memory_usage or timesteps % buffer.n_envs:
        return None
    count, size = timesteps // buffer.n_envs, buffer.buffer_size
    return count if (count % size, count >= size) == (buffer.pos, buffer.full) else None


def names_of_rows(buffer: object) -> frozenset[str]:
    """Return the attributes of a buffer that `take` takes as rows, or that say how many."""
    rows = _arrays(buffer) if isinstance(buffer, ReplayBuffer) else {}
    return frozenset(name.partition(".")[0] for name in rows)


def _buffer(model: BaseAlgorithm) -> ReplayBuffer | None:
    return getattr(model, "replay_buffer", None)


def _arrays(buffer: ReplayBuffer) -> dict[str, Array]:
    """Return the buffer's arrays of transitions by name; those of dicts by "name.key"."""
    found: dict[str, Array] = {}
    for name, value in vars(buffer).items():
        parts = value if isinstance(value, dict) else {"": value}
        for key, array in parts.items():
            if isinstance(array, np.ndarray) and array.shape[:1] == (buffer.buffer_size,):
                found[f"{name}.{key}".rstrip(".")] = array
    return found


def _filled(buffer: ReplayBuffer) -> int:
    """Return the rows that may hold something, and one more, which some variants share."""
    if buffer.full or type(buffer).add not in _ADDS:
        return buffer.buffer_size
    return min(buffer.pos + 1, buffer.buffer_size)


def _blocks(array: Array) -> Iterator[tuple[int, int]]:
    """Yield the first and last row (exclusive) of each block: whole parts; the last has the rest.

    The last one is as long as two at most, for a short one would be too small to share.
    """
    rows, row_bytes = len(array), max(array.nbytes // len(array), 1)
    step = _BLOCK_PARTS * max(cut.PART_BYTES // row_bytes, 1)
    starts = range(0, max(rows - step, 0) + 1, step)
    yield from ((first, first + step) for first in starts[:-1])
    yield starts[-1], rows


def _in_block(count: int | None, size: int, first: int, last: int) -> int | None:
    """Return the rows that a block was given, of `count` that the whole ring was."""
    if count is None:
        return None
    rounds, row = divmod(count, size)
    return rounds * (last - first) + min(max(row - first, 0), last - first)


def _row(array: Array | None) -> str:
    """Return what a row is; of one that was taken out, nothing that could fit."""
    return "one used up" if array is None else f"rows of {array.shape[1:]} {array.dtype}"


def _bare(block: Any) -> Any:
    return block.array if isinstance(block, Rows) else block
