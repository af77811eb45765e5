"""How long the loop stands still for a checkpoint, and how much memory that takes.

Every tensor changes between two saves. After each save the case waits until
its checkpoint is complete, so that nobody's writing disturbs the next one.
Memory is measured in a process of its own for each: the peak of two saves.

Usage: python benchmarks/blocked.py [--quick] [--dir DISK]
"""

import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from measure import Measured, alternate, arguments, attempt, hush, remove, scratch, stopwatch
from peers import ASYNC, EVERTRAIN, TORCH, TORCH_SYNC, chosen, is_snapshot
from table import Report, Table, compared
from work import HALF, LARGE, SMALL, TINY, Size, State

COPY, COPY_ALL = "memcpy (numpy, 1 core, warm)", "memcpy (torch, all cores, warm)"
DCP = "DCP async_save"


def main() -> None:
    """Measure both sizes."""
    asked = arguments(__doc__)
    hush()
    with scratch(asked.dir) as place:
        report = Report("blocked", place, is_quick=asked.quick)
        snapshots = look_for_snapshots(asked, place, report)
        small, large = (TINY, Size(2, 256)) if asked.quick else (SMALL, LARGE)
        measured = measure(asked, small, place / "small", 2 if asked.quick else 5)
        tell(report, f"blocked, {small}", measured)
        judge_small(report, str(small), measured, snapshots)
        measured = measure(asked, large, place / "large", 2 if asked.quick else 3)
        tell(report, f"blocked, {large}", measured)
        judge_large(report, str(large), measured)
        weigh(asked, TINY if asked.quick else HALF, place, report)
        report.finish(asked.out)


def measure(asked: Namespace, size: Size, place: Path, rounds: int) -> Measured:
    """Return how long each peer blocks the loop, and until it is done."""
    state = State(size)
    failed = Measured()
    with opened(asked, state, place, failed) as peers:
        cases: dict[str, Any] = {title: saver(peer, place / title) for title, peer in peers.items()}
        cases[COPY] = numpy_copy(state)
        cases[COPY_ALL] = torch_copy(state)
        found = alternate(cases, asked.rounds or rounds)
    found.errors |= failed.errors
    return found


@contextmanager
def opened(
    asked: Namespace, state: State, place: Path, failed: Measured
) -> Iterator[dict[str, Any]]:
    """Yield the peers that can be set up; note the others in `failed`."""
    made: dict[str, Any] = {}
    for title, make in chosen(only_evertrain=asked.only_evertrain).items():
        own = place / title / "own"
        own.mkdir(parents=True)
        peer = attempt(failed, title, lambda make=make, own=own: make(state, own))
        if peer is not None:
            made[title] = peer
    try:
        yield made
    finally:
        for peer in made.values():
            peer.close()
        remove(place)


def saver(peer: Any, place: Path) -> Callable[[], dict[str, float]]:
    """Return a case that changes everything, saves, waits, and removes the file."""

    def case() -> dict[str, float]:
        path = place / "checkpoint"
        peer.change()
        with stopwatch() as elapsed_s:
            peer.save(path)
            blocked_s = elapsed_s()
            peer.wait()
            done_s = elapsed_s()
        remove(path)
        return {"blocked_s": blocked_s, "done_s": done_s}

    return case


def numpy_copy(state: State) -> Callable[[], dict[str, float]]:
    """Return a case that copies every tensor to memory that is warm, on one core."""
    sources = [each.numpy() for each in state.tensors]
    copies = [np.array(each) for each in sources]

    def case() -> dict[str, float]:
        state.change()
        with stopwatch() as elapsed_s:
            for here, there in zip(sources, copies, strict=True):
                np.copyto(there, here)
            return {"blocked_s": elapsed_s(), "done_s": elapsed_s()}

    return case


def torch_copy(state: State) -> Callable[[], dict[str, float]]:
    """Return a case that copies every tensor with all of the machine's cores."""
    sources = state.tensors
    copies = [each.clone() for each in sources]

    def case() -> dict[str, float]:
        state.change()
        threads = torch.get_num_threads()
        torch.set_num_threads(os.cpu_count() or 1)
        try:
            with stopwatch() as elapsed_s:
                for here, there in zip(sources, copies, strict=True):
                    there.copy_(here)
                return {"blocked_s": elapsed_s(), "done_s": elapsed_s()}
        finally:
            torch.set_num_threads(threads)

    return case


