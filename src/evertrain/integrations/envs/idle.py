"""How long another process has been asleep, without a moment of a processor.

Layer: integrations. Imports core only.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

from evertrain.core.clock import Clock

_STATE: Final = 0  # in /proc/PID/stat, behind the name
_TICKS: Final = slice(11, 13)  # of all its threads, in its own code and in the kernel's


class Sleep:
    """The sleep of one process, looked at now and then. Linux only.

    Args:
        pid: The process, which was not waited for yet.
        clock: Source of the time.
    """

    def __init__(self, pid: int, clock: Clock) -> None:
        """Begin to count."""
        self._place = Path(f"/proc/{pid}")
        self._clock = clock
        self._spent = self._look()
        self._since_s = clock.monotonic_s()

    def seconds(self) -> float:
        """Return for how long every look has found it asleep, with nothing done since the last."""
        spent, now_s = self._look(), self._clock.monotonic_s()
        if spent is None or spent != self._spent:
            self._spent, self._since_s = spent, now_s
        return now_s - self._since_s

    def _look(self) -> tuple[str, ...] | None:
        """Return what it has used of a processor; None while it runs, or waits for one."""
        with suppress(OSError):
            fields = (self._place / "stat").read_text().rpartition(")")[2].split()
            if fields[_STATE] == "S":
                # Nanoseconds of its first thread, where the kernel counts them.
                with suppress(OSError):
                    return (*fields[_TICKS], (self._place / "schedstat").read_text().split()[0])
                return tuple(fields[_TICKS])
        return None
