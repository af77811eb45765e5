"""Restart latency: from the death of a training to the execution of the next one, no pause set.

Each supervisor starts a program, which is killed again and again (SIGKILL) after it has
lived a second. Timed is, from outside, the supervisor alone: from the moment at which the
program is dead, so that others can know it (its pidfd is readable), to the first thing
that the kernel does for `execve` of the next one (`executed.py`). The start of Python is in
none of the numbers, and nothing is put into the program. It is `sleep`, and for evertrain
also a loop with a `Run` that saves, whose journal, checkpoints and heartbeat are looked at
before the restart.

Usage: python benchmarks/restart.py [--quick] [--rounds N] [--dir DISK] [--only-evertrain]
"""

import random
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from executed import Program, kill, python_copy
from measure import Measured, arguments, attempt, scratch
from supervisors import BASH, EVERTRAIN, TORCHRUN, start, with_bash, with_evertrain, with_torchrun
from table import Report, compared

FOREIGN, RUN = f"{EVERTRAIN}, any command", f"{EVERTRAIN}, a script with Run"
SMALLEST_S = 0.001
TORCHRUN_FAST = f"{TORCHRUN} --monitor-interval {SMALLEST_S}"
LIMIT_S = 60.0
TARGET_MS = 50.0

TRAINING = """
import time
import numpy as np
from evertrain import Run, every

with Run("runs/x", total=10**9, save=every(steps=20)) as run:
    run.attach(weights=np.zeros(10_000))
    for step in run:
        time.sleep(0.01)
        run.log(loss=1 / step)
"""


def main() -> None:
    """Measure and judge."""
    asked = arguments(__doc__)
    rounds, kills, life_s = (1, 2, 0.7) if asked.quick else (asked.rounds or 5, 8, 1.0)
    with scratch(asked.dir) as place:
        report = Report("restart", place, is_quick=asked.quick)
        report.set(rounds=rounds, kills_a_round=kills, life_s=life_s)
        found = in_turn(cases(place, only_evertrain=asked.only_evertrain), rounds, kills, life_s)
        table = compared(
            "death to exec of the next process, no pause set",
            found,
            "s",
            [] if asked.only_evertrain else [BASH, TORCHRUN],
        )
        report.add(table)
        report.keep("restart", found)
        for title in (FOREIGN, RUN):
            median_s = found.median(title, "s")
            took_ms = None if median_s is None else 1e3 * median_s
            report.at_most(f"{title}: death to exec, median", took_ms, TARGET_MS, "ms")
        report.finish(asked.out)


Start = Callable[[Sequence[str], Path], list[str]]


class Case:
    """A supervisor and a program, of which every restart is timed.

    Args:
        place: Empty directory of its own.
        start: Returns the supervisor's command for the program's and a new run directory.
        is_run: Whether the program is the loop with a `Run`; else it is `sleep`.
    """

    def __init__(self, place: Path, start: Start, *, is_run: bool = False) -> None:
        """Prepare the program."""
        self._place, self._start, self._count = place, start, 0
        place.mkdir()
        if is_run:
            (place / "training.py").write_text(TRAINING)
            self._program = python_copy(place / "venv")
            self._arguments = [str(place / "training.py")]
        else:
            sleep = shutil.which("sleep")
            assert sleep is not None
            self._program = Program(Path(sleep), place / "sleeper")
            self._arguments = ["1000"]

    def restarts(self, kills: int, life_s: float) -> list[float]:
        """Return what each of so many restarts took, seconds; after as many to warm up as one."""
        self._count += 1
        program, round_dir = self._program, self._place / f"round-{self._count}"
        program.forget()
        command = self._start([str(program.path), *self._arguments], round_dir / "run")
        running = start(command, round_dir)
        try:
            program.wait_executed(LIMIT_S)
            return [self._restart(life_s) for _ in range(kills + 1)][1:]
        finally:
            running.end()

    def _restart(self, life_s: float) -> float:
        time.sleep(life_s)
        dead_s = kill(self._program.pid())
        return self._program.wait_executed(LIMIT_S) - dead_s


def cases(place: Path, *, only_evertrain: bool) -> dict[str, Case]:
    """Return what is measured."""
    ours = {
        FOREIGN: Case(place / "foreign", with_evertrain),
        RUN: Case(place / "run", with_evertrain, is_run=True),
    }
    if only_evertrain:
        return ours
    return ours | {
        TORCHRUN: Case(place / "torchrun", lambda words, _: with_torchrun(words)),
        TORCHRUN_FAST: Case(
            place / "torchrun-fast", lambda words, _: with_torchrun(words, SMALLEST_S)
        ),
        BASH: Case(place / "bash", lambda words, _: with_bash(words)),
    }


def in_turn(cases: dict[str, Case], rounds: int, kills: int, life_s: float) -> Measured:
    """Run every case once a round, shuffled."""
    found = Measured({title: {"s": []} for title in cases})
    shuffle = random.Random(0).shuffle
    order = list(cases)
    for _ in range(rounds):
        shuffle(order)
        for title in order:
            if title in found.errors:
                continue
            took_s = attempt(found, title, lambda case=cases[title]: case.restarts(kills, life_s))
            if took_s is not None:
                found.samples[title]["s"] += took_s
    return found


if __name__ == "__main__":
    main()
