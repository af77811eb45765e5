"""Pieces of a training's life, each with a door before it and behind it."""

import os
import random
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evertrain import Run, Stage, every, keep_any, keep_best, keep_last
from evertrain.core.fs import LocalFs
from evertrain.run.saver import Saver
from storm.forking import code_of, forked, wait_for_no_medium, wait_for_the_medium
from storm.outcome import committed

TOTAL = 12
HALF = 6  # steps of each stage
SAVE_AT = 8  # the save beside the loop that is cut: it shares, is the best, and prunes
SCORES = {3: 1.0, SAVE_AT: 2.0}


class Door:
    """Where a child stands until it is let in: twice, before the window and behind it.

    Its messages are `sendto` and `recvfrom`, which nobody counts.
    """

    def __init__(self) -> None:
        """Be closed."""
        self._ours, self._theirs = socket.socketpair()

    def stand(self) -> None:
        """In the child: say which thread is here, and wait."""
        self._theirs.send(threading.get_native_id().to_bytes(8, "little"))
        self._theirs.recv(1)

    def forget(self) -> None:
        """In the parent: leave the child's end to the child, so that its death is heard."""
        self._theirs.close()

    def wait(self) -> int | None:
        """Return the thread that stands at the door; None if its process has died."""
        said = self._ours.recv(8)
        return int.from_bytes(said, "little") if said else None

    def open(self) -> None:
        """Let it pass."""
        self._ours.send(b".")

    def close(self) -> None:
        """Tear it down."""
        self._ours.close()


def train(path: Path, at_step: Callable[[int], None] = lambda _: None) -> None:
    """Train to the end: shared parts, a ring of rows, stages, a best one, pruning, metrics."""
    keep = keep_any(keep_last(2), keep_best(1))
    with Run(path, seed=1, save=every(steps=4), keep=keep, best="max:score") as run:
        ring, chance = np.zeros((560, 1000), np.float32), np.random.default_rng(5)
        run.attach(ring=ring, chance=chance, still=np.arange(150_000.0))
        run.state.weights = np.zeros(2_000)
        for stage in run.stages([Stage("one", steps=HALF), Stage("two", steps=TOTAL - HALF)]):
            for step in stage:
                at_step(step)
                ring[step * 40] = chance.normal(size=1000)
                noise = np.random.normal(size=2_000)  # noqa: NPY002
                run.state.weights = run.state.weights + noise * random.random()
                run.log(total=float(run.state.weights.sum()), score=SCORES.get(step, 0.0))


@dataclass(frozen=True)
class Window:
    """A piece of a training's life.

    Attributes:
        live: Trains in a child, and stands at the door before the window and behind it.
        prepare: Leaves what the training finds.
    """

    live: Callable[[Path, Door], None]
    prepare: Callable[[Path], None] = lambda _: None


def opening(path: Path, door: Door) -> None:
    """From the first line of a program to its first step."""
    door.stand()

    def at_step(_: int) -> None:
        door.stand()

    train(path, at_step)


def beside(path: Path, door: Door) -> None:
    """A save in its thread, from the metrics' sync to the end of retention."""
    write = Saver._write

    def at_door(saver: Saver, flight: Any, pending: Any) -> Any:
        if flight.save.step != SAVE_AT:
            return write(saver, flight, pending)
        wait_for_the_medium()
        door.stand()
        done = write(saver, flight, pending)
        door.stand()
        return done

    Saver._write = at_door  # type: ignore[assignment,method-assign]
    wait_for_no_medium()
    train(path)


def between_stages(path: Path, door: Door) -> None:
    """The save that ends a stage, while the loop waits, to the first step of the next one."""

    def at_step(step: int) -> None:
        if step == HALF:
            wait_for_the_medium()
        if step in {HALF, HALF + 1}:
            door.stand()

    wait_for_no_medium()
    train(path, at_step)


def ending(path: Path, door: Door) -> None:
    """The last save, and all else that ends a run."""

    def at_step(step: int) -> None:
        if step == TOTAL:
            wait_for_the_medium()
            door.stand()

    wait_for_no_medium()
    train(path, at_step)
    door.stand()


def die_in_a_save(path: Path) -> None:
    """Leave a run that died with a save half written, and whose newest checkpoint is rotten."""

    def live() -> None:
        def die(saver: Saver, flight: Any, pending: Any) -> Any:
            if flight.save.step == SAVE_AT:
                LocalFs.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
            return write(saver, flight, pending)

        write, Saver._write = Saver._write, die  # type: ignore[assignment,method-assign]
        wait_for_no_medium()
        train(path)

    assert code_of(forked(live, path.with_suffix(".log"))) == -signal.SIGKILL
    rotten = path / "checkpoints" / f"{committed(path)[-1]:09d}" / "run_state.safetensors"
    data = bytearray(rotten.read_bytes())
    data[-1] ^= 1
    rotten.chmod(0o644)
    rotten.write_bytes(data)


WINDOWS = {
    "opening": Window(opening),
    "beside": Window(beside),
    "stage": Window(between_stages),
    "ending": Window(ending),
    "resuming": Window(opening, die_in_a_save),
}
