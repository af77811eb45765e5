"""A storm of SIGKILLs at random times: no run is lost, and no resume is wrong."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support import Tally

DEADLY = 3  # lives that restored a checkpoint and died: then an older one may be tried
TESTS = Path(__file__).parents[1]


def storm(tmp_path: Path, kills: int) -> tuple[Any, list[Any], list[Any]]:
    """Return what the twin said, each kill, and each end."""
    done = subprocess.run(
        [sys.executable, "-m", "storm.random_kills", str(tmp_path), str(kills)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
    )
    assert done.returncode == 0, done.stderr
    twin, *found = [json.loads(line) for line in done.stdout.splitlines()]
    ends = [each for each in found if "end" in each]
    return twin, [each for each in found if "end" not in each], ends


def went_back(kills: list[Any]) -> list[Any]:
    """Return the lives that passed the newest checkpoint over, although it was not deadly."""
    found, tried = [], Counter[int]()
    for each in kills:
        for step, _ in each["restored"]:
            if step != each["newest"] and tried[each["newest"]] < DEADLY:
                found.append(each)
            tried[step] += 1
    return found


def check(twin: Any, kills: list[Any], ends: list[Any], tally: Tally) -> None:
    """Assert that each resume restored what the twin had, and that each end is the twin's."""
    resumes = [each for end in ends for each in end["restored"]]
    wrong = [[step, found] for step, found in resumes if twin["digests"][str(step)] != found]
    older = went_back(kills)
    unpinned = [name for each in kills for name in each["unpinned"]]
    tally("SIGKILL at a random time", injected=len(kills), lost=len(wrong) + len(older))

    assert wrong == []
    assert older == []
    assert unpinned == []
    for name in ("digest", "rows", "kind", "bad", "aside"):
        assert [end["end"][name] for end in ends] == [twin[name]] * len(ends), name
    assert (twin["kind"], twin["bad"], twin["aside"]) == ("final", [], [])
    middle = [step for step, _ in resumes if step > 0]
    assert len(middle) >= len(kills) / 3, "too few kills came behind a checkpoint"


@pytest.mark.slow
def test_sixty_kills(tmp_path: Path, tally: Tally) -> None:
    """Each restored state is the twin's of that step, from the newest checkpoint there was."""
    check(*storm(tmp_path, 60), tally)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_thousand_kills(tmp_path: Path, tally: Tally) -> None:
    """The same for a thousand."""
    check(*storm(tmp_path, 1000), tally)
