"""The stacks of a training that hangs: asked for by signal, read from its memory, compared.

Only where its heartbeat says that a handler is there, and the system agrees: the signal
would kill a process without one.

Layer: supervise. Imports core only.
"""

import re
import signal
from pathlib import Path
from typing import Final

from evertrain.core import proc
from evertrain.core.heartbeat import STACKS, Beat
from evertrain.core.proc import Proc
from evertrain.core.regular import open_regular
from evertrain.core.usage import catches

_MAX_BYTES: Final = 64 * 1024
_THREAD: Final = re.compile(
    r"^(?:Current thread|Thread) (0x[0-9a-f]+)[^\n]*\n((?:  File [^\n]*\n?)*)", re.MULTILINE
)
_FRAME: Final = re.compile(r'File "([^"]*)", line (\d+) in (.*)')


class Stacks:
    """Asks one trainer for its stacks, and reads what it writes.

    Args:
        beat: Its newest beat.
        trainer: Who it is; it must be a process of our own tree.
    """

    def __init__(self, beat: Beat, trainer: Proc) -> None:
        """Ask for nothing yet."""
        self._number, self._handle = beat.stacks or (0, 0)
        self._trainer = trainer
        self._read_bytes = _size(self._path)

    @property
    def _path(self) -> Path:
        return Path(f"/proc/{self._trainer.pid}/fd/{self._handle}")

    def ask(self) -> bool:
        """Have it write the stacks of all threads. Say whether it can be asked."""
        if not self._number or not self._is_ready():
            return False
        return proc.send(self._trainer, signal.Signals(self._number))

    def read(self) -> str:
        """Return what it has written since the last read, "" if nothing."""
        try:
            with open_regular(self._path) as file:
                file.seek(self._read_bytes)
                data = file.read(_MAX_BYTES)
        except OSError:  # it has ended
            return ""
        self._read_bytes += len(data)
        return data.decode(errors="replace").strip()

    def _is_ready(self) -> bool:
        """Say whether the handler is still there: an exec, or a program, may have taken it."""
        try:
            target = str(self._path.readlink())
            signal.Signals(self._number)
        except (OSError, ValueError):
            return False
        return STACKS in target and catches(self._trainer.pid, self._number) is True


def difference(first: str, second: str) -> list[str]:
    """Return what the threads did between two dumps, a line for each. Pure."""
    before, after = _threads(first), _threads(second)
    found: list[str] = []
    for name, frames in after.items():
        there = frames[0] if frames else "no Python function"
        if name not in before:
            found.append(f"thread {name}: new, in {there}")
        elif before[name] == frames:
            found.append(f"thread {name}: did not move, in {there}")
        else:
            was = before[name][0] if before[name] else "no Python function"
            found.append(f"thread {name}: moved, from {was} to {there}")
    return found + [f"thread {name}: ended" for name in before if name not in after]


def _threads(dump: str) -> dict[str, tuple[str, ...]]:
    """Return the frames of each thread, innermost first."""
    return {
        name: tuple(_named(line) for line in body.splitlines())
        for name, body in _THREAD.findall(dump + "\n")
    }


def _named(line: str) -> str:
    found = _FRAME.search(line)
    return f"{found[3]} ({Path(found[1]).name}:{found[2]})" if found else line.strip()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
