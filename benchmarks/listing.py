"""How long it takes to see what there is, among ten thousand checkpoints.

Usage: python benchmarks/listing.py [--quick] [--only-evertrain] [--dir DISK]
"""

import os
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np

from evertrain import Store
from many import fill, start_run
from measure import Measured, alternate, arguments, attempt, hush, scratch, stopwatch
from table import Report, compared

LS, LATEST = "evertrain ls RUN (a process)", "Store(RUN).latest(), a new Store"


def main() -> None:
    """Make the checkpoints, then list them in every way."""
    asked = arguments(__doc__)
    hush()
    count = 100 if asked.quick else 10_000
    with scratch(asked.dir) as place:
        report = Report("listing", place, is_quick=asked.quick)
        report.set(checkpoints=count)
        fill(start_run(place / "run"), 2, count + 1)
        failed = Measured()
        found = alternate(cases(asked, place, count, failed), 2 if asked.quick else 5)
        found.errors |= failed.errors
        title = f"listing {count:,} checkpoints"
        report.add(compared(title, found, "seconds", ["python -c pass"]))
        report.keep(title, found)
        report.at_most(f"{title}: {LS}", found.median(LS, "seconds"), 1.0, "s")
        latest_s = found.median(LATEST, "seconds")
        latest_ms = None if latest_s is None else 1e3 * latest_s
        report.at_most(f"{title}: {LATEST}", latest_ms, 5.0, "ms")
        report.finish(asked.out)


def cases(
    asked: Namespace, place: Path, count: int, failed: Measured
) -> dict[str, Callable[[], dict[str, float]]]:
    """Return every way to list, evertrain's first."""
    path = place / "run"
    kept = Store(path)
    assert len(kept.list()) == count
    found: dict[str, Callable[[], object]] = {
        "python -c pass": process(["-c", "pass"]),
        LS: process(["-m", "evertrain", "ls", str(path)]),
        "evertrain ls --json RUN (a process)": process(
            ["-m", "evertrain", "ls", "--json", str(path)]
        ),
        LATEST: lambda: Store(path).latest(),
        "Store.latest(), the same Store": kept.latest,
        "Store(RUN).list(), a new Store": lambda: Store(path).list(),
        "os.listdir": lambda: os.listdir(path / "checkpoints"),  # noqa: PTH208
    }
    for title, make in () if asked.only_evertrain else THEIRS.items():
        own = place / str(len(found))
        own.mkdir()
        case = attempt(failed, title, lambda make=make, own=own: make(own, count))
        found |= {} if case is None else {title: case}
    return {title: timed(action) for title, action in found.items()}


def timed(action: Callable[[], object]) -> Callable[[], dict[str, float]]:
    """Return a case that does something once."""

    def case() -> dict[str, float]:
        with stopwatch() as elapsed_s:
            action()
            return {"seconds": elapsed_s()}

    return case


def process(arguments: list[str]) -> Callable[[], object]:
    """Return what runs Python once, its bytecode cached, its output read and thrown away."""
    command = [sys.executable, *arguments]
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return lambda: subprocess.run(command, check=True, capture_output=True, env=env)


def _hugging_face(place: Path, count: int) -> Callable[[], object]:
    from transformers.trainer_utils import get_last_checkpoint

    for step in range(1, count + 1):
        (place / f"checkpoint-{step}").mkdir()
    return lambda: get_last_checkpoint(str(place))


def _orbax(place: Path, count: int) -> Callable[[], object]:
    import orbax.checkpoint as ocp

    with ocp.CheckpointManager(place) as manager:
        manager.save(1, args=ocp.args.StandardSave({"w": np.zeros(16)}))
        manager.wait_until_finished()
    for step in range(2, count + 1):
        shutil.copytree(place / "1", place / str(step), copy_function=os.link)

    def latest() -> object:
        with ocp.CheckpointManager(place) as manager:
            return manager.latest_step()

    return latest


THEIRS: dict[str, Callable[[Path, int], Callable[[], object]]] = {
    "HF get_last_checkpoint": _hugging_face,
    "Orbax CheckpointManager().latest_step()": _orbax,
}


if __name__ == "__main__":
    main()
