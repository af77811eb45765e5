"""Messages over a socket: whole or not at all, and nobody waits for ever.

Two ends share this class. The worker's blocks, for it has nothing else to do.
The trainer's never blocks: a worker that was stopped in the middle of a message
must not stop the trainer too, so what has arrived is kept until the rest comes,
and `Patience` says for how long.

Layer: integrations. Imports core only.
"""

import pickle
import select
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

import cloudpickle

from evertrain.core.clock import SYSTEM_CLOCK, Clock

_HEADER: Final = struct.Struct("!Q")
_CHUNK_BYTES: Final = 1 << 16  # messages below it are received by one call
_JOINED_BYTES: Final = 1 << 12  # below it, joining header and message costs less than two parts
_SLICE_S: Final = 0.5
_LAST_LOOK_S: Final = 0.5  # the next piece of an answer that is being sent comes sooner

Data = bytes | bytearray | memoryview


class Patience:
    """How long may still be waited for an answer, or for all answers to one question.

    Only time that this process was awake counts: after Ctrl+Z, or the night that
    a laptop slept, nobody is late. Once nothing is left of it, each further wait is one last
    look: of several that are heard in turn, one may have used up the time of all, and a long
    answer comes in pieces.

    Args:
        limit_s: Seconds, 0 or more.
        clock: Source of the time.

    Attributes:
        limit_s: As given.
        left_s: Seconds that are left of it.
    """

    def __init__(self, limit_s: float, *, clock: Clock = SYSTEM_CLOCK) -> None:
        """Begin with all of it."""
        self.limit_s = limit_s
        self.left_s = limit_s
        self._clock = clock

    @property
    def spent_s(self) -> float:
        """Seconds that were waited so far."""
        return self.limit_s - self.left_s

    def wait(self, poller: "select.poll") -> bool:
        """Wait until `poller` has something. Return False if that took too long."""
        is_used_up = self.left_s <= 0
        while self.left_s > 0:
            slice_s = min(self.left_s, _SLICE_S)
            began_s = self._clock.monotonic_s()
            events = poller.poll(max(1, 1000 * slice_s))
            took_s = self._clock.monotonic_s() - began_s
            self.left_s -= min(took_s, 2 * slice_s)  # more than that, and we slept ourselves
            if events:
                return True
        return is_used_up and bool(poller.poll(1000 * _LAST_LOOK_S))


class Channel:
    """One end of a connection that carries messages.

    Args:
        connection: A connected stream socket; it is closed with the channel.
        blocks: Whether reading and sending wait until they are done.
    """

    def __init__(self, connection: socket.socket, *, blocks: bool) -> None:
        """Read nothing yet."""
        self._socket = connection
        self._flags = 0 if blocks else socket.MSG_DONTWAIT
        self._ahead = b""
        self._body: bytearray | None = None
        self._filled = 0

    def fileno(self) -> int:
        """Return the descriptor, for a poller."""
        return self._socket.fileno()

    def send(self, message: bytes, wait: Callable[[], bool] | None = None) -> None:
        """Send a message, all of it.

        Args:
            message: What `dumps` returned.
            wait: Waits until more can be sent; False gives up. Not needed if it blocks.

        Raises:
            TimeoutError: `wait` gave up. The channel is of no use any more.
            OSError: The other end is gone.
        """
        header = _HEADER.pack(len(message))
        if len(message) < _JOINED_BYTES:
            parts = [memoryview(header + message)]
        else:
            parts = [memoryview(header), memoryview(message)]
        while parts:
            try:
                sent = self._socket.sendmsg(parts, [], self._flags)
            except BlockingIOError:
                if wait is None or not wait():
                    raise TimeoutError from None
                continue
            while parts and sent >= len(parts[0]):
                sent -= len(parts.pop(0))
            if parts:
                parts[0] = parts[0][sent:]

    def read(self) -> Data | None:
        """Return the next message; None if it has not arrived as a whole.

        Raises:
            EOFError: The other end is closed.
            OSError: The other end is gone.
        """
        while True:
            message = self._cut()
            if message is not None:
                return message
            try:
                count = self._receive()
            except BlockingIOError:
                return None
            if count == 0:
                raise EOFError

    def shut(self) -> None:
        """Let the other end read the end, whoever else has inherited this one."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is gone already

    def close(self) -> None:
        """Close this end. Not for one that a fork still shares: see `shut`."""
        self._socket.close()

    def _cut(self) -> Data | None:
        """Take the next whole message out of what was received, or prepare for a long one."""
        if self._body is not None:
            if self._filled < len(self._body):
                return None
            body, self._body = self._body, None
            return body
        if len(self._ahead) < _HEADER.size:
            return None
        (size,) = _HEADER.unpack_from(self._ahead)
        end = _HEADER.size + size
        if len(self._ahead) >= end:
            message = memoryview(self._ahead)[_HEADER.size : end]
            self._ahead = self._ahead[end:]
            return message
        self._body = bytearray(size)
        self._filled = len(self._ahead) - _HEADER.size
        self._body[: self._filled] = self._ahead[_HEADER.size :]
        self._ahead = b""
        return None

    def _receive(self) -> int:
        if self._body is None:
            chunk = self._socket.recv(_CHUNK_BYTES, self._flags)
            self._ahead = self._ahead + chunk if self._ahead else chunk
            return len(chunk)
        rest = memoryview(self._body)[self._filled :]
        count = self._socket.recv_into(rest, 0, self._flags)
        self._filled += count
        return count


def dumps(message: object) -> bytes:
    """Return `message` as bytes; functions without a name go by value.

    Raises:
        Exception: It cannot be pickled, which objects say in many ways.
    """
    try:
        return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    except Exception:  # noqa: BLE001  (whatever an object raises that cannot be pickled)
        data: bytes = cloudpickle.dumps(message)
        return data


def loads(data: Data) -> Any:
    """Return what `dumps` was given. Only for messages of processes that this one started."""
    return pickle.loads(data)  # noqa: S301  (the same program wrote it a moment ago)
