"""What it costs to save a replay buffer of which one row in a hundred is new.

A million transitions, about a gigabyte, in a ring: each round 10,000 rows are
written to everybody's own, then it is saved. evertrain gets a model of SB3 with
its buffer (`attach(model=model)`), or the bare arrays (`attach(replay={...})`),
and keeps ten checkpoints; SB3 pickles the buffer.

Usage: python benchmarks/replay.py [--quick] [--only-evertrain] [--dir DISK]
"""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evertrain import Run, every, keep_last
from measure import (
    Measured,
    alternate,
    arguments,
    attempt,
    disk_bytes,
    hush,
    remove,
    scratch,
    settle,
    stopwatch,
    written,
)
from table import Report, Table, compared

EVERTRAIN, ARRAYS = "evertrain, SB3 model and buffer", "evertrain, bare arrays"
SB3, COPY = "SB3 save_replay_buffer", "memcpy of the buffer (warm)"
OBSERVATIONS, ACTIONS = 120, 8
KEPT = 10
NEW = 100  # one row in so many is new


class Ring:
    """The arrays of a replay buffer, as Stable-Baselines3 lays them out.

    Attributes:
        arrays: By name; the first dimension are the rows.
        position: The row that comes next.
        given: Rows that it was ever given.
    """

    def __init__(self, rows: int) -> None:
        """Fill it."""
        self.rows, self.position, self.given = rows, 0, rows
        self._rng = np.random.default_rng(0)
        self.arrays = {
            "observations": self._some((rows, 1, OBSERVATIONS)),
            "next_observations": self._some((rows, 1, OBSERVATIONS)),
            "actions": self._some((rows, 1, ACTIONS)),
            "rewards": self._some((rows, 1)),
            "dones": self._some((rows, 1)),
            "timeouts": self._some((rows, 1)),
        }

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(each.nbytes for each in self.arrays.values())

    def add(self) -> None:
        """Write new rows over the oldest ones."""
        count = self.rows // NEW
        here = slice(self.position, self.position + count)
        for each in self.arrays.values():
            each[here] = self._some(each[here].shape)
        self.position = (self.position + count) % self.rows
        self.given += count

    def _some(self, shape: tuple[int, ...]) -> Any:
        return self._rng.random(shape, dtype=np.float32)


