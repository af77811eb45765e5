"""`evertrain.supervise.start`: how a run was last started."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from evertrain.core.errors import ConfigError, FormatError
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir, new_identity, write_identity
from evertrain.supervise.options import SuperviseOptions
from evertrain.supervise.start import Start, last_start


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    """An empty run."""
    return RunDir(tmp_path)


def tell(run_dir: RunDir, **fields: Any) -> None:
    """Begin a supervision."""
    Journal(run_dir.journal).record("supervisor_started", sync=False, **fields)


def test_of_a_command_that_never_lived(run_dir: RunDir) -> None:
    """It crashed at once, so there is no `run.json`: the supervisor said what it would start."""
    assert last_start(run_dir) is None
    tell(run_dir, command=["python", "a.py"], cwd="/project", options={"delay_s": 1})
    found = last_start(run_dir)
    assert found == Start(command=["python", "a.py"], cwd=Path("/project"), options={"delay_s": 1})


def test_the_last_one_counts(run_dir: RunDir) -> None:
    """Whoever starts the run with another command means that one from then on."""
    write_identity(run_dir, new_identity(command=["python", "a.py", "--lr", "1"], cwd="/old"))
    tell(run_dir, command=["python", "a.py", "--lr", "1"], cwd="/old")
    tell(run_dir, command=["python", "a.py", "--lr", "2"], cwd="/new")
    found = last_start(run_dir)
    assert found is not None
    assert (found.command[-1], found.cwd) == ("2", Path("/new"))


@pytest.mark.parametrize("odd", [5, [], ["a", 5], None])
def test_without_a_supervisor(run_dir: RunDir, odd: object) -> None:
    """`run.json` says it, also where the journal says what cannot be."""
    write_identity(run_dir, new_identity(command=["python", "a.py"], cwd="/here"))
    tell(run_dir, command=odd, cwd=odd, options=odd)
    assert last_start(run_dir) == Start(command=["python", "a.py"], cwd=Path("/here"))


def test_a_damaged_identity_is_no_hindrance(run_dir: RunDir) -> None:
    """The next start makes it anew. One of a newer version is refused."""
    tell(run_dir, command=["x"], cwd="/here")
    run_dir.identity.write_bytes(b"{")
    assert last_start(run_dir) == Start(command=["x"], cwd=Path("/here"))
    run_dir.identity.write_bytes(b'{"format": 99}')
    with pytest.raises(FormatError):
        last_start(run_dir)


def again(known: dict[str, object], **given: object) -> SuperviseOptions:
    """Return how a run is supervised again that was last started with `known`."""
    return Start(command=["x"], cwd=None, options=known).supervised(given)


def test_it_is_supervised_as_before() -> None:
    """Everything but where it began then, unless told otherwise now."""
    before = SuperviseOptions(
        max_crashes=0,
        delay_s=1.0,
        grace_s=900.0,
        checkpoints="*.pt",
        resume_arg="--r {path}",
        resume="never",
        progress=r"step (\d+)",
        hang="observe",
        ladder="l.yaml",
    )
    assert again(asdict(before)) == replace(before, resume="auto")
    assert again(asdict(before), ladder="", hang="act", resume="250") == replace(
        before, resume="250", ladder="", hang="act"
    )
    assert again({}) == SuperviseOptions()


@pytest.mark.parametrize(
    "known",
    [
        {"progress": 5, "checkpoints": ["x"], "max_crashes": True, "delay_s": "5", "hang": None},
        {"delay_s": -1.0, "hang": "never"},
        {"resume_arg": "--r {path}", "no such option": 1},
    ],
)
def test_odd_options_are_none(known: dict[str, object]) -> None:
    """A journal may hold anything: what cannot be is not supervised by. A whole number may be."""
    assert again(known) == SuperviseOptions()
    assert again({"delay_s": 3}).delay_s == 3


def test_what_is_told_now_has_to_work() -> None:
    """It is no fault of the past."""
    with pytest.raises(ConfigError, match="--delay is -1"):
        again({"hang": "observe"}, delay_s=-1.0)
