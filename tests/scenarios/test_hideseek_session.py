"""The session of docs/sessions/hideseek.md: a crash, a list, and back to an earlier iteration."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
SESSION = REPO / "examples" / "hideseek_session.py"
PAGE = REPO / "docs" / "sessions" / "hideseek.md"


def test_the_page_shows_what_the_script_types() -> None:
    """Whoever plays the session sees the commands of the page."""
    typed = runpy.run_path(str(SESSION))["session"](10)
    shown = re.findall(r"^\$ (.*)$", PAGE.read_text(), flags=re.MULTILINE)

    assert shown == [" ".join(words) for words, _ in typed]


@pytest.mark.soak
def test_the_session_is_as_the_page_tells_it(tmp_path: Path) -> None:
    """SIGKILL costs some iterations; going back sets aside; the script finds the best."""
    clean = {key: each for key, each in os.environ.items() if not key.startswith("EVERTRAIN_")}
    done = subprocess.run(
        [sys.executable, str(SESSION), "--quick", str(tmp_path)],
        env={**clean, "TERM": "xterm", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=900,
    )
    train, listed, back, detailed, best, played = re.split(
        r"^\$ .*$", done.stdout, flags=re.MULTILINE
    )[1:]

    assert done.stdout.count("(exit code 0)") == 6
    assert "Training crashed! (SIGKILL)" in train
    assert "Resuming from iteration 6: " in train
    assert "Training Iteration 12/12" in train
    assert re.search(r"^ +12 .*\[FINAL\]", listed, flags=re.MULTILINE)
    assert "Go on?" in back
    assert "Resuming from iteration 10: " in back
    assert "moved to superseded/: checkpoint_000012" in back
    assert re.search(r"^ +12 .*\[FINAL\]", detailed, flags=re.MULTILINE)
    assert re.search(r"^Best checkpoint: Iteration \d+ with reward -?\d", best, flags=re.MULTILINE)
    assert "seeker_policy: " in played
