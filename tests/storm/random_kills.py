"""Kills one long training by SIGKILL at random times, and looks at all that it restores.

    python -m storm.random_kills DIRECTORY KILLS

A twin that is left alone writes down a digest of its whole state after each step. The
victim lives in forked processes. Each one says what it restored, and where from; it is
killed a random time after that, every fourth one after its start. A run that ends too
soon is followed by another one. Prints one JSON object for the twin, one for each kill,
one for each end.
"""

import json
import os
import random
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

from evertrain import Run, Stage, every, keep_any, keep_best, keep_every, keep_last, keep_stages
from storm.forking import code_of, completed, forked, wait_for_no_medium, warm_up
from storm.outcome import committed, end_of

STEPS_PER_KILL = 25
LONGEST_S = 0.3  # of a life, behind what it restored
BEGINNING_S = 0.1
SEED = 3


class Training:
    """Everything that a checkpoint can hold: shared parts, a ring, generators, stages, a best one.

    Args:
        path: Run directory.
        total: Steps.
    """

    def __init__(self, path: Path, total: int) -> None:
        """Build it, as on every start."""
        self.path, self.total = path, total
        self.ring = np.zeros((560, 1000), np.float32)  # more than one part
        self.still = np.arange(150_000.0)
        self.chance = np.random.default_rng(5)
        self.python = random.Random(6)
        self.recent: deque[float] = deque(maxlen=50)
        self.run: Run

    def begin(self) -> Run:
        """Open the run and restore."""
        keep = keep_any(keep_last(3), keep_best(1), keep_every(steps=500), keep_stages())
        self.run = run = Run(
            self.path, seed=1, save=every(steps=7), keep=keep, best="max:score", unit="episode"
        )
        run.attach(ring=self.ring, still=self.still, chance=self.chance, python=self.python)
        run.attach(recent=self.recent)
        run.state.weights = np.zeros((40, 50))
        run.state.count = 0
        return run

    def steps(self) -> Iterator[int]:
        """Train; yield after each step."""
        run, part = self.run, self.total // 3
        plan = [Stage("one", part), Stage("two", part), Stage("three", self.total - 2 * part)]
        with run:
            for stage in run.stages(plan):
                for step in stage:
                    self.learn()
                    if step % 250 == 1 and run.step:
                        run.store.pin(run.store.list()[-1].step)
                    yield step

    def learn(self) -> None:
        """Do what a training does: draw, change, count, log."""
        run = self.run
        row = self.chance.normal(size=1000).astype(np.float32)
        self.ring[run.state.count % len(self.ring)] = row
        noise = np.random.normal(size=(40, 50))  # noqa: NPY002
        run.state.weights = run.state.weights * 0.99 + noise * self.python.random()
        run.state.count += 1
        self.recent.append(float(row[0]) + random.random())
        run.log(score=sum(self.recent) / len(self.recent), norm=float(run.state.weights.std()))

    def digest(self) -> str:
        """Return a digest of all that a resume has to bring back."""
        found = blake3(self.ring.data.cast("B"))
        found.update(np.ascontiguousarray(self.run.state.weights).data.cast("B"))
        words = (
            *(self.run.state.count, list(self.recent), self.chance.bit_generator.state),
            *(self.python.getstate(), random.getstate()),
        )
        found.update(repr(words).encode())
        kind, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002
        found.update(repr((kind, rest)).encode() + np.asarray(keys).tobytes())
        found.update(self.still.data.cast("B"))
        return found.hexdigest()[:16]


def lives_alone(path: Path, total: int, record: Path) -> Callable[[], None]:
    """Return a life that ends by itself, and writes down each state."""

    def live() -> None:
        wait_for_no_medium()
        training = Training(path, total)
        training.begin().restore()
        found = {0: training.digest()}
        for step in training.steps():
            found[step] = training.digest()
        record.write_text(json.dumps(found))

    return live


def lives_on(path: Path, total: int, restored: Path) -> Callable[[], None]:
    """Return a life that says what it restored, and where, before its first step."""

    def live() -> None:
        wait_for_no_medium()
        training = Training(path, total)
        run = training.begin()
        run.restore()
        with restored.open("a") as file:
            file.write(json.dumps([run.step, training.digest()]) + "\n")
        for _ in training.steps():
            pass

    return live


def lines_of(path: Path) -> list[list[Any]]:
    """Return what the lives have said so far."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("]")]


def has_ended(pid: int) -> bool:
    """Say whether a child has ended; it stays to be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def struck(path: Path, total: int, chance: random.Random, log: Path) -> dict[str, Any] | None:
    """Let one life begin, and kill it; return what it came to. None if it ended by itself."""
    said = path.with_suffix(".restored")
    before, newest = len(lines_of(said)), max(committed(path), default=0)
    pins = {each.name for each in path.glob("checkpoints/pins/0*")}
    pid = forked(lives_on(path, total, said), log)
    if chance.random() < 0.25:
        time.sleep(chance.uniform(0.0, BEGINNING_S))
    else:
        while len(lines_of(said)) == before and not has_ended(pid):
            time.sleep(0.002)
        time.sleep(chance.uniform(0.0, LONGEST_S))
    os.kill(pid, signal.SIGKILL)
    code = code_of(pid)
    assert code in {0, -signal.SIGKILL}, log.read_text()[-3000:]
    steps = {f"{each:09d}" for each in committed(path)}
    found = {"restored": lines_of(said)[before:], "newest": newest, "unpinned": list(pins - steps)}
    return None if code == 0 else found


def main(root: Path, kills: int) -> None:
    """Kill as often as asked for, in as few runs as it takes."""
    total = STEPS_PER_KILL * kills
    record, log = root / "record.json", root / "storm.log"
    warm_up(root / "warm")
    completed(lives_alone(root / "twin", total, record), root / "twin.log")
    print(json.dumps({"digests": json.loads(record.read_text()), **end_of(root / "twin")}))
    chance, done, number = random.Random(SEED), 0, 0
    while done < kills:
        path, is_over = root / f"run{number}", False
        while done < kills and not is_over:
            found = struck(path, total, chance, log)
            is_over = found is None
            if found is not None:
                done += 1
                print(json.dumps(found), flush=True)
        completed(lives_on(path, total, path.with_suffix(".restored")), log)
        print(
            json.dumps({"end": end_of(path), "restored": lines_of(path.with_suffix(".restored"))})
        )
        number += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
