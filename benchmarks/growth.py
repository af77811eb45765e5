"""How the cost of a save grows: with the bytes, with the leaves, with the checkpoints kept.

"first" is how long the first save of a process holds the loop up, "blocked" each later one.
An exponent of 1 is linear. It is that of the last step of each table, where
fixed costs no longer hide it.

Usage: python benchmarks/growth.py [--quick] [--only-evertrain] [--dir DISK]
"""

import math
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from evertrain import Run, Store, every, keep_last
from many import fill, start_run
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
from peers import wait_for
from table import Report, Table

EVERTRAIN, TORCH = "evertrain", "torch.save + fsync"
FIRST = "evertrain, the first save of a process"
LINEAR = 1.1  # an exponent up to here counts as linear: the disk is not that even
LEAF = 16  # numbers in a leaf, where leaves are counted

Leaves = dict[str, torch.Tensor]


def main() -> None:
    """Measure three kinds of growth."""
    asked = arguments(__doc__)
    hush()
    sizes_mb = [1, 4, 16] if asked.quick else [1, 16, 256, 1024, 4096]
    counts = [10, 100, 1000] if asked.quick else [10, 100, 1000, 10_000, 100_000]
    kept = [1, 10, 100] if asked.quick else [1, 10, 100, 1000, 10_000]
    with scratch(asked.dir) as place:
        report = Report("growth", place, is_quick=asked.quick)
        report.set(sizes_mb=sizes_mb, leaves=counts, checkpoints=kept)
        grow(asked, report, place, "state MB", sizes_mb, _of_size)
        grow(asked, report, place, "leaves", counts, _of_count)
        keep_many(report, place, kept, 3 if asked.quick else 5)
        report.finish(asked.out)


def grow(  # noqa: PLR0913, PLR0917
    asked: Namespace,
    report: Report,
    place: Path,
    what: str,
    sizes: list[int],
    make: Callable[[int], Leaves],
) -> None:
    """Save states that grow, with both libraries in turn."""
    columns = [what, "first ms", "blocked ms", "durable ms", "exponent", f"{TORCH} ms", "exponent"]
    table = Table(f"growth with {what}", columns)
    durable_s: list[float | None] = []
    theirs_s: list[float | None] = []
    for size in sizes:
        rounds = 2 if asked.quick or size >= 1024 else 5
        own = place / "growing"
        own.mkdir()
        found = both(asked, make(size), own, rounds)
        remove(own)
        report.keep(f"{table.title}: {size}", found)
        durable_s.append(found.median(EVERTRAIN, "done_s"))
        theirs_s.append(found.median(TORCH, "done_s"))
        table.rows.append(
            [
                f"{size:,}",
                _ms(found.median(FIRST, "blocked_s")),
                _ms(found.median(EVERTRAIN, "blocked_s")),
                _ms(durable_s[-1]),
                exponent(sizes, durable_s),
                _ms(theirs_s[-1]),
                exponent(sizes, theirs_s),
            ]
        )
        table.notes += [f"{size:,}: {case}: {why}" for case, why in found.errors.items()]
    report.add(table)
    title = f"growth with {what}, {sizes[-2]:,} to {sizes[-1]:,}: exponent"
    report.at_most(title, exponent(sizes, durable_s), LINEAR, "")


def both(asked: Namespace, leaves: Leaves, place: Path, rounds: int) -> Measured:
    """Save the same leaves with both, in turn, all of them changed before each save.

    The first save takes the memory that all later ones copy to, so it stands for itself.
    """
    run = Run(place / "run", save=every(steps=1), keep=keep_last(1))
    run.attach(leaves=leaves)
    steps = iter(run)
    failed = Measured()
    attempt(failed, EVERTRAIN, lambda: next(steps))
    cases = {EVERTRAIN: saver(leaves, lambda: next(steps), lambda: wait_for(run))}
    if not asked.only_evertrain:
        cases[TORCH] = saver(leaves, lambda: _torch_save(leaves, place / "state.pt"))
    first = attempt(failed, EVERTRAIN, cases[EVERTRAIN])
    found = alternate(cases, rounds)
    run.close()
    found.errors |= failed.errors
    found.samples[FIRST] = {name: [value] for name, value in (first or {}).items()}
    return found


def saver(
    leaves: Leaves, save: Callable[[], object], wait: Callable[[], None] = lambda: None
) -> Callable[[], dict[str, float]]:
    """Return a case that changes every leaf, saves and waits."""

    def case() -> dict[str, float]:
        for each in leaves.values():
            each.add_(1.0)
        with stopwatch() as elapsed_s:
            save()
            blocked_s = elapsed_s()
            wait()
            return {"blocked_s": blocked_s, "done_s": elapsed_s()}

    return case


def keep_many(report: Report, place: Path, counts: list[int], rounds: int) -> None:
    """Save and look among more and more checkpoints."""
    columns = ["checkpoints", "Store.save ms", "exponent", "latest() ms", "exponent"]
    table = Table("growth with checkpoints kept", columns)
    times: dict[str, list[float | None]] = {"save_s": [], "latest_s": []}
    checkpoints = start_run(place / "run")
    there = 1
    for count in counts:
        fill(checkpoints, there + 1, count + 1)
        there = count
        found = alternate({EVERTRAIN: among(checkpoints)}, rounds)
        report.keep(f"{table.title}: {count}", found)
        row: list[Any] = [f"{count:,}"]
        for quantity, values in times.items():
            values.append(found.median(EVERTRAIN, quantity))
            row += [_ms(values[-1]), exponent(counts, values)]
        table.rows.append(row)
        table.notes += [f"{count:,}: {case}: {why}" for case, why in found.errors.items()]
    report.add(table)
    for quantity, values in times.items():
        title = f"growth of {quantity[:-2]} with checkpoints, {counts[-2]:,} to {counts[-1]:,}"
        report.at_most(f"{title}: exponent", exponent(counts, values), LINEAR, "")


def among(checkpoints: Path) -> Callable[[], dict[str, float]]:
    """Return a case that saves one more, looks for the newest, and takes that one away again."""
    store = Store(checkpoints)
    store.list()

    def case() -> dict[str, float]:
        with stopwatch() as elapsed_s:
            info = store.save(10**6, {"w": torch.zeros(LEAF)})
            save_s = elapsed_s()
        with stopwatch() as elapsed_s:
            newest = Store(checkpoints).latest()
            latest_s = elapsed_s()
        assert newest is not None
        assert newest.step == info.step
        remove(info.path)
        return {"save_s": save_s, "latest_s": latest_s}

    return case


def exponent(sizes: list[int], times: list[float | None]) -> float | None:
    """Return the power of the size with which the last time grew from the one before."""
    if len(times) < 2 or not times[-1] or not times[-2]:
        return None
    grew = math.log(sizes[len(times) - 1] / sizes[len(times) - 2])
    return math.log(times[-1] / times[-2]) / grew


def _of_size(size_mb: int) -> Leaves:
    count = 4 if size_mb < 64 else 16
    return {f"w{i}": torch.rand(size_mb * 10**6 // 4 // count) for i in range(count)}


def _of_count(count: int) -> Leaves:
    return {f"w{i}": torch.rand(LEAF) for i in range(count)}


def _torch_save(leaves: Leaves, path: Path) -> None:
    torch.save(leaves, path)
    sync_tree(path)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1e3 * seconds


if __name__ == "__main__":
    main()
