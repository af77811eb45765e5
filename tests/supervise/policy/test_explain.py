"""`status` says how a run stands with its ledgers."""

from dataclasses import asdict
from typing import Any

import pytest

from evertrain.core.clock import iso_utc
from evertrain.core.journal import Row
from evertrain.supervise.options import SuperviseOptions
from evertrain.supervise.policy.explain import explain, standing_of
from supervise.policy.attempts import START_S


def row(event: str, at_s: float = 0.0, **fields: Any) -> Row:
    """Return a row, so many seconds after the start."""
    return {"event": event, "time": iso_utc(START_S + at_s), **fields}


def started(**options: Any) -> Row:
    """Return the row of a supervisor's start."""
    return row("supervisor_started", options=asdict(SuperviseOptions(**options)))


def crashed(at_s: float, summary: str = "CUDA out of memory", **fields: Any) -> Row:
    """Return the row of a crash that made progress."""
    about = {"attempt": 1, "kind": "CUDA OOM", "progress": True, **fields}
    return row("crashed", at_s, summary=summary, **about)


def said(*rows: Row, now_s: float = 10.0) -> str:
    """Return the sentence."""
    found = standing_of(rows, START_S + now_s)
    return "" if found is None else explain(found)


def test_the_sentence_of_the_default_ledgers() -> None:
    """Crashes in the window, what is left, the next restart, and the last cause."""
    rows = [started(), *(crashed(each) for each in (1, 2, 3, 4)), row("backoff", 5, seconds=17)]
    assert said(*rows) == (
        "4 crashes in the last hour, 6 left; next restart in 12 s; last cause: CUDA out of memory"
    )
    assert said(*rows, now_s=3603.5) == (
        "1 crash in the last hour, 9 left; next restart in 0.0 s; last cause: CUDA out of memory"
    )


def test_nobody_restarts_what_lost_its_supervisor() -> None:
    """It was killed in its pause: no restart is announced that never comes."""
    rows = [started(), crashed(1), row("backoff", 5, seconds=17, why="with luck", move="reseed")]
    found = standing_of(rows, START_S + 10, is_supervised=False)
    assert found is not None
    assert explain(found) == "1 crash in the last hour, 9 left; last cause: CUDA out of memory"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([started(max_crashes=3), crashed(1)], "1 crash, 2 left; last cause"),
        ([started(max_crashes=0), crashed(1)], "1 crash, no limit; last cause"),
        ([started(window_s=1800.0), crashed(1)], "1 crash in the last 30 m, 9 left"),
        (
            [started(), crashed(1, progress=False), crashed(2, progress=False)],
            "2 crashes in the last hour, 8 left; the last 2 without a newer checkpoint; last",
        ),
        (
            [started(), row("preempted", 1, attempt=1, summary="SIGTERM")],
            "0 crashes in the last hour, 10 left; 1 of 5 interruptions from outside",
        ),
        (
            [started(), crashed(1), row("backoff", 5, seconds=9, move="older", why="going back")],
            "9 left; going back; next restart in 4.0 s",
        ),
        (
            [
                started(),
                row("launched", 1, attempt=1),
                started(),
                crashed(3, attempt=2, progress=False),
                row("launched", 4, attempt=3),
            ],
            "1 crash in the last hour, 9 left; 1 of 5 interruptions",
        ),
        ([started(), crashed(1), row("gave_up", 2)], "1 crash in the last hour, 9 left"),
        ([{**started(), "options": {"max_crashes": []}}, crashed(1)], "1 crash in the last hour"),
        ([started(window_s=100.0), crashed(1)], "1 crash in the last 1 m 40 s"),
        ([started(), crashed(1, summary="")], "1 crash in the last hour, 9 left"),
    ],
)
def test_sentences(rows: list[Row], words: str) -> None:
    """Each rule that counts something is heard of."""
    assert words in said(*rows)


def test_nothing_counted_is_nothing_said() -> None:
    """Without a supervisor, without a crash, and after a new start by a person."""
    assert said() == said(started()) == said(crashed(1)) == ""
    assert said(started(), crashed(1), row("supervisor_stopped"), started()) == ""
    assert said(started(), crashed(1), row("gave_up"), started()) == ""


def test_advice_is_passed_on() -> None:
    """As lines; a file may hold anything."""
    found = standing_of([started(), crashed(1, advice=["lower x", 5, "a\nb"])], START_S)
    assert found is not None
    assert found.advice == ("lower x", "a")