def main() -> None:
    """Measure time, bytes and disk."""
    asked = arguments(__doc__)
    hush()
    rows = 10_000 if asked.quick else 1_000_000
    with scratch(asked.dir) as place:
        report = Report("replay", place, is_quick=asked.quick)
        size = Ring(1).nbytes * rows
        report.set(rows=rows, buffer_bytes=size, new_rows=rows // NEW)
        failed = Measured()
        with run_in(place / "model") as run, run_in(place / "arrays") as bare:
            ring = Ring(rows)
            cases = {ARRAYS: mine(ring, bare, {"replay": ring.arrays})}
            case = attempt(failed, EVERTRAIN, lambda: with_model(Ring(rows), run))
            cases |= {} if case is None else {EVERTRAIN: case}
            if not asked.only_evertrain:
                cases[COPY] = copy(Ring(rows))
                case = attempt(failed, SB3, lambda: theirs(Ring(rows), place))
                cases |= {} if case is None else {SB3: case}
            found = alternate(cases, asked.rounds or KEPT)
            disks = {name: disk_of(each) for name, each in ((EVERTRAIN, run), (ARRAYS, bare))}
        found.errors |= failed.errors
        tell(asked, report, size, found, disks)


def run_in(path: Path) -> Run:
    """Return a run that saves at each step and keeps ten checkpoints."""
    return Run(path, save=every(steps=1), keep=keep_last(KEPT))


def disk_of(run: Run) -> tuple[int, int, int]:
    """Return what all checkpoints of a run take, what one takes, and how many there are."""
    wait_for(run)
    settle()
    kept = [each.path for each in run.store.list()]
    sizes = disk_bytes(run.path / "checkpoints"), disk_bytes(kept[-1]), len(kept)
    run.finish()
    return sizes


def mine(ring: Ring, run: Run, things: dict[str, Any]) -> Callable[[], dict[str, float]]:
    """Return a case of a run that saves at each step."""
    run.attach(**things)
    run.state.position = 0
    steps = iter(run)
    next(steps)

    def case() -> dict[str, float]:
        ring.add()
        run.state.position = ring.position
        return timed(lambda: next(steps), lambda: wait_for(run))

    return case


def with_model(ring: Ring, run: Run) -> Callable[[], dict[str, float]]:
    """Return a case of a model of Stable-Baselines3 whose buffer is `ring`."""
    model = model_with(ring)
    case = mine(ring, run, {"model": model})

    def counted() -> dict[str, float]:
        model.replay_buffer.pos = (ring.position + ring.rows // NEW) % ring.rows  # as it will be
        model.num_timesteps = ring.given + ring.rows // NEW
        return case()

    return counted


def model_with(ring: Ring) -> Any:
    """Return a model of Stable-Baselines3 that has `ring` as its full buffer."""
    import gymnasium
    from stable_baselines3 import SAC

    class World(gymnasium.Env):
        """An environment that only has the right shapes."""

        observation_space = gymnasium.spaces.Box(-1.0, 1.0, (OBSERVATIONS,), np.float32)
        action_space = gymnasium.spaces.Box(-1.0, 1.0, (ACTIONS,), np.float32)

        def reset(self, **_: Any) -> Any:
            """Return any observation."""
            return np.zeros(OBSERVATIONS, np.float32), {}

    model = SAC("MlpPolicy", World(), buffer_size=ring.rows, device="cpu")
    buffer = model.replay_buffer
    assert buffer is not None
    for name, each in ring.arrays.items():
        assert getattr(buffer, name).shape == each.shape
        setattr(buffer, name, each)
    buffer.full, model.num_timesteps = True, ring.given
    return model


def theirs(ring: Ring, place: Path) -> Callable[[], dict[str, float]]:
    """Return a case of Stable-Baselines3's own way, with a real model and buffer."""
    model, path = model_with(ring), place / "replay.pkl"

    def case() -> dict[str, float]:
        ring.add()
        model.replay_buffer.pos = ring.position
        numbers = timed(lambda: model.save_replay_buffer(path), lambda: None)
        remove(path)
        return numbers

    return case


def copy(ring: Ring) -> Callable[[], dict[str, float]]:
    """Return a case that copies the whole buffer to memory that is warm."""
    copies = {name: each.copy() for name, each in ring.arrays.items()}

    def case() -> dict[str, float]:
        ring.add()

        def all_of_it() -> None:
            for name, each in ring.arrays.items():
                np.copyto(copies[name], each)

        return timed(all_of_it, lambda: None)

    return case


def timed(save: Callable[[], Any], wait: Callable[[], None]) -> dict[str, float]:
    """Return how long a save blocks, and what this process wrote until it was complete."""
    before = written()
    with stopwatch() as elapsed_s:
        save()
        blocked_s = elapsed_s()
        wait()
        done_s = elapsed_s()
    after = written()
    wrote = {name: after[name] - before[name] for name in before}
    return {"blocked_s": blocked_s, "done_s": done_s, **wrote}


def tell(
    asked: Namespace,
    report: Report,
    nbytes: int,
    found: Measured,
    disks: dict[str, tuple[int, int, int]],
) -> None:
    """Print the medians, the bytes and the disk, and judge them."""
    size = f"replay buffer, {nbytes / 1e6:,.0f} MB"
    more = {
        "until complete ms": ("done_s", 1e3),
        "MB written": ("asked_bytes", 1e-6),
        "MB to storage": ("stored_bytes", 1e-6),
    }
    title = f"{size}, 1 % new rows"
    report.add(compared(title, found, "blocked_s", [SB3, COPY], more=more))
    report.keep(title, found)
    table = Table(f"disk, {size}", ["", "one, MB", "kept", "all, MB", "/ one"])
    for name, (all_kept, newest, count) in disks.items():
        table.rows.append([name, newest / 1e6, count, all_kept / 1e6, all_kept / newest])
    report.add(table)
    for name in (EVERTRAIN, ARRAYS):
        if not asked.only_evertrain:
            ratio = found.ratio(name, SB3, "blocked_s")
            report.at_most(f"{name}, 1 % new rows: blocked / SB3", ratio, 1 / 20)
        wrote = found.samples.get(name, {}).get("stored_bytes")
        # The mean, not the median: a part that is refreshed now and then counts.
        share = sum(wrote) / len(wrote) / nbytes if wrote else None
        report.at_most(f"{name}, 1 % new rows: bytes written / buffer", share, 0.04)
        all_kept, newest, count = disks[name]
        report.at_most(f"{name}: disk of {count} kept checkpoints / one", all_kept / newest, 1.25)
    report.finish(asked.out)


def wait_for(run: Run) -> None:
    """Return when every checkpoint of the run is durable."""
    wait = getattr(run, "wait", None)
    if wait is not None:
        wait()


if __name__ == "__main__":
    main()
