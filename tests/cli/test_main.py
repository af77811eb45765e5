"""The front door: lazy commands, errors with a way out, exit codes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner, Result

from evertrain.cli import main
from evertrain.cli.main import COMMANDS, cli, wants_json
from evertrain.core.errors import LockedError

Invoke = Callable[..., Result]

NAMES = [name for section in COMMANDS.values() for name in section]


def test_help_lists_every_command(invoke: Invoke) -> None:
    """Each has its line, under its section."""
    text = invoke("--help").output

    assert all(f"\n  {name} " in text for name in NAMES)
    assert all(f"\n{section}:\n" in text for section in COMMANDS)
    assert "Example:" in text


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_there(name: str) -> None:
    """The table names modules that exist, and each command's help shows an example."""
    command = cli.get_command(click.Context(cli), name)

    assert command is not None
    assert command.help
    for each in getattr(command, "commands", {"": command}).values():
        text = (each.epilog or "") + (each.help or "")
        assert "xample" in text
        assert f"evertrain {name}" in text


def test_an_unknown_command_has_a_neighbor(invoke: Invoke) -> None:
    """A typo is answered with the command that was meant."""
    assert "Did you mean 'status'?" in invoke("sttaus", code=2).output
    assert "The commands are: train" in invoke("xyzzy", code=2).output


def test_an_error_has_three_parts(invoke: Invoke) -> None:
    """What, why and fix go to stderr; stdout stays empty; the status is the error's."""
    result = invoke("status", "nope", code=10)

    what, why, fix = result.stderr.splitlines()
    assert what.startswith("evertrain: there is no run at 'nope'")
    assert why.startswith("  why: ")
    assert fix == "  fix: List the runs here with: evertrain ls"
    assert result.stdout == ""


def test_an_error_as_json(invoke: Invoke) -> None:
    """With --json the same three parts are fields."""
    result = invoke("status", "nope", "--json", code=10)

    error = json.loads(result.stderr)
    assert error["schema_version"] == 1
    assert error["error"].keys() == {"kind", "exit_code", "what", "why", "fix"}
    assert (error["error"]["kind"], error["error"]["exit_code"]) == ("NotFoundError", 10)
    assert result.stdout == ""


def test_a_usage_error_as_json(invoke: Invoke) -> None:
    """An unknown option has the same form."""
    error = json.loads(invoke("ls", "--bogus", "--json", code=2).stderr)["error"]

    assert error["exit_code"] == 2
    assert error["fix"].endswith(" ls --help")


def test_json_of_the_supervised_command_is_not_ours() -> None:
    """What stands after `--` belongs to the command."""
    assert wants_json(["ls", "--json"])
    assert not wants_json(["run", "--", "train.py", "--json"])


def _command_that(monkeypatch: pytest.MonkeyPatch, error: BaseException | int) -> None:
    @click.command()
    def stub() -> int:
        if isinstance(error, int):
            return error
        raise error

    monkeypatch.setattr(main.Lazy, "get_command", lambda *_: stub)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LockedError("what", "why", "fix"), 11),
        (click.Abort(), 130),
        (KeyboardInterrupt(), 130),
        (click.UsageError("no"), 2),
        (SystemExit(75), 75),
        (3, 3),
        (0, 0),
    ],
)
def test_every_end_has_its_status(
    monkeypatch: pytest.MonkeyPatch, error: BaseException | int, code: int
) -> None:
    """Errors, interruptions and returned codes all become the exit status."""
    _command_that(monkeypatch, error)

    assert CliRunner().invoke(cli, ["ls"]).exit_code == code


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that is no error of ours keeps its traceback."""
    _command_that(monkeypatch, ZeroDivisionError("bug"))
    result = CliRunner().invoke(cli, ["ls"])

    assert isinstance(result.exception, ZeroDivisionError)


def test_a_caller_can_have_the_status_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without standalone mode nothing exits."""
    _command_that(monkeypatch, 3)

    assert cli.main(["ls"], standalone_mode=False) == 3


def test_no_command_shows_the_help(invoke: Invoke) -> None:
    """It is a question, answered, and a usage error to scripts."""
    assert "Usage:" in invoke(code=2).output


@pytest.mark.slow
def test_the_module_is_the_command() -> None:
    """`python -m evertrain` works, as units and virtual environments need it."""
    done = subprocess.run(
        [sys.executable, "-m", "evertrain", "--version"], capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith("evertrain 0.")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["--help", "recipes"])
def test_a_reader_that_leaves_ends_it_quietly(command: str) -> None:
    """`evertrain ... | head -1` says nothing on stderr and ends as by SIGPIPE."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "evertrain", command],
            stdout=nobody,
            stderr=subprocess.PIPE,
            check=False,
        )

    assert (done.stderr, done.returncode) == (b"", 141)


@pytest.mark.slow
def test_streams_that_the_caller_has_closed_are_not_missed() -> None:
    """A timer or a daemon may start it without any: what it does counts, not that it is heard."""
    command = f"{sys.executable} -m evertrain recipes <&- >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False)

    assert (done.stderr, done.returncode) == (b"", 0)
