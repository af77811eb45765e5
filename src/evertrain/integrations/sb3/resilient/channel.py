"""Messages over a socket: whole or not at all, and nobody waits for ever.

Two ends share this class. The worker's blocks, for it has nothing else to do.
The trainer's never blocks: a worker that was stopped in the middle of a message
must not stop the trainer too, so what has arrived is kept until the rest comes.

Layer: integrations. Imports nothing from evertrain.
"""

import pickle
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

import cloudpickle

_HEADER: Final = struct.Struct("!Q")
_CHUNK_BYTES: Final = 1 << 16  # messages below it are received by one call
_JOINED_BYTES: Final = 1 << 12  # below it, joining header and message costs less than two parts

Data = bytes | bytearray | memoryview


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
