"""The session of docs/sessions/crashes.md: crashes of all kinds, and Ctrl+C once and twice."""

import json
import os
import re
import runpy
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from evertrain.core.rundir import RunDir
from evertrain.monitor.metrics import read_metrics
from evertrain.testing.processes import living

REPO = Path(__file__).parents[2]
SESSION = REPO / "examples" / "crashes_session.py"
PAGE = REPO / "docs" / "sessions" / "crashes.md"
MARK = "EVERTRAIN_TEST_MARK"


def test_the_page_shows_what_the_script_types() -> None:
    """Whoever plays the session sees the commands of the page."""
    typed = runpy.run_path(str(SESSION))["commands"](is_quick=False)
    shown = re.findall(r"^\$ evertrain (.*)$", PAGE.read_text(), flags=re.MULTILINE)
    assert shown == [" ".join(words) for words, _ in typed]


@pytest.mark.slow
def test_the_session_is_as_the_page_tells_it(tmp_path: Path) -> None:
    """Three deaths, three causes, each resumed behind the last checkpoint; 75, then 130."""
    mark = uuid.uuid4().hex
    clean = {key: each for key, each in os.environ.items() if not key.startswith("EVERTRAIN_")}
    done = subprocess.run(
        [sys.executable, str(SESSION), "--quick", str(tmp_path)],
        env={**clean, "TERM": "xterm", "OMP_NUM_THREADS": "1", MARK: mark},
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    )
    first, second, status = re.split(r"^\$ evertrain .*$", done.stdout, flags=re.MULTILINE)[1:]
    assert living(mark) == {}

    assert "(exit code 75)" in first
    for count, what in enumerate(("SIGSEGV", "exit code: 1", "hang: no sign of life"), 1):
        [crash] = re.findall(
            rf"Training crashed! \(({what}.*)\)\n(?:.*\n)*?Crash count: {count} ", first
        )
        assert what in crash
    assert "Cause: SIGSEGV in crashing_training.py:" in first
    assert "ConnectionError: the simulator closed the connection" in first
    assert first.count("Restarting in 0.2 seconds... (Press Ctrl+C now to stop)") == 3
    assert "Stopped on request; it can go on from here" in first
    ends = [int(each) for each in re.findall(r"\d+ -> (\d+)  ", first + second)]
    begun = [int(each) for each in re.findall(r"Resuming from generation (\d+):", first + second)]
    assert len(ends) == 5
    assert begun == ends[:-1], "nothing that was complete is done again"

    assert "(exit code 130)" in second
    assert "Forced by a second signal" in second
    run_dir = RunDir(tmp_path / "runs" / "crashing_training")
    wrecks = sorted(each.name for each in (run_dir.checkpoints / "emergency").iterdir())
    assert wrecks[-1] == f"{ends[-1]:09}-INTERRUPTED"
    crashes = [json.loads(run_dir.crash(number).read_text()) for number in (1, 2, 3)]
    assert [each["kind"] for each in crashes] == ["native crash", "exception", "hang"]
    assert crashes[2]["hang"]["stacks"]
    assert [row["step"] for row in read_metrics(run_dir)] == list(range(1, ends[-1] + 1))

    assert "forced by a second signal" in status
    verdict = r"crashes +3 \(in the first ten minutes: a safer setting is advised\)$"
    assert re.search(verdict, status, flags=re.MULTILINE)
