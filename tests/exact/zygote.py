"""Runs a training script in forked processes and kills them at random moments.

    python zygote.py SCRIPT SEED RUN_DIR:KILLS...

Forking from a process that has imported the framework makes an attempt cost
milliseconds, so that many kills fit into a test. Prints one JSON object:
kills that hit a living process, by run directory.
"""

import json
import os
import random
import runpy
import signal
import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import torch

torch.set_num_threads(1)
torch.zeros(2, 2) @ torch.from_numpy(np.zeros((2, 2), np.float32))
for lazy in ("integrations.torch", "run.run"):  # so that the children need not
    import_module(f"evertrain.{lazy}")


def start(script: str, run_dir: str) -> int:
    """Fork a child that runs `script` as a program of its own. Return its pid."""
    pid = os.fork()
    if pid:
        return pid
    log = os.open(f"{run_dir}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = [script, run_dir]
    try:
        runpy.run_path(script, run_name="__main__")
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)


def length_s(script: str, run_dir: str) -> float:
    """Run once to the end. Return how long it took, seconds."""
    began = time.monotonic()
    assert os.waitpid(start(script, run_dir), 0)[1] == 0, Path(f"{run_dir}.log").read_text()
    return time.monotonic() - began


def resumed_count(run_dir: str) -> int:
    """Return how many attempts have reached their loop."""
    journal = Path(run_dir) / "journal.jsonl"
    return journal.read_text().count('"resumed"') if journal.exists() else 0


def has_ended(pid: int) -> bool:
    """Say whether a child has ended; it stays to be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def main(script: str, seed: str, whole: str, *victims: str) -> None:
    """Run `whole` undisturbed; kill each of `victims` so often, then let it end."""
    rng = random.Random(seed)
    usual_s = length_s(script, whole)
    hits: dict[str, int] = {}
    for victim in victims:
        run_dir, _, kills = victim.rpartition(":")
        hits[run_dir] = 0
        while hits[run_dir] < int(kills):
            begun = resumed_count(run_dir)
            pid = start(script, run_dir)
            if hits[run_dir] % 2:  # every other kill hits a loop that runs, not its start
                while resumed_count(run_dir) == begun and not has_ended(pid):
                    time.sleep(0.001)
            time.sleep(rng.uniform(0.0, usual_s / int(kills)))
            os.kill(pid, signal.SIGKILL)
            hits[run_dir] += os.waitpid(pid, 0)[1] == signal.SIGKILL
            if (Path(run_dir) / "journal.jsonl").exists() and '"finished"' in (
                Path(run_dir) / "journal.jsonl"
            ).read_text():
                break
        length_s(script, run_dir)
    print(json.dumps(hits))


if __name__ == "__main__":
    main(*sys.argv[1:])
