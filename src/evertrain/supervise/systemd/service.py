"""What systemd is told: ready, how it goes, alive, stopping. Without libsystemd.

One datagram says all that is true, and each beat says it again: what a full socket loses is
made up for, and a missing or dead one delays nothing. `Signals.wait` beats, through which
every wait of the supervisor's main loop goes: if that loop stands still, systemd hears it.

Layer: supervise. Imports core only.
"""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.heartbeat import read_beat
from evertrain.core.printable import printable

# What a supervised command must not inherit: it is not the service.
OURS: Final = frozenset({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})

_EVERY_S: Final = 30.0
_STOPPING_EVERY_S: Final = 5.0
# How long the rest of a stop may take between two beats, seconds: sweeping, the last table.
_EXTENSION_S: Final = 60.0


class Service:
    """This process as a service; of nobody where systemd has not started it.

    Args:
        environ: May name the socket, and how often systemd wants a sign of life.
        heartbeat: Where the trainer says its step, or None.
        clock: Source of the time.
    """

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        *,
        heartbeat: Path | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Tell nothing yet."""
        self._address = _address(environ.get("NOTIFY_SOCKET", "")) if _is_main(environ) else None
        self._heartbeat = heartbeat
        self._clock = clock
        self._watchdog_s = _watchdog_s(environ)
        self._state: str | None = None
        self._text = ""
        self._next_s = float("-inf")

    def ready(self) -> None:
        """Say that the supervisor runs; whether the training does is another question."""
        self._state = "READY=1"
        self.say("starting")

    def say(self, text: str) -> None:
        """Say in a line how it goes, as `systemctl status` shows it."""
        self._text = printable(text)
        self._next_s = float("-inf")
        self.beat()

    def stopping(self) -> None:
        """Say that it stops, and ask for patience with each beat from now on."""
        if self._state is None or self._state.startswith("STOPPING"):
            return
        self._state = f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int(_EXTENSION_S * 1e6)}"
        self.say(f"stopping: {self._text}")

    def beat(self) -> float | None:
        """Give a sign of life if one is due.

        Returns:
            Seconds until the next one is; None if nobody waits for any.
        """
        if self._address is None or self._state is None:
            return None
        now_s = self._clock.monotonic_s()
        if now_s >= self._next_s:
            self._next_s = now_s + self._every_s()
            self._send()
        return self._next_s - now_s

    def _every_s(self) -> float:
        every_s = _EVERY_S if self._watchdog_s is None else min(_EVERY_S, self._watchdog_s / 3)
        return every_s if self._state == "READY=1" else min(every_s, _STOPPING_EVERY_S)

    def _send(self) -> None:
        lines = [self._state or "", f"STATUS={self._text}{self._step()}"]
        if self._watchdog_s is not None:
            lines.append("WATCHDOG=1")
        data = "\n".join(lines).encode(errors="replace")
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        with suppress(OSError), socket.socket(socket.AF_UNIX, kind) as sender:
            sender.sendto(data, self._address or "")

    def _step(self) -> str:
        beat = read_beat(self._heartbeat) if self._heartbeat is not None else None
        return "" if beat is None or beat.step < 0 else f", step {beat.step:,}"


def _is_main(environ: Mapping[str, str]) -> bool:
    """Say whether systemd started this process, not one above it, such as a notebook's server.

    To say STOPPING=1 for another service would end that.
    """
    return environ.get("SYSTEMD_EXEC_PID") in {None, str(os.getpid())}


def _address(name: str) -> str | None:
    """Return where the socket is; "@" stands for an abstract one. None where we cannot send."""
    if name.startswith("@") and len(name) > 1:
        return "\0" + name[1:]
    return name if name.startswith("/") else None


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """Return within which time systemd wants a sign of life of this very process, or None."""
    text, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID")
    is_wanted = text.isascii() and text.isdecimal() and pid in {None, str(os.getpid())}
    return int(text) / 1e6 or None if is_wanted else None
