"""Where the training writes, and who reads that: log and screen.

Layer: supervise. Imports core only.
"""

import errno
import fcntl
import os
import select
import struct
import termios
from collections.abc import Callable

from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.supervise.logs.writer import LogWriter
from evertrain.supervise.screen import Screen


class Output:
    """Where the training writes: to a terminal of its own, or to a pipe.

    Everything goes to the log first, and then to the screen as far as that keeps up.

    Args:
        size: Rows and columns of the terminal, or None for a pipe.
        log: What keeps it.
        screen: Where people look: they get every byte.

    Attributes:
        reader: Who else wants to read it, or None.
    """

    def __init__(self, size: tuple[int, int] | None, log: LogWriter, screen: Screen) -> None:
        """Open the terminal or the pipe."""
        self.seen_bytes = 0
        self.reader: Callable[[bytes], None] | None = None
        self.log = log
        self._screen = screen
        self.is_terminal = size is not None
        if size is None:
            self.handle, self.theirs = os.pipe()
        else:
            self.handle, self.theirs = os.openpty()
            _pass_bytes_through(self.theirs)
            self.resize(*size)
        os.set_blocking(self.handle, False)

    @property
    def terminal(self) -> str | None:
        """Path of the terminal, or None for a pipe."""
        return os.ttyname(self.theirs) if self.is_terminal else None

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal a new size; the training hears of it by SIGWINCH."""
        if self.is_terminal:
            fcntl.ioctl(self.handle, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def pump(self) -> bool:
        """Pass on what is there, without waiting. Say whether more may come."""
        try:
            data = os.read(self.handle, 65536)
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno != errno.EIO:  # EIO: nobody has the terminal open any more
                raise
            return False
        self.seen_bytes += len(data)
        self.log.write(data)
        self._screen.write(data)
        if self.reader is not None:
            self.reader(data)
        return bool(data)

    def say(self, text: str) -> None:
        """Show a line of our own between those of the training."""
        self._screen.say()
        self._screen.say(f"evertrain: {text}", "yellow")

    def drain(self, limit_s: float = 2.0, *, clock: Clock = SYSTEM_CLOCK) -> None:
        """Pass on what is left once the training is gone, and close."""
        os.close(self.theirs)
        deadline_s = clock.monotonic_s() + limit_s
        while clock.monotonic_s() < deadline_s:
            select.select([self.handle], [], [], 0.1)
            if not self.pump():
                break
        os.close(self.handle)
        self.log.close()
        self._screen.flush()


def _pass_bytes_through(terminal: int) -> None:
    """Let the log hold what the training wrote: the person's terminal adds carriage returns."""
    settings = termios.tcgetattr(terminal)
    settings[1] &= ~termios.OPOST
    settings[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG)
    termios.tcsetattr(terminal, termios.TCSANOW, settings)