def look_for_snapshots(asked: Namespace, place: Path, report: Report) -> dict[str, bool]:
    """Return which peers store the state of the save, though the loop goes on at once."""
    found: dict[str, bool] = {}
    failed = Measured()
    table = Table("does a checkpoint hold the state of its save?", ["", ""])
    for title, make in chosen(only_evertrain=asked.only_evertrain).items():
        if title not in (*ASYNC, EVERTRAIN):
            continue
        own = place / "snapshots" / title
        own.mkdir(parents=True)
        holds = attempt(failed, title, lambda make=make, own=own: is_snapshot(make, own))
        found[title] = bool(holds)
        table.rows.append([title, failed.errors.get(title, "yes" if holds else "NO")])
    remove(place / "snapshots")
    report.add(table)
    return found


def tell(report: Report, title: str, measured: Measured) -> None:
    """Print the medians and ratios."""
    more = {"until complete ms": ("done_s", 1e3)}
    others = [TORCH, TORCH_SYNC, DCP, COPY]
    report.add(compared(title, measured, "blocked_s", others, more=more))
    report.keep(title, measured)


def judge_small(report: Report, size: str, measured: Measured, snapshots: dict[str, bool]) -> None:
    """Compare with the targets of the small state."""
    judge_torch(report, size, measured)
    mine = measured.median(EVERTRAIN, "blocked_s")
    best, peer = min(
        (
            (each, title)
            for title in ASYNC
            if snapshots.get(title) and (each := measured.median(title, "blocked_s")) is not None
        ),
        default=(None, "none runs"),
    )
    ratio = mine / best if mine is not None and best else None
    report.at_most(f"blocked, {size} / best async peer that copies ({peer})", ratio, 1 / 2)
    judge_copy(report, size, measured)


def judge_large(report: Report, size: str, measured: Measured) -> None:
    """Compare with the targets of the large state."""
    judge_torch(report, size, measured)
    ratio = measured.ratio(EVERTRAIN, DCP, "blocked_s")
    report.at_most(f"blocked, {size} / {DCP}", ratio, 0.4)
    judge_copy(report, size, measured)


def judge_torch(report: Report, size: str, measured: Measured) -> None:
    """Compare with `torch.save`, as people call it and as it would have to be called."""
    for other in (TORCH, TORCH_SYNC):
        ratio = measured.ratio(EVERTRAIN, other, "blocked_s")
        report.at_most(f"blocked, {size} / {other}", ratio, 1 / 12)


def judge_copy(report: Report, size: str, measured: Measured) -> None:
    """Compare with a plain copy of the state to warm memory."""
    report.at_most(f"blocked, {size} / {COPY}", measured.ratio(EVERTRAIN, COPY, "blocked_s"), 1.5)


def weigh(asked: Namespace, size: Size, place: Path, report: Report) -> None:
    """Measure the peak of extra memory, each peer in a process of its own."""
    found = Measured()
    table = Table(
        f"peak of extra memory, {size}, two saves", ["", "state MB", "extra MB", "/ state"]
    )
    for title in chosen(only_evertrain=asked.only_evertrain):
        own = place / "memory"
        own.mkdir()
        numbers = attempt(found, title, lambda title=title, own=own: in_process(title, size, own))
        remove(own)
        if numbers is None:
            table.notes.append(f"{title}: does not run: {found.errors[title]}")
            continue
        ratio = numbers["extra_bytes"] / numbers["state_bytes"]
        found.samples[title] = {key: [value] for key, value in numbers.items()}
        row = [numbers["state_bytes"] / 1e6, numbers["extra_bytes"] / 1e6, ratio]
        table.rows.append([title, *row])
        if title == EVERTRAIN:
            report.at_most(f"peak of extra memory, {size}", ratio, 1.1, "x state")
    report.add(table)
    report.keep(table.title, found)


def in_process(title: str, size: Size, place: Path) -> dict[str, float]:
    """Return what `memory.py` measures for one peer."""
    script = Path(__file__).with_name("memory.py")
    command = [sys.executable, str(script), title, str(size.layers), str(size.width), str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    numbers: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return numbers


if __name__ == "__main__":
    main()
