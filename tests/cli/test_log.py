"""What the attempts wrote."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evertrain.cli.log import followed, last_lines, readable
from evertrain.cli.main import cli
from evertrain.core import lock
from evertrain.core.rundir import RunDir
from evertrain.testing.clock import FakeClock
from runs import new_run

Ask = Callable[..., dict[str, Any]]
Invoke = Callable[..., Any]


@pytest.fixture
def run_dir(place: Path) -> RunDir:
    """Return a run with the logs of two attempts."""
    run_dir = new_run(place / "r")
    run_dir.logs.mkdir()
    run_dir.log(1).write_bytes(b"first\n")
    run_dir.log(2).write_bytes(b"".join(b"line %d\n" % n for n in range(100)))
    return run_dir


@pytest.mark.usefixtures("run_dir")
def test_the_newest_attempt_is_shown(invoke: Invoke) -> None:
    """Its last 40 lines, or as many as asked for."""
    assert invoke("log", "r").output.splitlines() == [f"line {n}" for n in range(60, 100)]
    assert invoke("log", "r", "-n", "2").output == "line 98\nline 99\n"
    assert invoke("log", "r", "--lines", "0").output == ""
    assert invoke("log", "r", "--attempt", "1").output == "first\n"


@pytest.mark.usefixtures("run_dir")
def test_as_json(ask: Ask) -> None:
    """One object with the lines."""
    found = ask("log", "r", "-n", "1")

    assert found == {
        "schema_version": 1,
        "run": "r",
        "attempt": 2,
        "path": "r/logs/attempt-0002.log",
        "lines": ["line 99"],
    }


@pytest.mark.usefixtures("run_dir")
def test_following_as_json(invoke: Invoke) -> None:
    """One object per line, for a stream; of a run that is over it ends at once."""
    (line,) = invoke("log", "r", "-n", "1", "-f", "--json").output.splitlines()

    assert json.loads(line) == {
        "schema_version": 1,
        "type": "line",
        "attempt": 2,
        "text": "line 99",
    }


def test_what_is_not_there(run_dir: RunDir, place: Path, invoke: Invoke) -> None:
    """No run, no log, no such attempt: 10, and what to do."""
    new_run(place / "quiet")

    invoke("log", "nope", code=10)
    assert "only under the supervisor" in invoke("log", "quiet", code=10).stderr
    assert "--attempt 2" in invoke("log", "r", "--attempt", "7", code=10).stderr
    assert run_dir.path.is_dir()


def test_progress_bars_and_escapes(run_dir: RunDir, invoke: Invoke) -> None:
    """Of a bar the last state is shown; off a terminal there are no escape codes."""
    run_dir.log(2).write_bytes(b"10%\r50%\r100%\r\n\x1b[31mred\x1b[0m \xff\nunfinished")

    assert invoke("log", "r").output == "100%\nred \ufffd\nunfinished\n"


@pytest.mark.parametrize(("is_terminal", "shown"), [(True, "\x1b[31mred\x1b[0m"), (False, "red")])
def test_a_terminal_gets_the_colors(
    run_dir: RunDir,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    is_terminal: bool,
    shown: str,
) -> None:
    """What the training colored stays colored for people, and only for them."""
    run_dir.log(2).write_bytes(b"\x1b[31mred\x1b[0m\n")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    cli.main(["log", "r"], standalone_mode=False)

    assert capsys.readouterr().out == f"{shown}\n"


@pytest.mark.parametrize("count", [0, 1, 3, 500, 20_000])
def test_the_end_of_a_huge_file(tmp_path: Path, count: int) -> None:
    """However many lines are asked for, they are the last ones."""
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"line number %d\n" % n for n in range(10_000)))
    lines, end = last_lines(path, count)

    kept = min(count, 10_000)
    assert lines == [f"line number {n}" for n in range(10_000 - kept, 10_000)]
    assert end == path.stat().st_size


def test_an_empty_log(tmp_path: Path) -> None:
    """It has no lines."""
    (tmp_path / "log").write_bytes(b"")

    assert last_lines(tmp_path / "log", 5) == ([], 0)


class Script(FakeClock):
    """A clock that does one thing of a list each time somebody waits on it."""

    def __init__(self, *does: Callable[[], object]) -> None:
        """Take the list."""
        super().__init__()
        self._does = list(does)

    def wait(self, event: Any, timeout_s: float) -> bool:
        """Do the next thing."""
        self._does.pop(0)()
        return super().wait(event, timeout_s)


def _add(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def _end(run_dir: RunDir, lease: lock.Lease) -> None:
    _add(run_dir.log(3), b"done\n")
    lease.release()


def test_following_goes_on_to_the_next_attempt(run_dir: RunDir) -> None:
    """Lines arrive whole, in order, across a restart, until nobody owns the run."""
    lease = lock.take(run_dir.lock)
    clock = Script(
        lambda: _add(run_dir.log(2), b"half "),
        lambda: _add(run_dir.log(2), b"whole\nlast words"),
        lambda: run_dir.log(3).write_bytes(b"born again\n"),
        lambda: _end(run_dir, lease),
    )
    offset = run_dir.log(2).stat().st_size

    found = list(followed(run_dir, 2, offset, stays=False, clock=clock))

    assert found == [(2, "half whole"), (2, "last words"), (3, "born again"), (3, "done")]


def test_following_one_attempt_ends_with_it(run_dir: RunDir) -> None:
    """Asked for attempt 2, the next one is not shown."""
    with lock.take(run_dir.lock):
        clock = Script(lambda: run_dir.log(3).write_bytes(b"other\n"))
        offset = run_dir.log(2).stat().st_size
        assert list(followed(run_dir, 2, offset, stays=True, clock=clock)) == []


def test_following_an_attempt_without_a_log(run_dir: RunDir) -> None:
    """A log that is gone is empty."""
    run_dir.log(2).unlink()
    run_dir.log(1).unlink()

    assert list(followed(run_dir, 5, 0, stays=True)) == []


def test_a_line_is_made_readable() -> None:
    """Carriage returns at the end belong to the terminal."""
    assert readable(b"a\rb\r\r") == "b"
