"""Trains in forked processes that are killed by SIGKILL while a save is being written.

    python struck.py DIRECTORY DEATHS

A child tells through a pipe when its saves begin and when they are in place. Its parent
lets one or two go through, and kills it a random moment after the next one began; only a
child that died with its save under way counts. Each goes on from what the last one left.
Prints one JSON object for a training that is left alone, then one for each death, then
one for the end of the training that died.
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from evertrain import Run, every, keep_last
from evertrain.checkpoint.store import Store
from evertrain.core.fs import LocalFs

BEGUN, IN_PLACE = b"b", b"e"
LONGEST_S = 0.01  # some saves take less: the child is waited for, not counted, and goes on


def tell_saves(pipe: int) -> None:
    """Write a byte when a save begins and when it is in place or has failed."""
    begin, commit = Store.begin, Store.commit

    def began(store: Store, *args: Any, **more: Any) -> Any:
        os.write(pipe, BEGUN)
        return begin(store, *args, **more)

    def committed(store: Store, *args: Any, **more: Any) -> Any:
        try:
            return commit(store, *args, **more)
        finally:
            os.write(pipe, IN_PLACE)

    Store.begin, Store.commit = began, committed  # type: ignore[assignment,method-assign]


def train(path: Path, total: int) -> dict[str, Any]:
    """Train to the end; return what came out."""
    with Run(path, total=total, seed=1, save=every(steps=2), keep=keep_last(3)) as run:
        run.state.weights, run.state.still = np.zeros(20_000), np.arange(200_000.0)
        for step in run:
            run.state.weights = run.state.weights + np.random.normal(size=20_000) * step  # noqa: NPY002
            run.log(total=float(run.state.weights.sum()))
        rows = [[row["step"], row["total"]] for row in run.metrics]
        faults = [str(each.problem) for each in run.store.verify()]
    left = [each.name for each in path.glob("checkpoints/.tmp*")]
    return {"rows": rows, "weights": float(run.state.weights.sum()), "bad": faults + left}


def forked(act: Callable[[], Any]) -> int:
    """Start `act` in a silent child and return its pid."""
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    return pid


def ends(path: Path, result: Path, total: int) -> bool:
    """Start a training that is left alone; say whether it came to its end."""
    pid = forked(lambda: result.write_text(json.dumps(train(path, total))))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def struck(path: Path, total: int, chance: random.Random) -> dict[str, Any]:
    """Train, and kill it in a save; return the checkpoints there are, and whether one was cut."""
    heard, told = os.pipe()

    def act() -> None:
        os.close(heard)
        tell_saves(told)
        train(path, total)

    pid = forked(act)
    os.close(told)
    last, begun, wanted = b"", 0, chance.choice((2, 3))
    while begun < wanted and (last := os.read(heard, 1)):
        begun += last == BEGUN
    time.sleep(chance.random() * LONGEST_S)
    os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    while more := os.read(heard, 1):
        last = more
    os.close(heard)
    there = sorted(int(each.name) for each in path.glob("checkpoints/0*"))
    return {"is_cut": last == BEGUN, "code": code, "there": there}


def main(root: Path, deaths: int) -> None:
    """Die in as many saves as asked for, in one training, and end it."""
    for name in ("sync_file", "sync_dir"):  # the machine lives on: nobody waits for the medium
        setattr(LocalFs, name, lambda *_: None)
    with redirect_stdout(StringIO()):
        train(root / "warm", 4)  # so that no child has to import what a training needs
    total, cut, chance = deaths * 8, 0, random.Random(7)
    whole, end = root / "whole.json", root / "end.json"
    assert ends(root / "whole", whole, total)
    print(whole.read_text())
    while cut < deaths:
        found = struck(root / "run", total, chance)
        assert found["code"] == -signal.SIGKILL, "it ended before it had died often enough"
        cut += found["is_cut"]
        print(json.dumps(found), flush=True)
    assert ends(root / "run", end, total)
    print(end.read_text())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
