"""What checkpoints cost a real training: wall-clock time, all included.

A student network learns a teacher's function with Adam. evertrain trains a
minute with its default rule (`save=auto`); the peers then save as often as it
did. The bare loop runs between them: each is compared with the bare loops
before and behind it, and the bare loops with each other, which is the noise.

Usage: python benchmarks/slowdown.py [--quick] [--only-evertrain] [--dir DISK]
"""

import json
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from evertrain import Run
from measure import Measured, arguments, attempt, describe, hush, scratch, settle, stopwatch
from peers import PEERS, TORCH_SYNC
from table import Report, Table
from work import Size, State

BARE, EVERTRAIN = "bare loop", "evertrain, save=auto"
THEIRS = (TORCH_SYNC, "Lightning AsyncCheckpointIO", "DCP async_save", "Orbax async")
SIZE = Size(4, 512)  # 1.05 M parameters, 12.6 MB with Adam's moments
BATCH = 64


@dataclass
class Trained:
    """What a piece of training took.

    Attributes:
        title: With what.
        steps: How many.
        saves: How often it saved.
        seconds: Wall-clock time, until the last checkpoint is complete.
        blocked_s: How much of it the loop stood still.
        cpu_s: Processor time of all threads, which others' load hardly changes.
        error: Why it does not run, or None.
    """

    title: str
    steps: int = 0
    saves: int = 0
    seconds: float = math.nan
    blocked_s: float = 0.0
    cpu_s: float = 0.0
    error: str | None = None

    @property
    def pace_us(self) -> float:
        """Microseconds a step."""
        return 1e6 * self.seconds / self.steps if self.steps else math.nan


class Training:
    """A student, its teacher, and the steps between them."""

    def __init__(self) -> None:
        """Make both, and a pool of inputs with the teacher's answers."""
        torch.manual_seed(0)
        self.state = State(SIZE)
        teacher = torch.nn.Sequential(torch.nn.Linear(SIZE.width, SIZE.width), torch.nn.Tanh())
        self._x = torch.randn(4096, SIZE.width)
        with torch.no_grad():
            self._y = teacher(self._x)

    def step(self) -> float:
        """Take one step on a batch, and return its loss."""
        rows = torch.randint(len(self._x), (BATCH,))
        loss = torch.nn.functional.mse_loss(self.state.model(self._x[rows]), self._y[rows])
        self.state.optimizer.zero_grad()
        loss.backward()
        self.state.optimizer.step()
        return float(loss.item())

    def pace_s(self, count: int) -> float:
        """Return the seconds of a step, warmed up."""
        for _ in range(count):
            self.step()
        with stopwatch() as elapsed_s:
            for _ in range(count):
                self.step()
            return elapsed_s() / count


