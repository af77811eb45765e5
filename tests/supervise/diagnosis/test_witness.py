"""What an attempt left of its death is read, whatever stands there."""

import json
from pathlib import Path
from typing import Any

from evertrain.core.clock import iso_utc
from evertrain.core.rundir import RunDir
from evertrain.supervise.diagnosis.knobs import MEMORY, knobs_of, named
from evertrain.supervise.diagnosis.raised import frames_of, parse_traceback, project_frame
from evertrain.supervise.diagnosis.witness import clear, read_fault, read_raised, until_death
from supervise.diagnosis.corpus import FRAMES


def left(run_dir: RunDir, *rows: Any) -> None:
    """Leave these lines as the first attempt."""
    run_dir.crashes.mkdir(exist_ok=True)
    text = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in rows)
    run_dir.words(1).with_name("attempt-0001.errors.jsonl").write_text(text)


def test_there_and_gone(tmp_path: Path) -> None:
    """Exceptions in their order, with the program's own frame; then nothing is left."""
    run_dir = RunDir(tmp_path)
    told = {"type": "E", "message": "m", "by": "run", "step": 7, "traceback": f"{FRAMES}E: m"}
    left(run_dir, {"type": "First", "by": "thread"}, told)
    (tmp_path / "crashes" / "attempt-0001.fault.txt").write_text("Fatal Python error: x\n")
    first, second = read_raised(run_dir, 1)
    assert (first.type, first.by, first.step) == ("First", "thread", None)
    assert (second.line, second.frame, second.step) == ("E: m", "train.py:41 in step", 7)
    assert read_fault(run_dir, 1) == "Fatal Python error: x\n"
    clear(run_dir, 1)
    clear(run_dir, 1)
    assert list(run_dir.crashes.iterdir()) == []
    assert (read_raised(run_dir, 1), read_fault(run_dir, 1)) == ((), "")


def test_a_file_may_hold_anything(tmp_path: Path) -> None:
    """Torn lines, wrong types, and a FIFO's kind of place."""
    run_dir = RunDir(tmp_path)
    left(run_dir, '{"type": "Tor', [1], {"type": 5}, {"type": "E", "by": [], "step": -1})
    (found,) = read_raised(run_dir, 1)
    assert (found.by, found.step, found.message) == ("main", None, "")
    (tmp_path / "crashes" / "attempt-0002.fault.txt").mkdir()
    assert read_fault(run_dir, 2) == ""


def test_what_a_program_has_left_behind_it_is_no_cause(tmp_path: Path) -> None:
    """An exception that left the block long before the death was caught; uncaught ones count."""
    run_dir = RunDir(tmp_path)
    told = {"type": "E", "time": iso_utc(1_700_000_000)}
    left(run_dir, {**told, "by": "run"}, {**told, "by": "main"}, {"type": "F", "by": "run"})
    found = read_raised(run_dir, 1)
    assert [each.by for each in until_death(found, 1_700_000_500.0)] == ["run", "main", "run"]
    assert [each.by for each in until_death(found, 1_700_000_700.0)] == ["main", "run"]


def test_tracebacks() -> None:
    """The last line names it; a torn one names nothing; libraries are passed over."""
    assert parse_traceback("Traceback (most recent call last):\n  File") is None
    assert parse_traceback("") is None
    long = parse_traceback(f"{FRAMES}E: {'worker ' * 100_000}")
    assert long is not None
    assert len(long.message) == 4000  # what is searched by patterns, whatever a program prints
    found = parse_traceback(f"{FRAMES}a.b.E: m: n")
    assert found is not None
    assert (found.type, found.name, found.message) == ("a.b.E", "E", "m: n")
    only_library = frames_of('  File "/x/site-packages/a.py", line 3, in f')
    assert project_frame(only_library) == "a.py:3 in f"
    assert project_frame([]) == ""


def test_settings_are_found_in_config_and_command() -> None:
    """By the last part of a name; the command's win; in any of its forms."""
    config = {"env": {"num_envs": 8, "map": "x"}, "buffer_size": 1000, "batch_size": [1]}
    command = ["python", "train.py", "--num-envs", "16", "batch_size=64", "--fast", "--n-steps=5"]
    found = knobs_of(config, command)
    assert found["num_envs"] == "16"
    assert found["batch_size"] == "64"
    text = named(found, MEMORY, "none")
    assert text == "num_envs (16) or buffer_size (1,000) or batch_size (64)"
    assert named({}, MEMORY, "none") == "none"
