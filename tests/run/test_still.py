"""What is attached and never trained is pointed out once, in the first minutes."""

from typing import Any

import numpy as np
import pytest

from evertrain import every
from evertrain.core.journal import Journal
from support import OpenRun


def test_a_leaf_that_never_changes_is_pointed_out_once(
    open_run: OpenRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second checkpoint tells which arrays are still those of the first, and only it does."""
    run = open_run(save=every(steps=3))
    nets: dict[str, Any] = {
        "policy": np.zeros(3),
        "frozen": np.ones(3),
        "counts": np.ones(2, np.int64),
    }
    run.attach(nets=nets)
    for _ in run:
        nets["policy"] += 1

    out = capsys.readouterr().out
    assert out.count("unchanged since step 1: nets/items/frozen") == 1
    assert "policy" not in out
    assert "counts" not in out
    events = Journal(run.path / "journal.jsonl").events("unchanged")
    assert [event["leaves"] for event in events] == [["nets/items/frozen"]]


def test_a_training_that_moves_is_not_disturbed(
    open_run: OpenRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where everything changes, nothing is said."""
    run = open_run()
    weights = np.zeros(3)
    run.attach(weights=weights)
    for _ in run:
        weights += 1

    assert "unchanged" not in capsys.readouterr().out


def test_a_resumed_run_is_not_told_again(
    open_run: OpenRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was said in the first attempt is not repeated in every other one."""
    for until in (4, 8):
        run = open_run()
        run.attach(frozen=np.zeros(3))
        for step in run:
            if step == until:
                run.end_step()
                break

    assert capsys.readouterr().out.count("unchanged") == 1
