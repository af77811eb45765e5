"""Stopping on request: signals set flags, the loop acts at its next boundary.

The first Ctrl+C or SIGTERM asks for a stop at the safe point. The second one
forces: a thread saves what it can within seconds and ends the process.

Layer: run. Imports core only.
"""

import os
import queue
import signal
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, Final

from evertrain.core.errors import EXIT_FORCED, EXIT_STOPPED

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(SystemExit):
    """Raised from the loop's boundary after a stop request was honored.

    A `SystemExit`: nothing after the loop mistakes it for completion, and an
    uncaught one ends the process with exit code 75 (stopped, resumable).
    """

    def __init__(self, step: int, why: str) -> None:
        """Say at which step, and who asked."""
        super().__init__(EXIT_STOPPED)
        self.step = step
        self.why = why

    def __str__(self) -> str:
        """Return one line for people."""
        return f"stopped after step {self.step} ({self.why}); the run can be resumed"


class StopSignals:
    """Turns signals into flags, while installed.

    Args:
        on_force: Called in a thread of its own at the second signal. The
            process ends with exit code 130 when it returns, or after
            `force_limit_s` seconds.
        force_limit_s: Longest time that `on_force` may take, seconds.

    Attributes:
        requested_by: Name of the first signal, or None.
    """

    def __init__(self, on_force: Callable[[], None], *, force_limit_s: float = 10.0) -> None:
        """Install nothing yet."""
        self.requested_by: str | None = None
        self._on_force = on_force
        self._force_limit_s = force_limit_s
        self._forces: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._previous: dict[signal.Signals, Any] = {}

    def install(self) -> bool:
        """Take over SIGINT, SIGTERM and SIGHUP. Off the main thread, do nothing and say so.

        A signal that the starter of the program ignores (nohup) stays ignored.
        """
        if self._previous or threading.current_thread() is not threading.main_thread():
            return False
        for number in SIGNALS:
            if signal.getsignal(number) is signal.SIG_IGN:
                continue
            self._previous[number] = signal.signal(number, self._note)
        threading.Thread(target=self._wait_for_force, name="evertrain-force", daemon=True).start()
        _INSTALLED.append(self)
        return True

    def uninstall(self) -> None:
        """Give the signals back to whoever had them."""
        if self in _INSTALLED:
            _INSTALLED.remove(self)
        if threading.current_thread() is threading.main_thread():
            for number, previous in self._previous.items():
                signal.signal(number, previous)
        self._previous.clear()
        self._forces.put("")

    def ask(self, by: str) -> None:
        """Request a stop without a signal."""
        self.requested_by = self.requested_by or by

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Set flags and return: the handler may run between any two bytecodes."""
        del frame
        if self.requested_by is None:
            self.requested_by = signal.Signals(number).name
        else:
            self._forces.put(signal.Signals(number).name)

    def _wait_for_force(self) -> None:
        if not self._forces.get():  # uninstalled
            return
        saver = threading.Thread(target=self._on_force, name="evertrain-last-save", daemon=True)
        saver.start()
        saver.join(self._force_limit_s)
        os._exit(EXIT_FORCED)


_INSTALLED: Final[list[StopSignals]] = []


_MASKS: Final[list[set[signal.Signals]]] = []


def _hold() -> None:
    """Block the signals while forking: one that arrived too early would be lost in the child."""
    if _INSTALLED:
        _MASKS.append(_as_signals(signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)))


def _let_go() -> None:
    """Undo `_hold`."""
    if _MASKS:
        signal.pthread_sigmask(signal.SIG_SETMASK, _MASKS.pop())


def _restore_in_child() -> None:
    """Give a forked child its own signal handling: it is a worker, not the trainer."""
    for installed in _INSTALLED:
        for number, previous in installed._previous.items():  # noqa: SLF001
            signal.signal(number, previous)
    _INSTALLED.clear()
    _let_go()


def _as_signals(mask: Iterable[int]) -> set[signal.Signals]:
    return {signal.Signals(number) for number in mask}


os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_restore_in_child)
