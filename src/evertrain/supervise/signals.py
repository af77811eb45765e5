"""Signals as bytes in a pipe: handlers do nothing else, loops wait for them.

Layer: supervise. Imports core only.
"""

import os
import select
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, Final, Self

from evertrain.supervise.systemd.service import Service

CAUGHT: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH)


class Signals:
    """Catches the signals of people and schedulers while it is entered.

    SIGHUP stays ignored where the starter ignores it (nohup). SIGINT is taken even where it
    is ignored (the background of a script): whoever sends it means it. Off the main thread
    nothing is caught.

    Args:
        service: Whose sign of life each wait gives; None is nobody's.
    """

    def __init__(self, service: Service | None = None) -> None:
        """Catch nothing yet."""
        self.service = service or Service({})
        self._previous: dict[signal.Signals, Any] = {}
        self._read, self._write = -1, -1

    def __enter__(self) -> Self:
        """Install the handlers."""
        self._read, self._write = os.pipe()
        for handle in (self._read, self._write):
            os.set_blocking(handle, False)
        if threading.current_thread() is threading.main_thread():
            for number in CAUGHT:
                is_ignored = signal.getsignal(number) is signal.SIG_IGN
                if number is signal.SIGHUP and is_ignored:
                    continue
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signals back to whoever had them."""
        for number, previous in self._previous.items():
            signal.signal(number, previous)
        self._previous.clear()
        os.close(self._read)
        os.close(self._write)

    def fileno(self) -> int:
        """Return the descriptor that is readable when a signal came."""
        return self._read

    def take(self) -> list[signal.Signals]:
        """Return the signals that came since the last call, oldest first."""
        try:
            return [signal.Signals(each) for each in os.read(self._read, 4096)]
        except BlockingIOError:
            return []

    def wait(self, timeout_s: float | None, others: Sequence[int] = ()) -> set[int]:
        """Return which of `others` are readable, once one is, a signal came, or time is up.

        It may return earlier, with none.
        """
        limits_s = [each for each in (timeout_s, self.service.beat()) if each is not None]
        ready, _, _ = select.select([self._read, *others], [], [], min(limits_s, default=None))
        return set(ready) & set(others)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        with suppress(BlockingIOError):
            os.write(self._write, bytes([number]))
