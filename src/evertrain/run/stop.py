"""Stopping on request: signals set flags, the loop acts at its next boundary.

The first Ctrl+C or SIGTERM asks for a stop at the safe point. The second one
forces: a thread saves what it can within seconds and ends the process.

Layer: run. Imports core only.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, Final

from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.errors import EXIT_FORCED, EXIT_STOPPED

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


# When a signal came, monotonic seconds, and its number.
Seen = tuple[float, int]


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

    Signals are seen twice: by Python's handler, which runs only when the main
    thread executes bytecode, and through the wakeup descriptor, which also
    speaks up while the main thread is deep in a library. The larger count wins.

    The same signal twice forces. So does another one, unless it comes within a
    second of the first: process managers send two at once and mean one stop.

    Args:
        on_force: Called in a thread of its own at the second signal. The
            process ends with exit code 130 when it returns, or after
            `force_limit_s` seconds.
        force_limit_s: Longest time that `on_force` may take, seconds.
        clock: Tells whether two signals came together.

    Attributes:
        requested_by: Name of the first signal, or None.
    """

    def __init__(
        self,
        on_force: Callable[[], None],
        *,
        force_limit_s: float = 10.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Install nothing yet."""
        self.requested_by: str | None = None
        self._on_force = on_force
        self._force_limit_s = force_limit_s
        self._previous: dict[signal.Signals, Any] = {}
        self._handled: list[Seen] = []
        self._woken: list[Seen] = []
        self._clock = clock
        self._pipe: tuple[int, int] | None = None
        self._is_over = False

    def install(self) -> bool:
        """Take over SIGINT, SIGTERM and SIGHUP. Off the main thread, do nothing and say so.

        A signal that the starter of the program ignores (nohup) stays ignored.
        """
        if self._previous or threading.current_thread() is not threading.main_thread():
            return False
        for each in _INSTALLED.copy():  # it gets shorter
            each.end_if_over()
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        self._pipe = reader, writer
        threading.Thread(
            target=self._watch, args=self._pipe, name="evertrain-stop", daemon=True
        ).start()
        other = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        if other >= 0:  # an event loop was here first: leave it what it needs
            signal.set_wakeup_fd(other)
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._note)
        _INSTALLED.append(self)
        return True

    def uninstall(self) -> None:
        """Give the signals back to whoever had them.

        Handlers can only be changed on the main thread. Called on another one, this waits
        for the next signal: the handler, on the main thread, passes it on to its owner.
        """
        self._is_over = True
        if threading.current_thread() is threading.main_thread():
            self._end()

    def end_if_over(self) -> None:
        """Give back now what another thread could not; call on the main thread."""
        if self._is_over:
            self._end()

    def ask(self, by: str) -> None:
        """Request a stop without a signal."""
        self.requested_by = self.requested_by or by

    def leave_to_child(self) -> None:
        """Give the signals back in a forked child, but leave Ctrl+C to the trainer.

        A terminal sends Ctrl+C to the whole group. Data workers that it ended would fail
        the step that the trainer wants to finish, so a child ignores it: it ends with its
        parent, or is told to by SIGTERM.
        """
        took_interrupt = signal.SIGINT in self._previous and not self._is_over
        self._give_back()
        if took_interrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        for handle in self._pipe or ():
            os.close(handle)
        self._pipe = None  # nothing is left here that could be given back once more
        self._previous.clear()

    def _end(self) -> None:
        """Give everything back, and let the watcher go."""
        if self in _INSTALLED:
            _INSTALLED.remove(self)
        self._give_back()
        self._previous.clear()
        if self._pipe is not None:
            os.write(self._pipe[1], _END)
            self._pipe = None

    def give_to(self, number: signal.Signals, owner: Any, *, in_place_of: Any) -> bool:
        """Say whether `in_place_of` is who would get the signal back; then `owner` will."""
        if self._previous.get(number) != in_place_of:
            return False
        self._previous[number] = owner
        return True

    @property
    def wakeup(self) -> int:
        """The descriptor that the interpreter is to write signals to, -1 if there is none."""
        return self._pipe[1] if self._pipe is not None else -1

    def _give_back(self) -> None:
        others = [each for each in _INSTALLED if each is not self]
        for number, previous in self._previous.items():
            # A run that began later goes on, and gives back to our owner in its time.
            if not any(each.give_to(number, previous, in_place_of=self._note) for each in others):
                signal.signal(number, previous)
        if self._pipe is not None:
            found = signal.set_wakeup_fd(-1)
            is_ours = found == self.wakeup
            signal.set_wakeup_fd(next((x.wakeup for x in others), -1) if is_ours else found)

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Count and return: the handler may run between any two bytecodes."""
        del frame
        if self._is_over:
            is_first = self in _INSTALLED  # later ones come from a handler that kept this one
            self._end()
            if is_first:
                signal.raise_signal(signal.Signals(number))
            return
        for each in _INSTALLED.copy():  # of several runs in one process, all are to stop
            each.hear(number)

    def hear(self, number: int) -> None:
        """Take note of a signal; also of one whose handler is that of another run here."""
        if self._is_over:
            return
        self._count(self._handled, number)
        if self._pipe is not None:
            with suppress(OSError):  # full: the watcher has enough to read
                os.write(self._pipe[1], _LOOK)

    def save_last(self) -> None:
        """Save what can be saved, unless the run is over."""
        if not self._is_over:
            self._on_force()

    def _watch(self, reader: int, writer: int) -> None:
        """Read the pipe until the end, which may have come already; at the second signal, force."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # they belong to the main thread
        numbers = {int(number) for number in SIGNALS}
        while True:
            for byte in os.read(reader, 64):
                if byte == _END[0]:
                    os.close(reader)
                    os.close(writer)
                    return
                if byte in numbers and not self._is_over:
                    self._count(self._woken, byte)
            insists = is_forced(self._handled[:]) or is_forced(self._woken)
            if insists and not self._is_over:
                self._force()

    def _count(self, seen: list[Seen], number: int) -> None:
        """Note one signal. A handler may interrupt another one here: only an append is safe."""
        seen.append((self._clock.monotonic_s(), number))
        self.ask(signal.Signals(number).name)

    def _force(self) -> None:
        """Let each run save what it can, side by side, and end the process."""
        with _FORCING:  # never given back: the watcher of another run is to wait here
            savers = [
                threading.Thread(target=each.save_last, name="evertrain-last-save", daemon=True)
                for each in _INSTALLED.copy()
            ]
            until_s = self._clock.monotonic_s() + self._force_limit_s
            try:
                for each in savers:
                    each.start()
                for each in savers:
                    each.join(max(0.0, until_s - self._clock.monotonic_s()))
            finally:  # also where no thread is to be had: somebody insists
                os._exit(EXIT_FORCED)


def is_forced(seen: Sequence[Seen]) -> bool:
    """Say whether somebody insists, and did not just say the same thing in two ways.

    Args:
        seen: Each signal, in any order.
    """
    first_s, first = min(seen, default=(0.0, 0))
    later = sorted(seen)[1:]
    return any(each == first or at_s - first_s >= _TOGETHER_S for at_s, each in later)


_TOGETHER_S: Final = 1.0

# Bytes in the pipe beside the numbers of signals.
_LOOK: Final = b"\x00"
_END: Final = b"\xff"

_INSTALLED: Final[list[StopSignals]] = []
_FORCING: Final = threading.Lock()


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
        installed.leave_to_child()
    _INSTALLED.clear()
    _let_go()


def _as_signals(mask: Iterable[int]) -> set[signal.Signals]:
    return {signal.Signals(number) for number in mask}


os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_restore_in_child)
