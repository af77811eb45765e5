"""The session of docs/sessions/trading.md: a power cut, and the same command again."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
SESSION = REPO / "examples" / "trading_session.py"
PAGE = REPO / "docs" / "sessions" / "trading.md"


def test_the_page_shows_what_the_script_types() -> None:
    """Whoever plays the session sees the commands of the page."""
    played = runpy.run_path(str(SESSION))
    shown = re.findall(r"^\$ (.*)$", PAGE.read_text(), flags=re.MULTILINE)

    assert shown == [scene.typed for scene in played["scenes"](is_quick=False)]
    assert played["CONFIG"] in PAGE.read_text()


@pytest.mark.slow
def test_the_session_is_as_the_page_tells_it(tmp_path: Path) -> None:
    """Cut after a checkpoint, it goes on behind it and completes; then it is sent back."""
    clean = {key: each for key, each in os.environ.items() if not key.startswith("EVERTRAIN_")}
    done = subprocess.run(
        [sys.executable, str(SESSION), "--quick", str(tmp_path)],
        env={**clean, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=280,
    )
    cut, listed, again, card, ls, back = re.split(r"^\$ .*$", done.stdout, flags=re.MULTILINE)[1:]

    assert "Starting fresh training" in cut
    assert cut.rstrip().endswith("(the power fails)")
    assert "model_ep10.pt" in listed
    assert "Auto-resuming from episode 10: models/model_ep10.pt" in again
    assert "Resuming training from episode 11/22" in again
    assert re.search(r"^test +buy and hold ", again, flags=re.MULTILINE)
    assert '"metric_name": "total_profit"' in card
    assert "[FINAL]" in ls
    assert "config changed: episodes: 22 -> 24" in back
    assert "Resuming training from episode 11/24" in back
    assert "Auto-resuming" not in back
    assert done.stdout.count("(exit code 0)") == 5
