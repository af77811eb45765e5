"""`evertrain calibrate`: options and usage errors; real measuring is tested with the ladder."""

from pathlib import Path

import pytest

from cli.conftest import Invoke
from evertrain.core.journal import Journal


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["--budget", "2h", "--", "true"], 2, "Missing option '--ladder'"),
        (["--ladder", "l.yaml", "--", "true"], 2, "Missing option '--budget'"),
        (["--ladder", "l.yaml", "--budget", "2", "--", "true"], 2, "is no length of time"),
        (["--ladder", "l.yaml", "--budget", "0", "--", "true"], 2, "--budget is 0"),
        (["--ladder", "l.yaml", "--budget", "1h"], 2, "there is no command"),
        (
            ["--ladder", "l", "--budget", "1h", "--progress", "(", "--", "true"],
            78,
            "--progress '('",
        ),
        (["--ladder", "l.yaml", "--budget", "1h", "--", "true"], 78, "there is no such file"),
        (["--ladder", "l.yaml", "--budget", "1h", "--", "nowhere-to-be"], 78, "no program"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    invoke: Invoke, place: Path, words: list[str], code: int, named: str
) -> None:
    """Before anything is started or created."""
    result = invoke("calibrate", *words, code=code)

    assert named in result.output
    assert list(place.iterdir()) == []


def test_the_rung_of_an_attempt_stands_in_status(ask: Invoke, invoke: Invoke, place: Path) -> None:
    """With its reason; and no longer once an attempt has none."""
    (place / "runs" / "x").mkdir(parents=True)
    journal = Journal(place / "runs" / "x" / "journal.jsonl")
    journal.record("supervisor_started", pid=1, command=["true"])
    journal.record("rung", attempt=1, rung="k", name="fast", index=2, count=4, move="down", why="w")
    journal.record("launched", attempt=1, pid=1)

    assert ask("status", "runs/x")["run"]["rung"] == {  # type: ignore[index]
        "name": "fast", "index": 2, "count": 4, "move": "down", "why": "w"
    }  # fmt: skip
    assert "fast, 2 of 4: w" in invoke("status", "runs/x").output
    journal.record("launched", attempt=2, pid=1)
    assert ask("status", "runs/x")["run"]["rung"] is None  # type: ignore[index]
