"""A stage on which `evertrain run` plays as a real process, on a real terminal if wanted."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import textwrap
import threading
import uuid
from pathlib import Path

from evertrain.core import lock
from evertrain.core.journal import Row, read_lines
from evertrain.core.rundir import RunDir
from evertrain.testing.processes import LIMIT_S, living, wait_until

MARK = "EVERTRAIN_TEST_MARK"
# What becomes of a process must not hang on how this machine sets these.
_OWN = frozenset(
    {
        "EVERTRAIN_NOTIFY",
        "EVERTRAIN_RUN",
        "NOTIFY_SOCKET",
        "NO_COLOR",
        "PYTHONFAULTHANDLER",
        "PYTHONUNBUFFERED",
        "PYTHONWARNINGS",
        "SYSTEMD_EXEC_PID",
        "WATCHDOG_USEC",
    }
)

# Run in the new session, before the command takes its place.
_PREPARE = """
import fcntl, os, signal, sys, termios
if os.isatty(1):
    fcntl.ioctl(1, termios.TIOCSCTTY, 0)
if sys.argv[1]:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
os.execv(sys.argv[2], sys.argv[2:])
"""


class Play:
    """One `evertrain run`, and what it shows."""

    def __init__(
        self,
        words: list[str],
        folder: Path,
        mark: str,
        *,
        on_terminal: bool,
        is_read: bool,
        env: dict[str, str],
        ignores_sigint: bool,
    ) -> None:
        """Start it."""
        self.folder = folder
        self.mark = mark
        self.output = bytearray()
        self.is_read = threading.Event()
        if is_read:
            self.is_read.set()
        clean = {key: value for key, value in os.environ.items() if key not in _OWN}
        if on_terminal:
            self.handle, theirs = pty.openpty()
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
        else:
            self.handle, theirs = os.pipe()

        command = [sys.executable, "-P", "-m", "evertrain", "run", *words]
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", _PREPARE, "ignore" if ignores_sigint else "", *command],
            cwd=folder,
            env={**clean, "TERM": "xterm", **env, MARK: mark},
            stdin=theirs if on_terminal else subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            self.is_read.wait()
            ready, _, _ = select.select([self.handle], [], [], 0.1)
            try:
                data = os.read(self.handle, 65536) if ready else None
            except OSError:
                return
            if data == b"":
                return
            self.output += data or b""

    @property
    def text(self) -> str:
        """What was shown so far, with plain line ends."""
        return self.output.decode(errors="replace").replace("\r\n", "\n")

    @property
    def run_dir(self) -> RunDir:
        """The only run of the folder."""
        return RunDir(next((self.folder / "runs").iterdir()))

    def events(self, *names: str) -> list[Row]:
        """Return the journal's events called one of `names`, oldest first."""
        return [row for row in read_lines(self.run_dir.journal).rows if row["event"] in names]

    def wait_for(self, text: str, limit_s: float = LIMIT_S) -> None:
        """Wait until `text` is shown."""
        wait_until(lambda: text in self.text or self.process.poll() is not None, text, limit_s)
        wait_until(lambda: text in self.text, f"{text!r} in {self.text}", 1.0)

    def press_ctrl_c(self) -> None:
        """Do what a person does."""
        os.write(self.handle, b"\x03")

    def resize(self, rows: int, columns: int) -> None:
        """Drag the corner of the window."""
        fcntl.ioctl(self.handle, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, number: signal.Signals) -> None:
        """Signal the supervisor."""
        self.process.send_signal(number)

    def end(self, limit_s: float = LIMIT_S) -> int:
        """Wait for the end. Return the exit code."""
        try:
            code = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"no end: {self.text} {self.orphans()}") from None
        self._reader.join(0.3)
        return code

    def pid_of(self, text: str) -> int:
        """Return the one live process of this play whose command line contains `text`."""
        every = living(self.mark).items()
        found = [pid for pid, words in every if text in words and "evertrain run" not in words]
        assert len(found) == 1, living(self.mark)
        return found[0]

    @property
    def shim(self) -> int:
        """The process that holds the training; another one may stand by for the next."""
        owner = lock.live_owner(self.run_dir.shim_lock)
        assert owner is not None
        return owner.pid

    def orphans(self) -> dict[int, str]:
        """Return what is left of this play."""
        return living(self.mark)


class Stage:
    """Makes scripts and plays in one folder, and clears up behind them."""

    def __init__(self, folder: Path) -> None:
        """Use `folder` for everything."""
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self.plays: list[Play] = []

    wait_until = staticmethod(wait_until)

    def script(self, *parts: str, name: str = "train.py") -> Path:
        """Write a program of `parts`, each indented as it likes."""
        path = self.folder / name
        path.write_text("\n".join(textwrap.dedent(part) for part in parts))
        return path

    def run(
        self,
        *words: str,
        on_terminal: bool = False,
        is_read: bool = True,
        env: dict[str, str] | None = None,
        ignores_sigint: bool = False,
    ) -> Play:
        """Start `evertrain run` with `words`."""
        play = Play(
            list(words),
            self.folder,
            self.mark,
            on_terminal=on_terminal,
            is_read=is_read,
            env=env or {},
            ignores_sigint=ignores_sigint,
        )
        self.plays.append(play)
        return play

    def clear(self) -> None:
        """Kill what a failed test left."""
        for pid in living(self.mark):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for play in self.plays:
            play.process.wait(5)
            play.is_read.set()
            play._reader.join(1)
            os.close(play.handle)
