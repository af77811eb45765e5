"""What `for step in run`, `run.log` and a heartbeat cost a step, when nothing is due.

Each round runs the same number of empty steps with every case, in turn. The
saving rule is the default one: where a save falls into a round, the median
leaves it out and the mean does not.

Usage: python benchmarks/loop.py [--quick] [--only-evertrain] [--dir DISK]
"""

import contextlib
import csv
import itertools
import os
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from evertrain import Run
from evertrain.core.heartbeat import Heart
from measure import Measured, alternate, arguments, attempt, hush, scratch, stopwatch
from table import Report, Table, scaled

BARE, LOOP, LOG = "range", "for step in run", "for step in run + run.log of 5"
BEAT = "a heartbeat"
LABELS = ("loss", "reward", "entropy", "epsilon", "lr")


def main() -> None:
    """Measure and judge."""
    asked = arguments(__doc__)
    hush()
    steps = 200 if asked.quick else 5000
    with scratch(asked.dir) as place, contextlib.ExitStack() as stack:
        report = Report("loop", place, is_quick=asked.quick)
        report.set(steps_a_round=steps)
        failed = Measured()
        makers: dict[str, Callable[[Path], Any]] = {
            BARE: _range,
            LOOP: _run,
            LOG: _run_log,
            BEAT: _beat,
        }
        makers |= {} if asked.only_evertrain else THEIRS
        cases = {}
        for title, make in makers.items():
            own = place / str(len(cases))
            own.mkdir()
            manager = attempt(failed, title, lambda make=make, own=own: make(own))
            if manager is not None:
                cases[title] = timed(stack.enter_context(manager), steps)
        found = alternate(cases, asked.rounds or (3 if asked.quick else 20), warmups=2)
        found.errors |= failed.errors
        report.add(costs(found, steps))
        report.keep("loop", found)
        for title, limit in ((LOOP, 3.0), (LOG, 20.0), (BEAT, 1.0)):
            report.at_most(f"{title}, a step", found.median(title, "us"), limit, "us")
        report.finish(asked.out)


def timed(step: Callable[[], object], steps: int) -> Callable[[], dict[str, float]]:
    """Return a case that takes many steps."""

    def case() -> dict[str, float]:
        with stopwatch() as elapsed_s:
            for _ in itertools.repeat(None, steps):
                step()
            return {"us": 1e6 * elapsed_s() / steps}

    return case


@contextlib.contextmanager
def _range(_: Path) -> Iterator[Callable[[], object]]:
    yield iter(range(1 << 40)).__next__


@contextlib.contextmanager
def _started(place: Path) -> Iterator[Run]:
    with Run(place / "run") as run:
        run.attach(counter=[0.0])
        yield run
        run.finish()


@contextlib.contextmanager
def _run(place: Path) -> Iterator[Callable[[], object]]:
    with _started(place) as run:
        yield iter(run).__next__


@contextlib.contextmanager
def _run_log(place: Path) -> Iterator[Callable[[], object]]:
    with _started(place) as run:
        advance = iter(run).__next__

        def step() -> None:
            advance()
            run.log(loss=0.1, reward=2.5, entropy=0.7, epsilon=0.05, lr=3e-4)

        yield step


@contextlib.contextmanager
def _beat(place: Path) -> Iterator[Callable[[], object]]:
    with Heart(place / "heartbeat", os.getpid()) as heart:
        yield partial(heart.beat, 7, "step")


@contextlib.contextmanager
def _tqdm(_: Path) -> Iterator[Callable[[], object]]:
    from tqdm import tqdm

    with Path("/dev/null").open("w") as nowhere:
        yield iter(tqdm(range(1 << 40), file=nowhere)).__next__


@contextlib.contextmanager
def _csv(place: Path) -> Iterator[Callable[[], object]]:
    with (place / "log.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        counter = itertools.count(1)
        yield lambda: writer.writerow((next(counter), 0.1, 2.5, 0.7, 0.05, 3e-4))


@contextlib.contextmanager
def _lightning(place: Path) -> Iterator[Callable[[], object]]:
    from lightning.pytorch.loggers import CSVLogger

    logger = CSVLogger(place)
    counter = itertools.count(1)
    numbers = dict(zip(LABELS, (0.1, 2.5, 0.7, 0.05, 3e-4), strict=True))

    def step() -> None:
        number = next(counter)
        logger.log_metrics(numbers, number)
        if number % 100 == 0:  # what its Trainer does with flush_logs_every_n_steps=100
            logger.save()

    yield step


@contextlib.contextmanager
def _sb3(place: Path) -> Iterator[Callable[[], object]]:
    from stable_baselines3.common.logger import configure

    logger = configure(str(place), ["csv"])
    counter = itertools.count(1)

    def step() -> None:
        for label in LABELS:
            logger.record(label, 0.5)
        logger.dump(next(counter))

    yield step
    logger.close()


THEIRS: dict[str, Callable[[Path], Any]] = {
    "tqdm": _tqdm,
    "csv.writer, a row of 5": _csv,
    "Lightning CSVLogger of 5": _lightning,
    "SB3 logger (csv) of 5": _sb3,
}


def costs(found: Measured, steps: int) -> Table:
    """Return microseconds a step."""
    columns = ["", "median us", "min", "max", "mean", f"/ {BARE}"]
    table = Table(f"a step that does nothing, rounds of {steps:,}", columns)
    for case, samples in found.samples.items():
        values = samples["us"]
        ratio = found.ratio(case, BARE, "us")
        middle = scaled(found.median(case, "us"), 1.0)
        row = [middle, min(values), max(values), statistics.fmean(values), ratio]
        table.rows.append([case, *row])
    table.notes += [f"{case}: does not run: {why}" for case, why in found.errors.items()]
    return table


if __name__ == "__main__":
    main()
