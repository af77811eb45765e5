"""`evertrain run`: options, help and usage errors; supervision itself is tested next door."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evertrain.cli.resume import resume
from evertrain.cli.run import run
from evertrain.core.errors import ConfigError, UsageError
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir
from evertrain.supervise.options import SuperviseOptions


@pytest.fixture
def supervised(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What the command would have supervised."""
    calls: list[tuple[object, ...]] = []

    def note(command: object, run_dir: object, options: object, **_: object) -> int:
        calls.append((command, run_dir, options))
        return 20

    monkeypatch.setattr("evertrain.supervise.loop.supervise", note)
    return calls


def test_every_option_arrives(supervised: list[tuple[object, ...]]) -> None:
    """Names, units and defaults of the command line are those of `SuperviseOptions`."""
    words = ["--run", "here", "--max-crashes", "20", "--delay", "3", "--grace", "60"]
    words += ["--window", "1h30m", "--backoff", "--reseed", "--min-goodput", "0.2"]
    words += ["--checkpoints", "m*.pt", "--resume-arg", "--r {path}", "--resume", "best"]
    words += ["--progress", r"step (\d+)", "--progress-file", "*.csv"]
    words += ["--hang", "observe", "--hang-timeout", "90"]
    words += ["--ladder", "l.yaml"]
    code = CliRunner().invoke(run, [*words, "--", "python", "t.py"], standalone_mode=False)
    assert code.return_value == 20
    options = SuperviseOptions(
        max_crashes=20,
        delay_s=3.0,
        grace_s=60.0,
        window_s=5400.0,
        backoff=True,
        reseed=True,
        min_goodput=0.2,
        checkpoints="m*.pt",
        resume_arg="--r {path}",
        resume="best",
        progress=r"step (\d+)",
        progress_file="*.csv",
        hang="observe",
        hang_timeout_s=90.0,
        ladder="l.yaml",
    )
    assert supervised == [(("python", "t.py"), "here", options)]


def test_a_resume_is_supervised_as_before(
    supervised: list[tuple[object, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Command, directory and options of the last start, although it crashed at once."""
    monkeypatch.chdir(tmp_path)
    run_dir = RunDir(tmp_path / "runs" / "x")
    run_dir.path.mkdir(parents=True)
    before = SuperviseOptions(max_crashes=0, grace_s=900.0, hang="observe", checkpoints="*.pt")
    (tmp_path / "project").mkdir()
    about: dict[str, Any] = {"command": ["python", "t.py"], "cwd": str(tmp_path / "project")}
    Journal(run_dir.journal).record("supervisor_started", options=asdict(before), **about)

    CliRunner().invoke(resume, ["x", "--yes", "--delay", "1"], standalone_mode=False)
    assert supervised == [(["python", "t.py"], run_dir.path, replace(before, delay_s=1.0))]
    assert Path.cwd() == tmp_path / "project"


def test_defaults_are_those_of_the_guide(supervised: list[tuple[object, ...]]) -> None:
    """10 crashes, 5 seconds, and options of the command are not ours."""
    words = ["--", "python", "t.py", "--max-crashes", "1", "--", "-x"]
    CliRunner().invoke(run, words, standalone_mode=False)
    assert supervised == [(tuple(words[1:]), None, SuperviseOptions())]


def test_the_separator_may_be_left_out(supervised: list[tuple[object, ...]]) -> None:
    """After the first word, everything belongs to the command."""
    words = ["--delay", "1", "python", "t.py", "--delay", "9"]
    CliRunner().invoke(run, words, standalone_mode=False)
    assert supervised[0][0] == ("python", "t.py", "--delay", "9")


def test_help_shows_every_option_and_an_example() -> None:
    """A stranger can start from `--help` alone."""
    text = CliRunner().invoke(run, ["--help"]).output
    for option in ("--run", "--max-crashes", "--window", "--delay", "--backoff", "--grace"):
        assert option in text
    assert "--resume-arg '--resume {path}' -- python train.py" in text
    assert "[OPTIONS] -- COMMAND..." in text


def test_no_command_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2 with an example, and nothing created."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(run, [], standalone_mode=False)
    assert isinstance(result.exception, UsageError)
    assert result.exception.exit_code == 2
    assert "evertrain run -- python train.py" in result.exception.fix
    assert list(tmp_path.iterdir()) == []


def test_wrong_options_are_config_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is started."""
    monkeypatch.chdir(tmp_path)
    words = ["--max-crashes", "-3", "--", "true"]
    result = CliRunner().invoke(run, words, standalone_mode=False)
    assert isinstance(result.exception, ConfigError)
    assert list(tmp_path.iterdir()) == []
