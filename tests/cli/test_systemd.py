"""`evertrain systemd`: the unit of a run."""

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evertrain.cli.run import run
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir, new_identity, write_identity

Invoke = Callable[..., Any]
MORE = {
    "window_s": 5400.0,
    "backoff": True,
    "reseed": False,
    "min_goodput": 0.25,
    "hang": "observe",
    "hang_timeout_s": 90.0,
    "ladder": "two words.yaml",
}


@pytest.fixture
def known(place: Path) -> RunDir:
    """Return a run that was started once, with options."""
    run_dir = RunDir(place / "runs" / "known")
    (place / "project").mkdir()
    command = ["python", "train.py", "--name", "two words"]
    write_identity(run_dir, new_identity(command=command, cwd=str(place / "project")))
    options = {"max_crashes": 3, "delay_s": 5.0, "grace_s": 30.0, "checkpoints": "m/*.pt"} | MORE
    Journal(run_dir.journal).record("supervisor_started", command=command, options=options)
    return run_dir


def value(text: str, name: str) -> str:
    """Return what the unit sets `name` to."""
    return next(line for line in text.splitlines() if line.startswith(f"{name}=")).partition("=")[2]


def test_of_a_known_run(known: RunDir, place: Path, invoke: Invoke) -> None:
    """Its command, its directory, the options of its last start, this interpreter."""
    text = invoke("systemd", "known", "--user").stdout
    start = value(text, "ExecStart")
    assert start.startswith(f"{sys.executable} -P -m evertrain run --run {place}/runs/known ")
    assert start.endswith(' -- python train.py --name "two words"')
    for words in ("--max-crashes 3", "--grace 30", '--checkpoints "m/*.pt"'):
        assert f" {words} " in start
    assert "--delay" not in start, "5 s is what it does anyway"
    assert value(text, "WorkingDirectory") == f"{place}/project"
    assert value(text, "TimeoutStopSec") == "90"
    assert value(text, "WantedBy") == "default.target"


def test_the_last_start_counts(known: RunDir, place: Path, invoke: Invoke) -> None:
    """Its command and its directory, also where `run.json` is older, or is not there yet."""
    last: dict[str, Any] = {"command": ["python", "b.py"], "cwd": str(place)}
    Journal(known.journal).record("supervisor_started", options={}, **last)
    text = invoke("systemd", "known", "--user").stdout
    assert value(text, "ExecStart").endswith(" -- python b.py")
    assert value(text, "WorkingDirectory") == str(place)
    known.identity.unlink()
    assert invoke("systemd", "known", "--user").stdout == text


@pytest.mark.usefixtures("known")
def test_options_overrule_the_last_start(invoke: Invoke) -> None:
    """What is given counts, be it the default."""
    text = invoke("systemd", "known", "--max-crashes", "10", "--grace", "5").stdout
    assert "--max-crashes 10 " in value(text, "ExecStart")
    assert value(text, "TimeoutStopSec") == "65"


def test_what_it_starts_understands_itself(known: RunDir, invoke: Invoke) -> None:
    """Every option that has a value here is one that `evertrain run` takes, with that value."""
    text = invoke("systemd", "known", "--delay", "0.125", "--resume-arg", "--r {path}").stdout
    words = shlex.split(value(text, "ExecStart").replace("%%", "%").replace("$$", "$"))
    context = run.make_context("run", words[words.index("run") + 1 :])
    assert context.params["run_dir"] == str(known.path.absolute())
    assert context.params["max_crashes"] == 3
    assert context.params["delay_s"] == 0.125
    assert context.params["grace_s"] == 30.0
    assert context.params["checkpoints"] == "m/*.pt"
    assert MORE.items() <= context.params.items()
    assert context.params["resume_arg"] == "--r {path}"
    assert context.params["command"] == ("python", "train.py", "--name", "two words")


def test_of_a_new_run(place: Path, invoke: Invoke) -> None:
    """The command is given, and starts here."""
    text = invoke("systemd", "runs/new", "--", "bash", "-c", "echo $HOME 100%").stdout
    start = value(text, "ExecStart")
    assert start.endswith(f'--run {place}/runs/new -- bash -c "echo $$HOME 100%%"')
    assert value(text, "WorkingDirectory") == str(place)
    assert not (place / "runs").exists(), "printing makes nothing"
    assert invoke("systemd", "runs/new", code=10)


@pytest.mark.usefixtures("known")
def test_variables(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named ones are taken along; secrets and the places to notify are not."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_API_KEY", "s3cret")
    monkeypatch.setenv("EVERTRAIN_NOTIFY", "https://hooks.slack.com/services/s3cret")
    done = invoke("systemd", "known", "--env", "WANDB_MODE", "--env", "X=a b", "--env-file", "e")
    assert "Environment=WANDB_MODE=offline\n" in done.stdout
    assert 'Environment="X=a b"\n' in done.stdout
    assert value(done.stdout, "EnvironmentFile") == f"-{Path.cwd()}/e"
    assert "s3cret" not in done.output
    assert "--env NAME=VALUE" in invoke("systemd", "known", "--env", "NOT_SET", code=2).stderr


def test_installing(
    known: RunDir, place: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into the user's own directory; the same run's unit is replaced, another's is not."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place / "config"))
    said = invoke("systemd", "known", "--user", "--install").output
    path = place / "config" / "systemd" / "user" / "evertrain-known.service"
    assert path.read_text() == invoke("systemd", "known", "--user").stdout
    assert "systemctl --user enable --now evertrain-known.service" in said
    assert "enable-linger" in said

    invoke("systemd", "known", "--user", "--install", "--max-crashes", "7")
    assert "--max-crashes 7" in path.read_text()

    other = ("systemd", "elsewhere/known", "--user", "--install")
    assert "--name NAME" in invoke(*other, "--", "x", code=78).stderr
    invoke(*other, "--name", "other", "--", "x")
    assert sorted(os.listdir(path.parent)) == ["evertrain-known.service", "other.service"]


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("name", ["../x", "a b", "", "-x", ".x"])
def test_a_name_that_is_none(invoke: Invoke, name: str) -> None:
    """It would lead elsewhere, or systemd would not take it."""
    if name:
        invoke("systemd", "known", "--name", name, code=2)


def test_a_run_that_does_not_say_how_it_was_started(place: Path, invoke: Invoke) -> None:
    """There is nothing to start again."""
    write_identity(RunDir(place / "r"), new_identity())
    assert "-- COMMAND" in invoke("systemd", "r", code=78).stderr
