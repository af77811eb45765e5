"""Goodput under kills: the share of the time that the training kept, with everything counted.

A training (training.py: PPO on CartPole, a network of 2.1 M parameters) is killed (SIGKILL
to the process that trains) after 20 to 40 s, again and again for five minutes, at the same
times for all. What each has at the end is the steps that its model has learned from,
counted where nothing was repeated. Goodput is what these steps take without kills and saves,
divided by the five minutes: what is missing went into starting, loading, saving, and steps
that were done twice. What a step takes is read off the same training, from the fastest
quarter of its rollouts: the host's pace drifts within a minute, and a measurement before or
behind would count that as somebody's merit. Whether one is slower in every rollout shows
beside the bare training, which runs between them.

For all alike, glibc keeps the memory that is freed (see `KEEP_MEMORY`).

Usage: python benchmarks/goodput.py [--quick] [--dir DISK] [--only-evertrain]
"""

import math
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from evertrain.core import proc
from evertrain.core.journal import read_lines
from executed import kill
from measure import Measured, arguments, describe, remove, scratch, settle
from supervisors import start, with_bash, with_evertrain, with_torchrun
from table import Cell, Report, Table

OURS = "evertrain run + learn(run, model)"
BARRIERS = f"{OURS}, CartPole by barrier"
BARE = "bare"
SCRIPT = Path(__file__).with_name("training.py")
STEPS = "steps.jsonl"
SEED = 0
SHORT = Path("/tmp")  # noqa: S108  (Ray's sockets need a short path)
PATIENCE_S = 120.0  # longest time that anybody may take to begin
# By itself glibc gives the end of the heap back to the kernel whenever Adam's temporaries of
# 4 MB happen to lie there, and takes it again at the next step: 160 page faults a step, an
# eighth of its time. Where they lie is the luck of whatever was loaded before.
KEEP_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "MALLOC_MMAP_THRESHOLD_": str(2**25),  # the most that glibc takes
}


@dataclass(frozen=True)
class Plan:
    """How long, and when to kill.

    Attributes:
        seconds: How long each trains.
        gaps_s: Shortest and longest time between two kills.
        bare_s: How long the bare training runs before and behind each.
        width: Of the network's two layers.
    """

    seconds: float
    gaps_s: tuple[float, float]
    bare_s: float
    width: int

    @property
    def kills_s(self) -> list[float]:
        """When to kill, seconds from the beginning; the same times for all."""
        luck, found = random.Random(SEED), [0.0]
        while found[-1] <= self.seconds - self.gaps_s[0]:
            found.append(found[-1] + luck.uniform(*self.gaps_s))
        return [each for each in found[1:] if each <= self.seconds - self.gaps_s[0] / 2]


FULL = Plan(300.0, (20.0, 40.0), 30.0, 1024)
QUICK = Plan(14.0, (7.0, 8.0), 1.0, 64)

Row = dict[str, Any]


@dataclass
class Trained:
    """What became of a training.

    Attributes:
        title: With what.
        seconds: How long it had.
        steps: What its model has learned from in the end.
        replayed: Steps that were learned from twice.
        restarts_s: From each kill until the training went on.
        pace_s: What a step takes where nothing disturbs it.
        left: Who was still there after its end.
        error: Why it does not run.
    """

    title: str
    seconds: float
    steps: int = 0
    replayed: int = 0
    restarts_s: list[float] = field(default_factory=list)
    pace_s: float = math.nan
    left: list[str] = field(default_factory=list)
    error: str | None = None


def main() -> None:
    """Train bare, ours, bare, theirs, bare, ..."""
    asked = arguments(__doc__)
    plan = QUICK if asked.quick else FULL
    os.environ.update(KEEP_MEMORY)
    with scratch(asked.dir) as place, scratch(SHORT) as sockets:
        os.environ["RAY_TMPDIR"] = str(sockets)
        report = Report("goodput", place, is_quick=asked.quick)
        report.set(
            kills_s=plan.kills_s, seconds=plan.seconds, bare_s=plan.bare_s, malloc=KEEP_MEMORY
        )
        paces_s = [bare_pace_s(place / "bare", plan)]
        found: list[Trained] = []
        for title, command in commands(plan, only_evertrain=asked.only_evertrain).items():
            settle()
            found.append(under_kills(title, command, place / "trained", plan))
            remove(place / "trained")  # some keep gigabytes
            paces_s.append(bare_pace_s(place / "bare", plan))
        tell(report, found, paces_s)
        report.finish(asked.out)


def commands(plan: Plan, *, only_evertrain: bool) -> dict[str, Callable[[Path], list[str]]]:
    """Return the command of each for its directory."""

    def trainer(mode: str, place: Path) -> list[str]:
        return [sys.executable, str(SCRIPT), mode, str(place), str(plan.width)]

    ours = {OURS: lambda place: with_evertrain(trainer("evertrain", place), place / "run")}
    if only_evertrain:
        return ours
    return ours | {
        BARRIERS: lambda place: with_evertrain(trainer("barriers", place), place / "run"),
        "bash until + CheckpointCallback": lambda place: with_bash(trainer("callback", place)),
        "torchrun + CheckpointCallback": lambda place: with_torchrun(trainer("callback", place)),
        "Ray Tune, max_failures=-1": lambda place: trainer("tune", place),
    }


