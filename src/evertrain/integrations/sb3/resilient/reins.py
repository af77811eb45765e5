"""The trainer's hold on one keeper.

Layer: integrations. Imports its siblings and core.
"""

import os
import select
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from multiprocessing.context import BaseContext
from typing import Any, Final

from evertrain.core import proc
from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.patience import Patience
from evertrain.integrations.sb3.resilient.channel import Channel, dumps, loads
from evertrain.integrations.sb3.resilient.keeper import END, START, Lines, keep
from evertrain.integrations.sb3.resilient.restart import Ended
from evertrain.integrations.sb3.resilient.worker import Birth, Source

_TIDY_S: Final = 15.0  # stacks, the kill of a tree, and a busy machine


class Reins:
    """Starts a keeper, and workers through it.

    Args:
        context: How processes are started.
        source: Where environments come from.
        others: Sockets of this process that a forked keeper must not keep open.
        clock: Source of the time.

    Attributes:
        process: The keeper.
    """

    def __init__(
        self,
        context: BaseContext,
        source: Source,
        others: Iterable[socket.socket],
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Start the keeper; it has no worker yet."""
        self._clock = clock
        control, their_control = socket.socketpair()
        handover, their_handover = socket.socketpair()
        self.sockets = (control, handover)
        for each in self.sockets:
            each.settimeout(None)
        is_fork = context.get_start_method() == "fork"
        inherited = (*others, *self.sockets) if is_fork else ()
        me = proc.Proc(os.getpid(), proc.start_time(os.getpid()) or 0)
        lines = Lines(their_control, their_handover)
        given = (lines, source if is_fork else source.packed(), me, inherited)
        made: Any = context
        self.process = made.Process(target=keep, args=given, daemon=True)
        self.process.start()
        their_control.close()
        their_handover.close()
        self._control = Channel(control, blocks=False)
        self._poller = select.poll()
        self._poller.register(control.fileno(), select.POLLIN)
        pid = self.process.pid or 0
        self._keeper = proc.Proc(pid, proc.start_time(pid) or 0)
        self._worker: proc.Proc | None = None
        self._end: Ended | None = None
        self._is_cut = False

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when the worker, or the keeper, has ended."""
        return self._control.fileno()

    def start(self, birth: Birth) -> socket.socket:
        """Start a worker. Return the connection to it; it is not yet built.

        Raises:
            OSError: The keeper is gone.
        """
        mine, theirs = socket.socketpair()
        mine.settimeout(None)
        try:
            socket.send_fds(self.sockets[1], [b"w"], [theirs.fileno()])
            self._control.send(dumps((START, birth)), lambda: True)
        except OSError:
            mine.close()
            raise
        finally:
            theirs.close()
        self._worker = self._end = None
        return mine

    def meet(self) -> None:
        """Hear who the worker is, of which the first answer may come before the keeper's word."""
        if self._worker is None:
            self._listen(_TIDY_S, lambda: self.has_ended() or self._worker is not None)

    def order_end(self, grace_s: float, *, is_hung: bool) -> None:
        """Let the worker end within some seconds; then it is killed.

        Without a keeper it is killed at once: what it has started can only be told while it
        is there.
        """
        if self.has_ended() and self._worker is not None:
            proc.kill_tree(self._worker)
        with suppress(OSError):
            self._control.send(dumps((END, grace_s, is_hung)), lambda: False)

    def has_ended(self) -> bool:
        """Hear what the keeper has told. Say whether the worker has ended, or the keeper has."""
        while self._end is None and not self._is_cut:
            try:
                message = self._control.read()
            except (EOFError, OSError):
                self._is_cut = True
                break
            if message is None:
                return False
            news = loads(message)
            if isinstance(news, Ended):
                self._worker, self._end = None, news
            else:
                self._worker = news
        return True

    def ended(self, grace_s: float) -> Ended | None:
        """Wait for the worker's end, and that of all that it started.

        Returns:
            How it ended; None if the keeper is gone or does not answer, and had to be killed.
        """
        self._listen(grace_s + _TIDY_S, self.has_ended)
        if self._end is None:
            self.kill()
        return self._end

    def _listen(self, limit_s: float, is_enough: Callable[[], bool]) -> None:
        patience = Patience(limit_s, clock=self._clock)
        while not is_enough():
            if not patience.wait(self._poller):
                return

    def kill(self) -> None:
        """End the keeper and all below it, whether it answers or not."""
        self.has_ended()
        if self.process.is_alive():
            proc.kill_tree(self._keeper)
        if self._worker is not None:  # a keeper that was killed left it behind
            proc.kill_tree(self._worker)
        self.close()

    def close(self) -> None:
        """Let the keeper go: it ends what is left of its worker, and itself."""
        for each in self.sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def join(self, timeout_s: float) -> None:
        """Wait until the keeper is gone; one that does not go is killed."""
        self.process.join(timeout_s)
        if self.process.is_alive():
            self.kill()
            self.process.join(timeout_s)
