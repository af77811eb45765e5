"""Whether files grow, or are written anew.

A thread looks: on a dead network disk it waits for ever, and nobody waits for it.

Layer: supervise. Imports core only.
"""

import glob
import os
import stat
import threading
from pathlib import Path
from typing import Final

from evertrain.core.clock import Clock

# A look that took long is followed by a pause this many times as long.
_PAUSE: Final = 50.0

# How many files, bytes of all, newest change in nanoseconds.
_Measure = tuple[int, int, int]


class Growth:
    """Watches the files that match a pattern, except what evertrain itself writes.

    Args:
        pattern: Glob, absolute or relative to the working directory.
        besides: Run directory: what lies there does not count.
        clock: Source of the time.
    """

    def __init__(self, pattern: str, besides: Path, *, clock: Clock) -> None:
        """Take note of what is there: that is no growth."""
        self._pattern = str(Path(pattern).expanduser())
        self._besides = str(besides.resolve()) + os.sep
        self._clock = clock
        self._next_s = 0.0
        self._seen: _Measure | None = None
        self._found: _Measure | None = None
        self._look: threading.Thread | None = None
        self._begin()

    def has_grown(self) -> bool:
        """Say whether the last look found more than the one before; begin another if one is due."""
        if self._look is not None and self._look.is_alive():
            return False
        before, self._seen = self._seen, self._found
        if self._clock.monotonic_s() >= self._next_s:
            self._begin()
        is_other = before is not None and self._seen is not None and self._seen != before
        return is_other and self._seen is not None and self._seen[0] > 0

    def wait(self) -> None:
        """Wait for the look that is under way."""
        if self._look is not None:
            self._look.join()

    def _begin(self) -> None:
        self._look = threading.Thread(target=self._measure, name="evertrain-files", daemon=True)
        try:
            self._look.start()
        except RuntimeError:  # no thread to be had: then this time nobody looks
            self._look = None

    def _measure(self) -> None:
        began_s = self._clock.monotonic_s()
        files = [found for name in self._names() if (found := _stat(name)) is not None]
        now_s = self._clock.monotonic_s()
        self._next_s = now_s + _PAUSE * (now_s - began_s)
        self._found = (
            len(files),
            sum(each.st_size for each in files),
            max((each.st_mtime_ns for each in files), default=0),
        )

    def _names(self) -> list[str]:
        found = glob.iglob(self._pattern, recursive=True)  # noqa: PTH207
        return [each for each in found if not _real(each).startswith(self._besides)]


def _real(name: str) -> str:
    try:
        return os.path.realpath(name)
    except OSError:  # a link that is removed just now
        return name


def _stat(name: str) -> os.stat_result | None:
    try:
        found = os.stat(name)  # noqa: PTH116
    except OSError:  # removed meanwhile, or a link to nowhere
        return None
    return found if stat.S_ISREG(found.st_mode) else None