def bare_pace_s(place: Path, plan: Plan) -> float:
    """Return the seconds of a step of the training without saves, supervisor and kills."""

    def learned() -> list[Row]:
        return [row for row in rows_of(place) if row["event"] == "learned"]

    place.mkdir()
    running = start([sys.executable, str(SCRIPT), BARE, str(place), str(plan.width)], place)
    try:
        wait_for(lambda: len(learned()) > 2)  # the first one warms up
        time.sleep(plan.bare_s)
    finally:
        running.end()
    found = pace_of(learned()[1:])
    remove(place)
    return found


def pace_of(told: list[Row]) -> float:
    """Return the seconds of a step: the lower quartile of the rollouts that were not cut."""
    paces = sorted(
        (row["at_s"] - before["at_s"]) / (row["step"] - before["step"])
        for before, row in pairwise(told)
        if before["event"] == row["event"] == "learned" and before["step"] < row["step"]
    )
    return paces[len(paces) // 4] if paces else math.nan


def under_kills(
    title: str, command: Callable[[Path], list[str]], place: Path, plan: Plan
) -> Trained:
    """Train, be killed as planned, and say what is left of it."""
    place.mkdir()
    began_s = time.monotonic()
    until_s = began_s + plan.seconds
    running = start(command(place), place)
    killed_s: list[float] = []
    error = None
    try:
        for each_s in plan.kills_s:
            time.sleep(max(0.0, began_s + each_s - time.monotonic()))
            kill(trainer_of(place))
            killed_s.append(time.monotonic())
        time.sleep(max(0.0, until_s - time.monotonic()))
    except (OSError, TimeoutError) as problem:
        error = describe(problem)
    finally:
        left = running.end()
    rows = [row for row in rows_of(place) if row["at_s"] <= until_s]
    return judged(Trained(title, plan.seconds, left=left, error=error), rows, killed_s)


def judged(found: Trained, rows: list[Row], killed_s: list[float]) -> Trained:
    """Fill in what the training's lines tell, of which none is later than its end."""
    told = [row for row in rows if row["event"] != "born"]
    found.steps = told[-1]["step"] if told else 0
    found.pace_s = pace_of(told)
    before = 0
    for row in told:
        if row["event"] == "began":
            found.replayed += before - row["step"]
        before = row["step"]
    for each_s in killed_s:
        begun_s = [row["at_s"] for row in told if row["event"] == "began" and row["at_s"] > each_s]
        if begun_s:
            found.restarts_s.append(begun_s[0] - each_s)
    return found


def trainer_of(place: Path) -> int:
    """Return the process that trains, once there is one."""

    def newest() -> int | None:
        born = [row["pid"] for row in rows_of(place) if row["event"] == "born"]
        is_there = bool(born) and proc.executable(born[-1]) != ""  # a zombie has none
        return int(born[-1]) if is_there else None

    wait_for(lambda: newest() is not None)
    return newest() or 0


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until it holds.

    Raises:
        TimeoutError: That took too long.
    """
    until_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() >= until_s:
            raise TimeoutError(f"nobody trains after {PATIENCE_S:g} s")
        time.sleep(0.05)


def rows_of(place: Path) -> list[Row]:
    """Return what the training has told so far; a kill may have cut the last line."""
    path = place / STEPS
    return list(read_lines(path).rows)


def tell(report: Report, found: list[Trained], paces_s: list[float]) -> None:
    """Print and judge."""
    table = Table(
        f"{report.name}: {found[0].seconds:g} s under kills",
        [
            "",
            "goodput %",
            "ms a step",
            "steps kept",
            "replayed",
            "restarts",
            "kill to training s",
            "left behind",
        ],
    )
    shares: dict[str, float] = {}
    for each in found:
        shares[each.title] = each.steps * each.pace_s / each.seconds if each.steps else 0.0
        restart_s = statistics.median(each.restarts_s) if each.restarts_s else None
        left = ", ".join(each.left) or "nobody"
        kills: list[Cell] = [each.replayed, len(each.restarts_s), restart_s, left]
        table.rows.append(
            [each.title, 100 * shares[each.title], 1e3 * each.pace_s, each.steps, *kills]
        )
        if each.error is not None:
            table.notes.append(f"{each.title}: {each.error}")
    paces = ", ".join(f"{1e3 * each:.2f}" for each in paces_s)
    table.notes.append(f"a bare step before, between and behind them: {paces} ms")
    report.add(table)
    report.keep("goodput", samples(found, shares))
    peers = [each for each in found if each.title not in {OURS, BARRIERS}]
    best = max((shares[each.title] for each in peers), default=None)
    ratio = None if not best else shares[OURS] / best
    if ratio is not None:
        report.at_least("goodput / that of the best peer", ratio, 1.0)
    report.at_least("goodput", 100 * shares[OURS], 50.0, "%")


def samples(found: list[Trained], shares: dict[str, float]) -> Measured:
    """Return the numbers as the other benchmarks keep theirs."""
    kept = Measured()
    for each in found:
        kept.samples[each.title] = {
            "goodput": [shares[each.title]],
            "steps": [float(each.steps)],
            "replayed": [float(each.replayed)],
            "restart_s": each.restarts_s,
            "pace_s": [each.pace_s],
        }
        if each.error is not None:
            kept.errors[each.title] = each.error
    return kept


if __name__ == "__main__":
    main()
