"""A worker as the trainer sees it: it answers in time, or is lost.

Layer: integrations. Imports its siblings and core.
"""

import select
import socket
from collections.abc import Callable, Iterable
from multiprocessing.context import BaseContext
from typing import Any, Final

from evertrain.core.clock import SYSTEM_CLOCK, Clock, human_duration
from evertrain.core.patience import Patience
from evertrain.integrations.sb3.resilient.channel import Channel, Data, loads
from evertrain.integrations.sb3.resilient.reins import Reins
from evertrain.integrations.sb3.resilient.restart import Cause, Ended, Failure, Phase
from evertrain.integrations.sb3.resilient.worker import DIED, Birth, Source

UNKNOWN: Final = Ended()


class LostError(Exception):
    """The worker died, or hangs. It is still to be buried."""

    def __init__(self, failure: Failure) -> None:
        """Say how."""
        super().__init__(failure.message)
        self.failure = failure


class Remote:
    """The connection to one worker after the other.

    Args:
        context: How processes are started.
        source: Where environments come from.
        others: Returns the sockets that a forked keeper must not keep open.
        clock: Source of the time.
    """

    def __init__(
        self,
        context: BaseContext,
        source: Source,
        others: Callable[[], Iterable[socket.socket]],
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Start the keeper."""
        self._context = context
        self._source = source
        self._others = others
        self._clock = clock
        self._line: socket.socket | None = None
        self._channel: Channel | None = None
        self._readable = self._writable = select.poll()
        self._reins: Reins | None = self._new_reins()

    @property
    def process(self) -> Any:
        """The keeper's process, None while there is none."""
        return self._reins.process if self._reins is not None else None

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """Every socket of the trainer that leads to this worker."""
        own = (self._line,) if self._line is not None else ()
        return (*own, *(self._reins.sockets if self._reins is not None else ()))

    def start(self, birth: Birth) -> None:
        """Start a worker. Its first answer comes when the environment is built."""
        if self._reins is None:
            self._reins = self._new_reins()
        try:
            self._line = self._reins.start(birth)
        except OSError:  # the keeper was killed
            self._reins.kill()
            self._reins = self._new_reins()
            self._line = self._reins.start(birth)
        self._channel = Channel(self._line, blocks=False)
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(self._line.fileno(), select.POLLIN)
        self._readable.register(self._reins.fileno(), select.POLLIN)
        self._writable.register(self._line.fileno(), select.POLLOUT)

    def ask(self, message: bytes, patience: Patience) -> None:
        """Give an order.

        Raises:
            LostError: There is nobody to give it to.
        """
        if self._channel is None:
            raise LostError(Failure("idle", "signal"))
        try:
            self._channel.send(message, lambda: patience.wait(self._writable))
        except TimeoutError:
            raise LostError(_hung("idle", patience)) from None
        except OSError:
            raise LostError(Failure("idle", "signal")) from None

    def answer(self, phase: Phase, patience: Patience) -> Any:
        """Return the next answer, without its first member, which is `OK` or `RAISED`.

        Raises:
            LostError: The worker is gone, has told of its end, or is late.
        """
        data = self._read(phase, patience)
        if self._reins is not None:
            self._reins.meet()
        try:
            answer = loads(data)
        except Exception as error:
            what = f"its answer cannot be read here: {type(error).__name__}: {error}"
            raise LostError(Failure(phase, "exception", what)) from error
        if answer[0] == DIED:
            line, traceback, is_exit = answer[1:]
            cause: Cause = "exit" if is_exit else "exception"
            raise LostError(Failure(phase, cause, line, traceback))
        return answer

    def condemn(self, failure: Failure, close_s: float) -> None:
        """Give a lost worker up: one that raised may close its environment, others are killed."""
        if self._reins is not None:
            grace_s = close_s if failure.cause in {"exception", "exit"} else 0.0
            self._reins.order_end(grace_s, is_hung=failure.cause == "hang")
        self._hang_up()

    def bury(self, close_s: float) -> Ended:
        """Wait until the worker that was condemned is gone, with all that it started."""
        ended = self._reins.ended(close_s) if self._reins is not None else None
        if ended is None:
            self._reins = None
        return ended or UNKNOWN

    def let_go(self, close_s: float) -> None:
        """Let the environment close itself within that time. See `bury`, then `leave`."""
        if self._reins is not None:
            self._reins.order_end(close_s, is_hung=False)
        self._hang_up()

    def leave(self, timeout_s: float) -> None:
        """End the keeper too."""
        if self._reins is not None:
            self._reins.close()
            self._reins.join(timeout_s)

    def _read(self, phase: Phase, patience: Patience) -> Data:
        if self._channel is None or self._reins is None:
            raise LostError(Failure("idle", "signal"))
        is_over = False
        while True:
            try:
                data = self._channel.read()
            except (EOFError, OSError):
                raise LostError(Failure(phase, "signal")) from None
            if data is not None:
                return data
            if is_over:  # what it had sent before it died was read first
                raise LostError(Failure(phase, "signal"))
            if not patience.wait(self._readable):
                raise LostError(_hung(phase, patience))
            is_over = self._reins.has_ended()

    def _hang_up(self) -> None:
        if self._channel is not None:
            self._channel.shut()
            self._channel.close()
        self._channel = self._line = None

    def _new_reins(self) -> Reins:
        return Reins(self._context, self._source, self._others(), clock=self._clock)


def _hung(phase: Phase, patience: Patience) -> Failure:
    return Failure(phase, "hang", f"no answer for {human_duration(patience.limit_s)}")
