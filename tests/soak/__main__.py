"""Trains under every fault at once, for as long as you like, and gives an account.

    PYTHONPATH=tests python -m soak [--minutes 30] [--dir DIR] [--seed 1]

A twin trains beside it and is left alone. The victim is killed, stopped, starved of disk
and robbed of bits, class after class in rounds, in random order; after each fault it has
to come further than it was. In the end both must hold the same bits. Ends with 0 if they
do, and nothing was lost. The disk that is filled is a small one of its own: a tmpfs in a
namespace that goes with this process, where the system allows that.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from evertrain.core.journal import Journal
from evertrain.monitor.timesheet import account
from evertrain.testing.chaos.harm import free_bytes
from soak.faults import DISK, FAULTS, RIVALS, storm
from soak.report import report
from soak.victim import TRAINING, Victim

INSIDE: Final = "SOAK_HAS_A_NAMESPACE"
DISK_BYTES: Final = 384 * 2**20
TRIAL_STEPS: Final = 600
USEFUL: Final = 0.4  # part of the time that the training is expected to get


def soak(root: Path, minutes: float, seed: int) -> int:
    """Train, harm, compare. Return the exit code."""
    began_s = time.monotonic()
    labels = [*FAULTS, *RIVALS]
    if free_bytes(root / "disk") > DISK_BYTES:
        labels = [each for each in labels if each not in DISK]
        print("No disk of its own here: nothing fills it (root or user namespaces are needed).")
    total = int(steps_per_s(root) * 60 * minutes * USEFUL)
    print(f"{total:,} steps, {minutes:g} minutes, seed {seed}, {len(labels)} kinds of faults.\n")
    victim = Victim(root / "disk" / "run", total, seed)
    twin = training(root / "twin", total)
    try:
        cases = storm(victim, labels, began_s + 60 * minutes, seed)
        assert twin.wait() == 0, "the twin failed"
        code = report(victim, root / "twin", labels, cases)
    finally:
        victim.end()
        twin.kill()
    if code:
        kept = Path(tempfile.mkdtemp(prefix="evertrain-soak-lost-"))
        for each in (root / "disk", root / "twin"):
            shutil.copytree(each, kept / each.name, symlinks=True)
        print(f"Both runs are kept in {kept}.")
    return code


def steps_per_s(root: Path) -> float:
    """Return how fast this machine trains, with a second training beside."""
    paths = root / "trial", root / "trial-too"
    assert [each.wait() for each in [training(path, TRIAL_STEPS) for path in paths]] == [0, 0]
    useful_s = account(Journal(paths[0] / "journal.jsonl").events()).useful_s
    for path in paths:
        shutil.rmtree(path)
    return TRIAL_STEPS / max(useful_s, 0.1)


def training(path: Path, total: int) -> "subprocess.Popen[bytes]":
    """Start a training that nobody watches."""
    command = [sys.executable, str(TRAINING), str(path), str(total)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def in_own_namespace(words: list[str]) -> int | None:
    """Run this program again where it may mount a disk; None where that is not allowed."""
    if shutil.which("unshare") is None:
        return None
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    with tempfile.TemporaryDirectory() as place:
        mount = [*unshare, "mount", "-t", "tmpfs", "tmpfs", place]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            return None
    command = [*unshare, sys.executable, "-m", "soak", *words]
    return subprocess.run(command, env={**os.environ, INSIDE: "1"}, check=False).returncode


def main(words: list[str]) -> int:
    """Read the options, find a disk, soak."""
    parser = argparse.ArgumentParser(prog="soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dir", type=Path, help="where to work")
    given = parser.parse_args(words)
    is_inside = INSIDE in os.environ
    if not is_inside and (code := in_own_namespace(words)) is not None:
        return code
    with tempfile.TemporaryDirectory(prefix="evertrain-soak-", dir=given.dir) as place:
        disk = Path(place) / "disk"
        disk.mkdir()
        if is_inside:
            size = f"size={DISK_BYTES}"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", disk], check=True)
        try:
            return soak(Path(place), given.minutes, given.seed)
        finally:
            if is_inside:
                subprocess.run(["umount", "--lazy", disk], check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
