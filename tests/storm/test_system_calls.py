"""Killed at any system call that changes the disk, a training ends where it would have ended."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support import Tally

TESTS = Path(__file__).parents[1]
MISSING = "strace is missing: install it (apt-get install strace) to kill at system calls"
WINDOWS = ("opening", "beside", "stage", "ending", "resuming")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason=MISSING),
]


def kills(tmp_path: Path, window: str, every: int) -> tuple[Any, Counter[str], list[Any]]:
    """Kill in one window; return the twin's end, the calls there are, and each death."""
    done = subprocess.run(
        [sys.executable, "-m", "storm.traced", str(tmp_path), window, str(every)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
    )
    assert done.returncode == 0, done.stderr
    twin, counts, *deaths = [json.loads(line) for line in done.stdout.splitlines()]
    if isinstance(counts, str):
        pytest.skip(counts)
    return twin, Counter(counts), deaths


def faults_of(death: Any, twin: Any, *, is_rotten: bool) -> list[str]:
    """Return what is wrong with a training that died, went on, and ended."""
    end = death["end"]
    aside = len(end.pop("aside"))
    found = [f"{name} differs" for name in ("digest", "rows", "kind") if end[name] != twin[name]]
    found += [f"left behind or damaged: {each}" for each in end["bad"]]
    if death["survived"]:
        found.append("the call was not reached")
    if aside > is_rotten:
        found.append("a whole checkpoint was set aside")
    if not is_rotten and death["from"] != death["newest"]:
        found.append(f"it went on from {death['from']}, not from {death['newest']}")
    return [f"{death['call']} {death['at']}: {each}" for each in found]


def check(window: str, twin: Any, deaths: list[Any], tally: Tally) -> None:
    """Assert that no death mattered, and count them."""
    faults = [faults_of(each, twin, is_rotten=window == "resuming") for each in deaths]
    tally("SIGKILL at a system call", injected=len(deaths), lost=sum(map(bool, faults)))
    assert [each for found in faults for each in found] == []
    if window in {"beside", "stage"}:  # before the rename that commits, and behind it
        assert len({each["newest"] for each in deaths}) == 2


@pytest.mark.parametrize("window", WINDOWS)
def test_sigkill_before_a_system_call(window: str, tmp_path: Path, tally: Tally) -> None:
    """Each sync, rename, link and unlink is cut, of writes a quarter: every resume is exact."""
    twin, counts, deaths = kills(tmp_path, window, every=4)

    assert counts["fsync"] >= 5
    assert len(deaths) >= 12
    check(window, twin, deaths, tally)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("window", WINDOWS)
def test_sigkill_before_every_system_call(window: str, tmp_path: Path, tally: Tally) -> None:
    """Every single one is cut."""
    twin, counts, deaths = kills(tmp_path, window, every=1)

    assert len(deaths) == counts.total()
    check(window, twin, deaths, tally)
