"""Shims that are started before they are needed: a restart need not wait for Python.

Layer: supervise. Imports core only.
"""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from evertrain.core import proc
from evertrain.core.proc import Proc
from evertrain.supervise.screen import Screen
from evertrain.supervise.wire import Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A shim that waits for its order.

    Attributes:
        child: The process.
        wire: What it listens to; it ends when that breaks.
        spare: Which children this process had before it: nothing that it will leave.
    """

    child: "proc.Child"
    wire: Wire
    spare: tuple[Proc, ...]

    @property
    def proc(self) -> Proc:
        """The process, told apart from a later one with its pid."""
        return Proc(self.child.pid, proc.start_time(self.child.pid) or 0)


class Reserve:
    """At most one shim that is already there.

    Args:
        screen: Where it will show what the training prints.
        is_early: Whether to start the next one while an attempt still runs; otherwise the
            pause before the next attempt is time enough.
    """

    def __init__(self, screen: Screen, *, is_early: bool = False) -> None:
        """Start nothing yet."""
        self._screen = screen
        self._is_early = is_early
        self._ready: Ready | None = None

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the one that nobody needs any more. It holds nothing."""
        ready, self._ready = self._ready, None
        if ready is not None:
            ready.wire.close()
            proc.send(ready.proc, signal.SIGKILL)
            ready.child.wait()

    @property
    def waiting(self) -> tuple[Proc, ...]:
        """The one that waits, or nothing."""
        return () if self._ready is None else (self._ready.proc,)

    def on_launch(self) -> None:
        """Use the time in which a training runs, if there will be no other."""
        if self._is_early:
            self.prepare()

    def prepare(self) -> None:
        """Start one that waits, unless there is one, or no process to be had: that can wait."""
        if self._ready is None:
            with suppress(OSError):
                self._ready = self._start()

    def take(self) -> Ready:
        """Return the one that waits, or a new one where there is none, or it died.

        Raises:
            OSError: None can be started.
        """
        ready, self._ready = self._ready, None
        if ready is not None and ready.child.poll() is None:
            return ready
        if ready is not None:
            ready.wire.close()
        return self._start()

    def _start(self) -> Ready:
        spare = tuple(proc.children(os.getpid()))
        mine, theirs = socket.socketpair()
        wire, handle = Wire(mine), theirs.fileno()
        command = [sys.executable, "-P", "-m", "evertrain.supervise.shim", str(handle)]
        stdio = (subprocess.DEVNULL, self._screen.handle, None)
        try:
            child = proc.spawn(command, stdio=stdio, pass_fds=[handle])
        except OSError:
            wire.close()
            raise
        finally:
            theirs.close()
        return Ready(child=child, wire=wire, spare=spare)
