"""What the attempts wrote."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from evertrain.cli.log import Line, _Printer, followed, readable
from evertrain.cli.main import cli
from evertrain.core import lock
from evertrain.core.rundir import RunDir
from evertrain.supervise.logs.pack import Packer
from evertrain.supervise.logs.writer import LogWriter
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


def _whole(lines: Iterable[Line]) -> list[tuple[int, str]]:
    """Return the lines that have their end."""
    return [(line.attempt, line.text) for line in lines if line.is_whole]


def test_following_goes_on_to_the_next_attempt(run_dir: RunDir) -> None:
    """Lines arrive whole, in order, across a restart, until nobody owns the run."""
    lease = lock.take(run_dir.lock)
    clock = Script(
        lambda: _add(run_dir.log(2), b"half "),
        lambda: _add(run_dir.log(2), b"whole\nlast words"),
        lambda: run_dir.log(3).write_bytes(b"born again\n"),
        lambda: _end(run_dir, lease),
    )
    found = _whole(followed(run_dir, 2, 1, stays=False, clock=clock))

    assert found == [
        (2, "line 99"),
        (2, "half whole"),
        (2, "last words"),
        (3, "born again"),
        (3, "done"),
    ]


def test_following_over_cuts(run_dir: RunDir) -> None:
    """Each line comes once, in order, while the log is cut and packed below the reader."""
    lease = lock.take(run_dir.lock)
    writer = LogWriter(run_dir.log(2), piece_bytes=2000)
    packer = Packer(run_dir.logs, 2)

    def write(first: int, last: int) -> None:
        for number in range(first, last + 1):
            writer.write(b"%d %s\n" % (number, b"." * 50))

    def write_and_pack() -> None:
        write(200, 399)
        packer.work()

    def end() -> None:
        write(400, 400)
        lease.release()

    # Two cuts and more between two looks.
    clock = Script(
        lambda: write(100, 100), lambda: write(101, 199), packer.work, write_and_pack, end
    )

    lines = _whole(followed(run_dir, 2, 0, stays=False, clock=clock))
    found = [text.split()[0] for _, text in lines]

    assert found == [str(number) for number in range(100, 401)]
    assert list(run_dir.logs.glob("*.log.0001.*"))


def test_a_bar_that_draws_is_shown_while_it_does(
    run_dir: RunDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a terminal in its place, and nowhere else."""
    lease = lock.take(run_dir.lock)
    path = run_dir.log(2)

    def end() -> None:
        _add(path, b"\r100%\nbye\n")
        lease.release()

    clock = Script(
        lambda: _add(path, b" 5%"),
        lambda: None,
        lambda: _add(path, b"\r \x1b[31m6%" + b"#" * 300),
        end,
    )
    lines = list(followed(run_dir, 2, 0, stays=False, clock=clock))
    states = [line.text for line in lines if not line.is_whole]
    assert states == [" 5%", " \x1b[31m6%" + "#" * 300]
    assert _whole(lines) == [(2, "100%"), (2, "bye")]

    monkeypatch.setenv("COLUMNS", "20")
    for is_terminal in (True, False):
        monkeypatch.setattr(sys.stdout, "isatty", lambda is_terminal=is_terminal: is_terminal)
        show = _Printer(as_json=False)
        for line in lines:
            show(line)
    shown = " 5%\r\x1b[K 6%" + "#" * 16 + "\r\x1b[K100%\nbye\n"
    assert capsys.readouterr().out == shown + "100%\nbye\n"


def test_a_log_cannot_command_a_terminal(
    run_dir: RunDir, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of what it says, colors stay: no titles, no moving about, nothing that answers."""
    run_dir.log(2).write_bytes(
        b"\x1b]0;title\x07a\x1b[2Jb\x1b[1;32mgreen\x1b[0m\x1b[6n\x1b\x07\tend\n"
    )
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    cli.main(["log", "r"], standalone_mode=False)
    assert capsys.readouterr().out == "ab\x1b[1;32mgreen\x1b[0m??\tend\n"


def test_following_ends_with_the_reader(run_dir: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """`| head` has seen enough while nothing is written: nobody waits for the next line."""
    read, write = os.pipe()
    os.close(read)
    with lock.take(run_dir.lock), os.fdopen(write, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert list(followed(run_dir, 2, 0, stays=False, clock=Script())) == []


def test_a_log_of_many_pieces(run_dir: RunDir, invoke: Invoke) -> None:
    """Lines are read across pieces, packed or not; what was dropped is said."""
    writer = LogWriter(run_dir.log(3), piece_bytes=100)
    for number in range(100):
        writer.write(b"line %d\n" % number)
    Packer(run_dir.logs, 3).work()
    assert len(list(run_dir.logs.glob("attempt-0003.log.*.[gz]*"))) > 3
    assert invoke("log", "r", "-n", "90").output.splitlines() == [
        f"line {number}" for number in range(10, 100)
    ]
    assert invoke("log", "r", "-n", "500").output.splitlines() == [
        f"line {number}" for number in range(100)
    ]

    for each in run_dir.logs.glob("attempt-0003.log.000[23]*"):
        each.unlink()

    text = invoke("log", "r", "-n", "500").output
    assert "[evertrain: piece 2 to 3 of this log was dropped to save room]\n" in text
    assert text.startswith("line 0\n")
    assert text.endswith("line 99\n")


def test_the_shim_that_outlives_its_supervisor_is_followed(run_dir: RunDir) -> None:
    """A training that is still being stopped goes on writing."""
    lease = lock.take(run_dir.shim_lock)

    def end() -> None:
        _add(run_dir.log(2), b"saved\n")
        lease.release()

    clock = Script(end)
    assert _whole(followed(run_dir, 2, 0, stays=False, clock=clock)) == [(2, "saved")]


@pytest.mark.slow
def test_ctrl_c_ends_the_printing(run_dir: RunDir) -> None:
    """Like any program that is interrupted: 130, and no traceback."""
    with lock.take(run_dir.lock):
        command = [sys.executable, "-P", "-m", "evertrain", "log", str(run_dir.path), "-f"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as play:
            assert play.stdout is not None
            assert play.stdout.readline() == b"line 60\n"
            play.send_signal(signal.SIGINT)
            _, errors = play.communicate(timeout=20)
    assert play.returncode == 130
    assert b"Traceback" not in errors


def test_following_one_attempt_ends_with_it(run_dir: RunDir) -> None:
    """Asked for attempt 2, the next one is not shown."""
    with lock.take(run_dir.lock):
        clock = Script(lambda: run_dir.log(3).write_bytes(b"other\n"))
        assert list(followed(run_dir, 2, 0, stays=True, clock=clock)) == []


def test_following_an_attempt_without_a_log(run_dir: RunDir) -> None:
    """A log that is gone is empty."""
    run_dir.log(2).unlink()
    run_dir.log(1).unlink()

    assert list(followed(run_dir, 5, 0, stays=True)) == []


def test_a_line_is_made_readable() -> None:
    """Carriage returns at the end belong to the terminal."""
    assert readable(b"a\rb\r\r") == "b"
