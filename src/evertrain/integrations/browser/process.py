"""A process that drives a browser: asked with a deadline, and ended with all below it.

Playwright has no time limit that holds: where a page's process is stopped, or its script
never returns, its calls wait for ever. So it runs in a process of its own, and whoever asks
that process waits as long as is reasonable, then kills it: no call is left to come back.

Layer: integrations. Imports its siblings and core.
"""

import json
import os
import select
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from evertrain.core import proc
from evertrain.core.clock import SYSTEM_CLOCK, Clock, human_duration
from evertrain.core.document import CARD_BYTES
from evertrain.core.patience import Patience
from evertrain.integrations.browser.scratch import make_scratch, remove

_CHUNK_BYTES: Final = 1 << 16


class GameLostError(Exception):
    """The game is gone: its browser crashed, hung, or never started. The text says which."""


class HostProcess:
    """One host, and the line to it.

    It has a session of its own, so Ctrl+C reaches only the trainer, and a directory of its
    own for all that a browser leaves lying about.

    Args:
        program: Command of the host; the descriptor of its end of the line, pid and start of
            its trainer, and its directory are added.
        clock: Source of the time.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self, program: Sequence[str], *, clock: Clock = SYSTEM_CLOCK) -> None:
        """Start it; it has not been heard of yet."""
        self._clock = clock
        self._ahead = b""
        self._below: list[proc.Proc] = []
        self._scratch = make_scratch()
        self._socket, theirs = socket.socketpair()
        try:
            self._child = proc.spawn(
                [*program, *self._arguments(theirs.fileno())],
                env={**os.environ, "TMPDIR": str(self._scratch)},
                stdio=(subprocess.DEVNULL, subprocess.DEVNULL, None),
                pass_fds=[theirs.fileno()],
            )
        except OSError:
            self._socket.close()
            remove(self._scratch)
            raise
        finally:
            theirs.close()
        self.process = proc.Proc(self._child.pid, proc.start_time(self._child.pid) or 0)
        # Its end is watched, too: a program that it left may hold its end of the line open.
        self._life = os.pidfd_open(self._child.pid)
        self._line, self._line_or_life = select.poll(), select.poll()
        self._line.register(self._socket, select.POLLIN)
        self._line_or_life.register(self._socket, select.POLLIN)
        self._line_or_life.register(self._life, select.POLLIN)

    def ask(self, order: Mapping[str, Any], limit_s: float) -> bytes:
        """Return the answer to an order: one line.

        Args:
            order: Plain data.
            limit_s: Longest time to wait for it, seconds that this process is awake.

        Raises:
            GameLostError: There is no answer in time, or nobody to give one.
        """
        patience = Patience(limit_s, clock=self._clock)
        try:
            self._socket.settimeout(limit_s)
            self._socket.sendall(json.dumps(order).encode() + b"\n")
            while b"\n" not in self._ahead:
                if not patience.wait(self._line_or_life):
                    raise GameLostError(f"no answer for {human_duration(limit_s)}")
                self._receive()
        except OSError as error:
            raise GameLostError(f"the line to its browser is cut ({error})") from error
        line, _, self._ahead = self._ahead.partition(b"\n")
        return line

    def remember(self) -> None:
        """Take note of all that runs below: it is ended too, even if the host dies first."""
        self._below = proc.descendants(self.process.pid)

    def end(self, grace_s: float) -> None:
        """End the host and all below it.

        Args:
            grace_s: Seconds that it may take to close its browser; then it is killed.
        """
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        os.close(self._life)
        proc.wait_gone([self.process], grace_s, clock=self._clock)
        proc.kill_trees([self.process, *self._below], clock=self._clock)
        self._child.wait()
        remove(self._scratch)

    def _arguments(self, handle: int) -> list[str]:
        me = os.getpid()
        return [str(handle), str(me), str(proc.start_time(me) or 0), str(self._scratch)]

    def _receive(self) -> None:
        chunk = self._socket.recv(_CHUNK_BYTES) if self._line.poll(0) else b""
        if not chunk:
            raise GameLostError("the process of its browser is gone")
        self._ahead += chunk
        if len(self._ahead) > CARD_BYTES:
            raise GameLostError(f"its answer is longer than {CARD_BYTES} bytes")