def main() -> None:
    """Train in pieces: bare, evertrain, bare, two peers, bare, ..."""
    asked = arguments(__doc__)
    hush()
    minute_s, bare_s, piece_s = (1.0, 0.5, 0.5) if asked.quick else (60.0, 15.0, 10.0)
    with scratch(asked.dir) as place:
        report = Report("slowdown", place, is_quick=asked.quick)
        training = Training()
        step_s = training.pace_s(20 if asked.quick else 500)
        bare_steps = max(1, int(bare_s / step_s))
        found = [bare(training, bare_steps)]
        found.append(with_evertrain(training, place, int(minute_s / step_s)))
        interval = max(1, found[1].steps // max(1, found[1].saves))
        count = math.ceil(piece_s / (interval * step_s))
        report.set(
            state_bytes=training.state.nbytes, interval_steps=interval, interval_s=interval * step_s
        )
        for number, title in enumerate(() if asked.only_evertrain else THEIRS):
            if number % 2 == 0:
                found.append(bare(training, bare_steps))
            found.append(with_peer(title, training, place, interval, count))
        found.append(bare(training, bare_steps))
        tell(report, found, interval * step_s)
        report.finish(asked.out)


def bare(training: Training, steps: int) -> Trained:
    """Train without any checkpoint."""
    settle()
    began_s = time.process_time()
    with stopwatch() as elapsed_s:
        for _ in range(steps):
            training.step()
        took_s = elapsed_s()
    return Trained(BARE, steps, seconds=took_s, cpu_s=time.process_time() - began_s)


def with_evertrain(training: Training, place: Path, steps: int) -> Trained:
    """Train as the README does, with the default rule; from opening the run to closing it."""
    settle()
    blocked_s = 0.0
    began_s = time.process_time()
    state = training.state
    with stopwatch() as elapsed_s:
        with Run(place / "run", total=steps) as run:
            run.attach(model=state.model, optimizer=state.optimizer)
            iterator = iter(run)
            is_over = False
            while not is_over:
                with stopwatch() as waited_s:
                    is_over = next(iterator, None) is None
                    blocked_s += waited_s()
                if not is_over:
                    run.log(loss=training.step())
        took_s = elapsed_s()
    cpu_s = time.process_time() - began_s
    lines = (run.path / "journal.jsonl").read_text().splitlines()
    saves = sum(json.loads(line)["event"] == "saved" for line in lines)
    return Trained(EVERTRAIN, steps, saves, took_s, blocked_s, cpu_s)


def with_peer(title: str, training: Training, place: Path, interval: int, count: int) -> Trained:
    """Train some intervals; a peer saves in the middle of each and is waited for at the end."""
    own = place / title
    own.mkdir()
    failed = Measured()
    make: Callable[[Any, Path], Any] = PEERS[title]
    peer = attempt(failed, title, lambda: make(training.state, own))
    if peer is None:
        return Trained(title, error=failed.errors[title])
    settle()
    blocked_s = 0.0
    began_s = time.process_time()
    try:
        with stopwatch() as elapsed_s:
            for step in range(interval * count):
                training.step()
                if step % interval == interval // 2:
                    with stopwatch() as waited_s:
                        peer.wait() if step > interval else None
                        peer.save(own / f"checkpoint-{step}")
                        blocked_s += waited_s()
            peer.wait()
            took_s = elapsed_s()
        cpu_s = time.process_time() - began_s
    except Exception as error:  # noqa: BLE001  (a peer may fail as it likes: the table says how)
        return Trained(title, error=describe(error))
    finally:
        peer.close()
    return Trained(title, interval * count, count, took_s, blocked_s, cpu_s)


def tell(report: Report, found: list[Trained], interval_s: float) -> None:
    """Print every piece, and judge evertrain's."""
    columns = [
        "",
        "steps",
        "saves",
        "seconds",
        "us a step",
        "slow-down %",
        "blocked %",
        "CPU us a step",
    ]
    table = Table(f"training with a checkpoint each {interval_s:.1f} s", columns)
    measured = Measured()
    for index, each in enumerate(found):
        if each.error is not None:
            table.notes.append(f"{each.title}: does not run: {each.error}")
            continue
        slower = 100 * (each.pace_us / reference_us(found, index) - 1)
        blocked = 100 * each.blocked_s / each.seconds
        cpu_us = 1e6 * each.cpu_s / each.steps
        row = [each.steps, each.saves, each.seconds, each.pace_us, slower, blocked, cpu_us]
        table.rows.append([each.title, *row])
        mine = measured.samples.setdefault(each.title, {})
        numbers = {"slower": slower, "blocked": blocked, "pace_us": each.pace_us, "cpu_us": cpu_us}
        for name, value in numbers.items():
            mine.setdefault(name, []).append(value)
    paces = measured.samples[BARE]["pace_us"]
    noise = 100 * statistics.pstdev(paces) / statistics.fmean(paces)
    table.notes.append(f"noise: the bare loops differ from each other by {noise:.2f} % (1 sigma)")
    report.add(table)
    report.keep(table.title, measured)
    title = f"slow-down with save=auto, noise {noise:.2f} %"
    report.at_most(title, measured.median(EVERTRAIN, "slower"), 1.0, "%")
    blocked_title = "share of the time that the loop stands still with save=auto"
    report.at_most(blocked_title, measured.median(EVERTRAIN, "blocked"), 1.0, "%")


def reference_us(found: list[Trained], index: int) -> float:
    """Return the pace of the bare loops nearest before and behind a piece, itself not."""
    before = [each for each in found[:index] if each.title == BARE][-1:]
    behind = [each for each in found[index + 1 :] if each.title == BARE][:1]
    return statistics.fmean(each.pace_us for each in (*before, *behind))


if __name__ == "__main__":
    main()
