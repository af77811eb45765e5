"""A signal that writes the stacks of all threads, for whoever has to end a process that hangs.

The handler is faulthandler's: it needs no bytecode, so it works while a library holds the
interpreter. It writes to memory, so that it works while the disk hangs.

Layer: run. Imports core only.
"""

import faulthandler
import os
import signal
import sys
from typing import Final

from evertrain.core.heartbeat import STACKS
from evertrain.core.usage import catches

_CANDIDATES: Final = (signal.SIGUSR1, signal.SIGUSR2)

_INSTALLED: Final[list[tuple[int, int]]] = []


def install() -> tuple[int, int] | None:
    """Take a signal that nobody uses. Safe to call twice.

    Returns:
        The signal, and the descriptor that the stacks are written to; None where every
        signal has a handler or is ignored, or the system has no such files.
    """
    if _INSTALLED and is_ours(_INSTALLED[0][0]):
        return _INSTALLED[0]
    _INSTALLED.clear()
    if sys.platform != "linux":
        return None
    number = next((int(each) for each in _CANDIDATES if _is_free(each)), None)
    if number is None:
        return None
    try:
        handle = os.memfd_create(STACKS)
    except OSError:
        return None
    faulthandler.register(number, file=handle, all_threads=True, chain=False)
    _INSTALLED.append((number, handle))
    return number, handle


def is_ours(number: int) -> bool:
    """Say whether the program has put no handler of its own in place of this one."""
    return signal.getsignal(number) is signal.SIG_DFL and bool(catches(os.getpid(), number))


def _is_free(number: signal.Signals) -> bool:
    """Say whether it would end the process: neither Python nor a library handles it."""
    return signal.getsignal(number) is signal.SIG_DFL and catches(os.getpid(), number) is False
