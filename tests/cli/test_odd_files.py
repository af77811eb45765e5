"""A run whose files are odd is told cleanly: no command ends with a traceback."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evertrain.cli.main import cli
from evertrain.core import lock, proc
from evertrain.core.errors import EXIT_CONFIG, EXIT_CORRUPT, EXIT_USAGE
from evertrain.core.rundir import RunDir
from runs import tree_of

Invoke = Callable[..., Any]

COMMANDS = [
    ("ls",),
    ("ls", "trading"),
    ("show", "trading"),
    ("show", "trading@latest"),
    ("status", "trading"),
    ("log", "trading"),
    ("verify", "trading"),
    ("resume", "trading"),
    ("config", "check", "runs/trading/run.json"),
]
PLACES = [
    "run.json",
    "journal.jsonl",
    "metrics.jsonl",
    "lock",
    "heartbeat",
    "checkpoints",
    "checkpoints/index.json",
    "checkpoints/000000030/manifest.json",
    "checkpoints/000000030/metadata.json",
    "checkpoints/pins",
    "logs",
    "inbox",
    "crashes",
]
KINDS: dict[str, Callable[[Path], object]] = {
    "directory": lambda path: path.mkdir(),
    "dangling": lambda path: path.symlink_to("nowhere/at/all"),
    "loop": lambda path: path.symlink_to(path.name),
    "file": lambda path: path.write_text("?"),
    "fifo": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
}
CLEAN = {0, 1, 2, 3, 10, 12, 78}


def ended(*command: str) -> int:
    """Run a command and return its exit code, if it ended as commands do."""
    result = CliRunner().invoke(cli, list(command))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in CLEAN, result.output
    return result.exit_code


def put(path: Path, kind: str) -> None:
    """Put something else where `path` is."""
    if path.exists():
        path.rename(path.with_name(".away"))
    KINDS[kind](path)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "device"])
@pytest.mark.parametrize("name", PLACES)
def test_whatever_stands_in_a_run_no_command_breaks(
    trading: RunDir, name: str, kind: str, command: tuple[str, ...]
) -> None:
    """Each command says what is wrong, or makes do; it touches nothing, and waits for nobody."""
    if command[0] == "config" and kind == "fifo":
        pytest.skip("whoever names a pipe as the configuration wants it read: <(generate)")
    put(trading.path / name, kind)
    before = tree_of(trading.path)

    ended(*command)

    assert tree_of(trading.path) == before


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("run.json", "directory", EXIT_CONFIG),
        ("run.json", "loop", EXIT_CONFIG),
        ("run.json", "dangling", EXIT_CORRUPT),
        ("run.json", "file", EXIT_CORRUPT),
        ("run.json", "fifo", EXIT_CONFIG),
        ("run.json", "device", EXIT_CONFIG),
        ("journal.jsonl", "fifo", EXIT_CONFIG),
        ("journal.jsonl", "directory", EXIT_CONFIG),
        ("journal.jsonl", "loop", EXIT_CONFIG),
        ("checkpoints", "loop", EXIT_CONFIG),
    ],
)
def test_what_hides_a_run_is_no_empty_run(
    trading: RunDir, invoke: Invoke, name: str, kind: str, code: int
) -> None:
    """What cannot be read must not pass for nothing: the file is named, and the code says why."""
    put(trading.path / name, kind)

    assert name in invoke("status", "trading", code=code).stderr


@pytest.mark.parametrize("kind", ["loop", "fifo"])
def test_one_odd_run_does_not_hide_the_others(trading: RunDir, invoke: Invoke, kind: str) -> None:
    """The listing goes on behind it, and its exit code says that something was skipped."""
    put(trading.journal, kind)
    other = trading.path.with_name("other")
    other.mkdir()
    (other / "run.json").write_text('{"format": 1, "id": "x", "created_at": "now"}')

    found = json.loads(invoke("ls", "--json", code=3).stdout)["runs"]

    assert [each["state"] for each in found] == ["new", "unreadable"]


@pytest.mark.parametrize("text", ["[]", "3", '"x"', "null", "{}", '{"format": 1, "id": 5}'])
@pytest.mark.parametrize("name", ["run.json", "lock", "supervisor.lock"])
def test_json_of_an_odd_type_breaks_no_command(trading: RunDir, name: str, text: str) -> None:
    """Whatever JSON somebody has put there."""
    (trading.path / name).write_text(text)

    for command in COMMANDS:
        ended(*command)


@pytest.mark.parametrize("odd", [None, [], {}, "x", -1, 2.5, True, 10**400], ids=repr)
def test_fields_of_an_odd_type_break_no_command(trading: RunDir, odd: object) -> None:
    """Of the lease of a process that lives here, and of every event."""
    me = os.getpid()
    owner = {"pid": me, "start_time": proc.start_time(me), "boot_id": proc.boot_id()}
    owner |= {"host": proc.host(), "attempt": 1, "since": "now"}
    events = [json.loads(line) for line in trading.journal.read_text().splitlines()]
    for name in owner:
        trading.lock.write_text(json.dumps(owner | {name: odd}))
        assert {ended(*command) for command in COMMANDS} <= CLEAN
    trading.lock.unlink()
    for name in ("attempt", "step", "total", "time", "event", "pid", "host", "why", "seconds"):
        rows = [event | {name: odd} for event in events]
        trading.journal.write_text("\n".join(map(json.dumps, rows)) + "\n")
        assert {ended(*command) for command in COMMANDS} <= CLEAN
    assert lock.read_owner(trading.lock) is None


@pytest.fixture
def forbidden(trading: RunDir) -> Iterator[Callable[[str], None]]:
    """Return what takes all permissions from a file of the run; they are given back."""
    taken: list[tuple[Path, int]] = []

    def take(name: str) -> None:
        path = trading.path / name
        taken.append((path, path.stat().st_mode))
        path.chmod(0)

    yield take
    for path, mode in taken:
        path.chmod(mode)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["run.json", "journal.jsonl", "checkpoints", ""])
def test_what_may_not_be_read_is_told(
    trading: RunDir, forbidden: Callable[[str], None], name: str
) -> None:
    """A run of another user is no traceback, and no empty run."""
    forbidden(name)

    for command in COMMANDS:
        ended(*command)
    assert ended("status", "trading") != 0


@pytest.mark.parametrize("where", ["²", "٣", "9" * 30, ""])
@pytest.mark.parametrize(
    "command", [("run", "--resume"), ("train", "structure", "--resume"), ("resume", "t", "--from")]
)
def test_digits_that_are_no_number_start_nothing(
    place: Path, invoke: Invoke, command: tuple[str, ...], where: str
) -> None:
    """A step is typed in the digits 0 to 9; anything else is refused before a run exists."""
    more = ("--", "true") if command[0] == "run" else ()

    assert "Invalid value" in invoke(*command, where, *more, code=EXIT_USAGE).stderr
    assert list(place.iterdir()) == []


def test_such_digits_name_no_checkpoint(trading: RunDir, invoke: Invoke) -> None:
    """RUN@² is a wrong name, and no crash."""
    assert "names no checkpoint" in invoke("show", "trading@²", code=EXIT_USAGE).stderr
