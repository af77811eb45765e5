"""`evertrain.supervise.report`: what people read."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from evertrain.core.rundir import RunDir
from evertrain.supervise.attempt import Outcome
from evertrain.supervise.cause import Tail
from evertrain.supervise.decide import Stop
from evertrain.supervise.end import End
from evertrain.supervise.postmortem import write_crash
from evertrain.supervise.report import Record, conclude, runtime, table
from evertrain.supervise.screen import Screen
from evertrain.supervise.task import Task


def _record(attempt: int, code: int | None, *, is_run: bool = False) -> Record:
    return Record(
        attempt=attempt,
        began_at_s=1.7e9,
        outcome=Outcome(code=code, seconds=750.4, stop_requested=False),
        end=End(code=code, is_run=is_run),
        steps=(0, 2560) if attempt == 1 else (None, None),
        resumed_from="checkpoint_2500.pt" if attempt == 2 else None,
        tail=Tail(lines=("last",), exception="E: x", traceback="T\nE: x", is_last_word=True),
    )


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.04, "0.0s"), (9.94, "9.9s"), (10.4, "10s"), (750.2, "750s")]
)
def test_runtimes_look_as_in_the_guide(seconds: float, shown: str) -> None:
    """Whole seconds, tenths only where they matter."""
    assert runtime(seconds) == shown


def test_the_table_tells_each_attempt() -> None:
    """Number, runtime, end, steps and origin, in columns."""
    lines = table([_record(1, 1), _record(2, -11), _record(3, 0), _record(4, 75)])
    assert lines[0].split() == ["attempt", "start", "runtime", "end", "steps", "resumed", "from"]
    assert "12 m 30 s  exit code 1  0 -> 2,560  -" in lines[1]
    assert "SIGSEGV" in lines[2]
    assert lines[2].endswith("checkpoint_2500.pt")
    assert "finished" in lines[3]
    assert "stopped" in lines[4]


def test_a_night_of_crashes_ends_with_a_page() -> None:
    """Whoever looks in the morning wants the last ones; `stats` has all."""
    read, write = os.pipe()
    screen = Screen(write)
    task = cast("Task", None)  # only who gave up is told where to look
    records = [_record(number, -11) for number in range(1, 3001)]
    conclude(screen, task, Stop("stopped", "stopped on request", 75), records)
    screen.flush()
    os.close(write)
    with os.fdopen(read) as file:
        lines = file.read().splitlines()
    assert "the last 100 of 3,000 attempts:" in lines
    assert [line.split()[0] for line in lines[-100:]] == [str(n) for n in range(2901, 3001)]


def test_what_is_kept_of_an_older_attempt_has_the_same_line() -> None:
    """And counts the same, without what its program printed."""
    found = replace(_record(2, -11), fault="x" * 1000)
    kept = found.condensed()
    assert table([kept]) == table([found])
    assert kept.end == found.end
    assert (kept.tail, kept.fault) == (Tail(), "")


def test_causes_that_are_no_exit_code() -> None:
    """A `Run` that ended with 0, and an attempt whose shim was killed."""
    assert _record(1, 0, is_run=True).cause == "ended with exit code 0 without finishing"
    assert _record(1, None).cause == "the shim that held it was killed"


def test_the_post_mortem_is_complete(tmp_path: Path) -> None:
    """`crashes/attempt-0001.json` is strict JSON with all that is known."""
    run_dir = RunDir(tmp_path)
    write_crash(run_dir, _record(1, -11), ["python", "train.py"])
    found = json.loads(run_dir.crash(1).read_text())
    assert found["cause"] == found["signal"] == "SIGSEGV"
    assert found["format"] == 1
    assert (found["step_from"], found["step_to"]) == (0, 2560)
    assert (found["exception"], found["traceback"], found["last_lines"]) == (
        "E: x",
        "T\nE: x",
        ["last"],
    )
    assert found["log"] == "logs/attempt-0001.log"
    assert found["seconds"] == pytest.approx(750.4)
