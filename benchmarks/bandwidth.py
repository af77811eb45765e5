"""How fast a gigabyte becomes a checkpoint that survives a power cut.

The disk's own speed is measured in the same rounds: the same bytes, written
to a fresh file in large pieces, and fsynced; of two ways the faster counts, and
O_DIRECT stands beside them as what the device can do. `Store.save` digests every byte,
syncs every file, and renames; its return is the promise.

Usage: python benchmarks/bandwidth.py [--quick] [--dir DISK]
"""

import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evertrain import Store
from measure import (
    Measured,
    alternate,
    arguments,
    attempt,
    hush,
    remove,
    scratch,
    stopwatch,
    sync_tree,
)
from peers import EVERTRAIN, PEERS, TORCH_SYNC
from table import Report, Table, scaled
from work import LARGE, MIB, Size, State

RAW, READY, DIRECT = "raw write + fsync", "raw, preallocated + fsync", "raw, O_DIRECT + fsync"
PIECE_BYTES = 8 * MIB
# What is complete but perhaps not durable is synced by us, as a careful user would.
THEIRS = (TORCH_SYNC, "safetensors + fsync", "DCP async_save", "Orbax async")


def main() -> None:
    """Measure, compare with the disk."""
    asked = arguments(__doc__)
    hush()
    size = Size(2, 256) if asked.quick else LARGE
    with scratch(asked.dir) as place:
        report = Report("bandwidth", place, is_quick=asked.quick)
        state = State(size)
        report.set(state_bytes=state.nbytes, piece_bytes=PIECE_BYTES)
        failed = Measured()
        data = aligned(state)
        cases = {way: raw(data, place, way) for way in (RAW, READY, DIRECT)}
        cases[EVERTRAIN] = mine(state, place)
        peers = [] if asked.only_evertrain else THEIRS
        for title in peers:
            own = place / title
            own.mkdir()
            peer = attempt(failed, title, lambda title=title, own=own: PEERS[title](state, own))
            if peer is not None:
                cases[f"{title} + sync" if "fsync" not in title else title] = theirs(peer, own)
        found = alternate(cases, asked.rounds or (2 if asked.quick else 5))
        found.errors |= failed.errors
        best = fastest(found)
        report.add(speeds(found, state.nbytes, best))
        report.keep("bandwidth", found)
        ratio = found.ratio(best, EVERTRAIN, "done_s")
        report.at_least(f"1 GB, committed and durable / {best}", ratio, 0.8)
        report.finish(asked.out)


def raw(data: memoryview, place: Path, way: str) -> Callable[[], dict[str, float]]:
    """Return a case that writes bytes, which lie ready, to a new file, in one of three ways."""
    path = place / "raw"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | (os.O_DIRECT if way == DIRECT else 0)

    def case() -> dict[str, float]:
        with stopwatch() as elapsed_s:
            handle = os.open(path, flags, 0o600)
            try:
                if way == READY:
                    os.posix_fallocate(handle, 0, len(data))
                for start in range(0, len(data), PIECE_BYTES):
                    piece = data[start : start + PIECE_BYTES]
                    while piece:
                        piece = piece[os.write(handle, piece) :]
                os.fsync(handle)
            finally:
                os.close(handle)
            done_s = elapsed_s()
        remove(path)
        return {"done_s": done_s}

    return case


def aligned(state: State) -> memoryview:
    """Return the bytes of a state at the start of a page, filled up to whole pages."""
    pages = -(-state.nbytes // mmap.PAGESIZE)
    data = memoryview(mmap.mmap(-1, pages * mmap.PAGESIZE))
    start = 0
    for each in state.tensors:
        data[start : start + each.nbytes] = memoryview(each.numpy().reshape(-1)).cast("B")
        start += each.nbytes
    return data


def mine(state: State, place: Path) -> Callable[[], dict[str, float]]:
    """Return a case that saves to a store; the checkpoint before is pruned meanwhile by us."""
    store = Store(place / "store")
    step = 0

    def case() -> dict[str, float]:
        nonlocal step
        step += 1
        state.change()
        with stopwatch() as elapsed_s:
            info = store.save(step, state.tree())
            done_s = elapsed_s()
        remove(info.path)
        return {"done_s": done_s}

    return case


def theirs(peer: Any, place: Path) -> Callable[[], dict[str, float]]:
    """Return a case that saves, waits, and syncs what is there."""

    def case() -> dict[str, float]:
        path = place / "checkpoint"
        peer.change()
        with stopwatch() as elapsed_s:
            peer.save(path)
            peer.wait()
            sync_tree(place)
            done_s = elapsed_s()
        remove(path)
        return {"done_s": done_s}

    return case


def fastest(found: Measured) -> str:
    """Return the faster way to write and fsync; past the page cache is shown, not judged."""
    times = {way: found.median(way, "done_s") for way in (RAW, READY)}
    return min((took_s, way) for way, took_s in times.items() if took_s is not None)[1]


def speeds(found: Measured, nbytes: int, best: str) -> Table:
    """Return seconds, megabytes a second, and the share of the disk's own speed."""
    columns = ["", "median s", "min", "max", "MB/s", f"share of {best}"]
    table = Table(f"{nbytes / 1e6:,.0f} MB, committed and durable", columns)
    for case, samples in found.samples.items():
        values = samples["done_s"]
        middle = found.median(case, "done_s")
        speed = None if not middle else scaled(nbytes / middle, 1e-6)
        share = found.ratio(best, case, "done_s")
        table.rows.append([case, middle, min(values), max(values), speed, share])
    table.notes += [f"{case}: does not run: {why}" for case, why in found.errors.items()]
    return table


if __name__ == "__main__":
    main()
