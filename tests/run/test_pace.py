"""How often a run saves is told, with what decides it."""

from typing import Any

import pytest

from evertrain import every
from evertrain.checkpoint.when import Moment, auto
from evertrain.core.journal import Journal
from evertrain.monitor.read import status
from evertrain.testing import FakeClock
from support import OpenRun


def moment(cost_s: float, mtbf_s: float) -> Moment:
    """Return a boundary of a run whose saves cost this, and that crashes so often."""
    return Moment(step=1, previous_step=0, cost_s=cost_s, mtbf_s=mtbf_s)


@pytest.mark.parametrize(
    ("cost_s", "mtbf_s", "interval_s", "why"),
    [
        (0.0001, 1.0, 1.0, "more often serves nobody"),
        (1.0, 3600.0, 100.0, "may cost 1.0% of the time"),
        (0.05, 14400.0, 37.9, "with a crash every 4 h 00 m this loses the least"),
    ],
)
def test_the_reason_is_the_bound_that_decides(
    cost_s: float, mtbf_s: float, interval_s: float, why: str
) -> None:
    """The floor, the budget, or the crashes."""
    at = moment(cost_s, mtbf_s)
    assert auto().interval_s(at) == pytest.approx(interval_s, abs=0.1)
    assert why in auto().why(at)


def _paced(open_run: OpenRun, **options: Any) -> tuple[list[dict[str, Any]], Any]:
    clock = FakeClock()
    run = open_run(total=40, clock=clock, **options)
    for _ in run:
        run.wait()
        clock.advance(30.0)
    return [*Journal(run.path / "journal.jsonl").events("paced")], status(run.path)


def test_auto_is_told_once_while_it_stays_the_same(open_run: OpenRun) -> None:
    """Not at each of the forty saves: only where the interval changes by a quarter."""
    rows, found = _paced(open_run, save=auto())
    assert [row["interval"] for row in rows] == [1.5, 3.0, 4.5]  # the run grows older
    assert rows[-1]["rule"] == "auto(overhead=0.01)"
    assert found.pace["why"] == rows[-1]["why"]


def test_a_fixed_rule_is_told_by_its_name(open_run: OpenRun) -> None:
    """It has no interval of its own, and needs no reason."""
    rows, _ = _paced(open_run, save=every(steps=7))
    assert [row.get("rule") for row in rows] == ["every(steps=7)"]
    assert "interval" not in rows[0]
