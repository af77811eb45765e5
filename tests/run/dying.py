"""Trains in forked processes that die in the middle of a save beside their loop.

    python dying.py DIRECTORY

Forking from a process that has imported everything makes an attempt cost
milliseconds. For each operation on the disk that the thread of the saves makes
over a whole training: one training dies there (`os._exit`), a second one goes on
from what it left. Prints one JSON object for a training that lives, then one a
death: the saves begun, those committed, where the second went on, and its end.
"""

import json
import os
import sys
import threading
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from evertrain import Run, every, keep_last
from evertrain.checkpoint import cut, group
from evertrain.checkpoint.store import Store
from evertrain.core.fs import LocalFs

TOTAL = 7
DIED = 9
WRITER = "evertrain-writer"
OPERATIONS = (
    *("mkdir", "write", "append", "replace", "link"),
    *("symlink", "chmod", "unlink", "rmtree"),
)
SYNCS = ("sync_file", "sync_dir")


def dying(name: str, at: int, count: list[int]) -> Callable[..., Any]:
    """Return an operation on the disk; the `at`-th by the writer is the last of its process."""
    real = getattr(LocalFs, name)

    def act(fs: LocalFs, *args: Any) -> Any:
        if threading.current_thread().name == WRITER:
            count[0] += 1
            if count[0] == at:
                if name == "write":  # half of it arrives
                    data = b"".join(map(bytes, args[1]))
                    real(fs, args[0], (data[: len(data) // 2],))
                os._exit(DIED)
        return real(fs, *args)

    return act


def die_at(at: int, begun: Path) -> None:
    """Let this process die at the `at`-th operation of the writer; note each save that begins."""
    count = [0]
    for name in (*OPERATIONS, *SYNCS):
        setattr(LocalFs, name, dying(name, at, count))
    begin = Store.begin

    def noted(store: Store, step: int, *args: Any, **more: Any) -> Any:
        with begun.open("a") as file:
            file.write(f"{step}\n")
        return begin(store, step, *args, **more)

    Store.begin = noted  # type: ignore[assignment,method-assign]


def train(path: Path) -> dict[str, Any]:
    """Train to the end; return where it went on and what came out."""
    with Run(path, total=TOTAL, seed=1, save=every(steps=2), keep=keep_last(2)) as run:
        run.state.weights, run.state.still = np.zeros(9), np.arange(9.0)
        buffer = np.zeros((4, 1 << 10))  # in eight files, of which one changes
        run.attach(buffer=buffer)
        for step in run:
            run.state.weights = run.state.weights + np.random.normal(size=9) * step  # noqa: NPY002
            buffer[step % 4, 0] = step
            run.log(total=float(run.state.weights.sum()))
        began = 0 if run.resumed_from is None else run.resumed_from.step
        rows = [[row["step"], row["total"]] for row in run.metrics]
        faults = [str(each.problem) for each in run.store.verify()]
    left = [each.name for each in path.glob("checkpoints/.tmp*")]
    trees = Store(path).load().state.values()
    weights = next(each["weights"].tolist() for each in trees if "weights" in each)
    return {"from": began, "rows": rows, "weights": weights, "bad": faults + left}


def forked(act: Callable[[], Any]) -> int:
    """Call `act` in a child, silently; return how it ended."""
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            act()
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def one(root: Path, at: int) -> dict[str, Any] | None:
    """Die at one operation, and go on. None if there is no such operation."""
    path, begun, result = (root / f"{at}{end}" for end in ("", ".begun", ".json"))

    def first() -> None:
        die_at(at, begun)
        train(path)

    code = forked(first)
    died = [int(each) for each in begun.read_text().split()]
    if code == 0:
        return None
    assert code == DIED, code
    committed = sorted(int(each.name) for each in path.glob("checkpoints/0*"))
    assert forked(lambda: result.write_text(json.dumps(train(path)))) == 0
    return {"at": at, "begun": died, "committed": committed, **json.loads(result.read_text())}


def main(root: Path) -> None:
    """Die at every operation there is."""
    vars(cut)["PART_BYTES"] = vars(group)["_WORTH_BYTES"] = 1 << 12  # small parts, and many
    for name in SYNCS:  # the machine lives on: nobody needs to wait for the medium
        setattr(LocalFs, name, lambda *_: None)
    with redirect_stdout(StringIO()):
        train(root / "warm")  # so that no child has to import what a training needs
    whole = root / "whole.json"
    assert forked(lambda: whole.write_text(json.dumps(train(root / "whole")))) == 0
    print(whole.read_text())
    at = 1
    while (found := one(root, at)) is not None:
        print(json.dumps(found), flush=True)
        at += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
