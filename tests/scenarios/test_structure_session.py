"""The session of docs/sessions/structure.md: Ctrl+C in stage 2, on again, and back a stage."""

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
SESSION = REPO / "examples" / "structure_session.py"
PAGE = REPO / "docs" / "sessions" / "structure.md"
MARK = "EVERTRAIN_TEST_MARK"


def test_the_page_shows_what_the_script_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever plays the session sees the commands of the page."""
    monkeypatch.syspath_prepend(str(SESSION.parent))
    session = runpy.run_path(str(SESSION))
    shown = re.findall(r"^\$ evertrain (.*)$", PAGE.read_text(), flags=re.MULTILINE)
    assert shown == [" ".join(words) for words, _ in session["COMMANDS"]]
    assert session["SHORT"] in PAGE.read_text()


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_the_session_is_as_the_page_tells_it(tmp_path: Path) -> None:
    """Stopped in stage 2, trained to the end from there, exported, and stage 2 begun anew."""
    mark = uuid.uuid4().hex
    clean = {key: each for key, each in os.environ.items() if not key.startswith("EVERTRAIN_")}
    done = subprocess.run(
        [sys.executable, str(SESSION), str(tmp_path)],
        env={**clean, "TERM": "xterm", "OMP_NUM_THREADS": "1", MARK: mark},
        capture_output=True,
        text=True,
        check=True,
        timeout=800,
    )
    parts = re.split(r"^\$ evertrain .*$", done.stdout, flags=re.MULTILINE)[1:]
    first, listing, second, export, back = parts
    assert living(mark) == {}

    assert "Device: cpu" in first
    assert "No checkpoints found - starting fresh training" in first
    assert "Model saved: models/stage1_50kN.zip" in first
    assert "Emergency model saved: models/stage2_INTERRUPTED_100kN.zip" in first
    assert "(exit code 75)" in first
    assert "M5.7 @ 100kN" in listing

    assert "RESUMING FROM CHECKPOINT" in second
    assert "Last completed: Stage 1/4" in second
    assert re.search(r"Will resume from Stage 2/4, [\d,]+ of 4,000 steps done", second)
    assert "STAGE 1/4" not in second
    assert "Model saved: models/final_structure.zip" in second
    assert "(exit code 0)" in second

    assert export.split() == ["best.zip.vecnormalize.pkl", "best.zip", "(exit", "code", "0)"]
    assert (tmp_path / "best.zip").exists()
    assert "Last completed: Stage 1/4\n   Will resume from Stage 2/4\n" in back
    assert "(exit code 75)" in back
    steps = [row["step"] for row in read_metrics(RunDir(tmp_path / "runs" / "structure"))]
    assert steps == sorted(set(steps))
    assert 4_000 < steps[-1] < 8_000
