"""What goodput.py makes of the lines that a training told it."""

import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def goodput(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module; its neighbours are found as where it is run."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import goodput as found  # type: ignore[import-not-found]

    yield found
    for name in ("goodput", "supervisors", "executed", "table", "measure"):
        sys.modules.pop(name, None)


def row(at_s: float, event: str, step: int, pid: int = 1) -> dict[str, Any]:
    """Return a line of the training."""
    return {"pid": pid, "at_s": at_s, "event": event, "step": step}


def test_only_what_nobody_repeats_counts(goodput: Any) -> None:
    """Killed at 1,024 and resumed at 512: 512 steps were done twice, and 1,536 are kept."""
    rows = [
        row(1.0, "born", 0),
        row(2.0, "began", 0),
        row(3.0, "learned", 512),
        row(4.0, "learned", 1024),
        row(6.0, "born", 0),
        row(7.5, "began", 512),
        row(8.0, "learned", 1024),
        row(9.0, "learned", 1536),
    ]
    found = goodput.judged(goodput.Trained("x", 10.0), rows, [5.0])
    assert (found.steps, found.replayed, found.restarts_s) == (1536, 512, [2.5])


def test_one_that_never_came_back_keeps_what_it_began_with(goodput: Any) -> None:
    """A restart from the beginning keeps nothing; none at all has no time of restart."""
    rows = [row(2.0, "began", 0), row(4.0, "learned", 1024), row(7.0, "began", 0)]
    found = goodput.judged(goodput.Trained("x", 10.0), rows, [5.0, 8.0])
    assert (found.steps, found.replayed, found.restarts_s) == (0, 1024, [2.0])


def test_all_are_killed_at_the_same_times(goodput: Any) -> None:
    """The schedule is fixed, its gaps are as asked for, and the last one leaves time to go on."""
    plan = goodput.FULL
    assert plan.kills_s == goodput.Plan(300.0, (20.0, 40.0), 1.0, 1).kills_s
    gaps = [b - a for a, b in zip([0.0, *plan.kills_s], plan.kills_s, strict=False)]
    assert len(gaps) >= 8
    assert all(20.0 <= each <= 40.0 for each in gaps)
    assert plan.kills_s[-1] <= 290.0


def test_a_step_takes_what_it_takes_where_nothing_disturbs_it(goodput: Any) -> None:
    """Saves, kills and a slow first rollout lie between rollouts that tell the pace."""
    times = [(0, "began", 0), (9, "learned", 10), (10, "learned", 20), (11, "learned", 30)]
    times += [(15, "learned", 40), (16, "learned", 50), (20, "began", 30), (21, "learned", 40)]
    rows = [row(float(at_s), event, step) for at_s, event, step in times]
    assert goodput.pace_of(rows) == pytest.approx(0.1)
