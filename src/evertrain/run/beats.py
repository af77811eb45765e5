"""What a run tells its watcher while it goes on: the phases of its life, and that it is over.

Layer: run. Imports core only.
"""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from evertrain.core.clock import Clock
from evertrain.core.fs import Fs
from evertrain.core.heartbeat import FIRST
from evertrain.run.pulse import is_followed, start_heart

STEPPING: Final = frozenset({FIRST, "step"})
_FIRST_STEPS: Final = 5  # of an attempt or a stage: they compile, and fill caches


class Beats:
    """The beats of one attempt.

    A disk that is full when it begins must not keep it from starting: each save tries again
    to make the heartbeat, for that is when there may be room.

    Args:
        path: Where to beat, unless a supervisor names another place.
        environ: Says whether there is one.
        fs: Disk to make the heartbeat on.
        clock: Source of the monotonic time.

    Attributes:
        phase: What was told last, be it that nobody could hear it.
        heart: Who beats, or None as long as that is impossible.
    """

    def __init__(self, path: Path, environ: Mapping[str, str], *, fs: Fs, clock: Clock) -> None:
        """Make the heartbeat, if there is room for it."""
        self.phase = ""
        self._start = partial(start_heart, path, environ, fs=fs, clock=clock)
        self.heart = self._start()
        self._settled_at = 0

    def beat(self, step: int, phase: str) -> None:
        """Say that `step` is finished and `phase` has begun."""
        self.phase = phase
        if self.heart is None and phase == "save":
            self.heart = self._start()
        if self.heart is not None:
            self.heart.beat(step, phase)

    def begin_steps(self, iteration: int) -> None:
        """Let the next steps take longer than all others."""
        self._settled_at = iteration + _FIRST_STEPS

    def stepping(self, iteration: int) -> str:
        """Return the phase of the step that follows on `iteration`."""
        return "step" if iteration >= self._settled_at else FIRST

    def end(self, step: int) -> None:
        """Say that the training is over; the process may still hang at its exit."""
        if self.phase not in {"finished", "stopped"}:
            self.beat(step, "failed" if sys.exception() else "finished")
        if self.heart is not None and not is_followed(self.heart):
            self.heart.close()
