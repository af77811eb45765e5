"""Whether files grow, or are written anew.

Layer: supervise. Imports core only.
"""

import glob
import os
import stat
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
        self._seen = self._measure()

    def has_grown(self) -> bool:
        """Say whether anything was written since the last look that was due."""
        if self._clock.monotonic_s() < self._next_s:
            return False
        before, self._seen = self._seen, self._measure()
        return self._seen != before and self._seen[0] > 0

    def _measure(self) -> _Measure:
        began_s = self._clock.monotonic_s()
        files = [found for name in self._names() if (found := _stat(name)) is not None]
        now_s = self._clock.monotonic_s()
        self._next_s = now_s + _PAUSE * (now_s - began_s)
        return (
            len(files),
            sum(each.st_size for each in files),
            max((each.st_mtime_ns for each in files), default=0),
        )

    def _names(self) -> list[str]:
        found = glob.iglob(self._pattern, recursive=True)  # noqa: PTH207
        return [each for each in found if not os.path.realpath(each).startswith(self._besides)]


def _stat(name: str) -> os.stat_result | None:
    try:
        found = os.stat(name)  # noqa: PTH116
    except OSError:  # removed meanwhile, or a link to nowhere
        return None
    return found if stat.S_ISREG(found.st_mode) else None
