"""Kills a training once, with everything below it, at a planned moment.

Layer: audit. Imports supervise, checkpoint and core.
"""

import threading
from types import TracebackType
from typing import Final, Self

from evertrain.audit.plan import Strike
from evertrain.checkpoint.catalog import step_names
from evertrain.core import proc
from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.rundir import RunDir
from evertrain.supervise.history import stray_leader

_LOOK_S: Final = 0.002


class Killer:
    """Watches one attempt from a thread of its own while it is entered.

    Args:
        run: Where it trains.
        strike: When to kill it; None lets it live.
        clock: Source of the time.

    Attributes:
        has_hit: Whether it was killed.
    """

    def __init__(self, run: RunDir, strike: Strike | None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        """Watch nothing yet."""
        self.has_hit = False
        self._run = run
        self._strike = strike
        self._clock = clock
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="evertrain-killer", daemon=True)

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """The attempt is over: whom nobody has hit now is not hit any more."""
        del kind, error, trace
        self._is_over.set()
        self._thread.join()

    def _work(self) -> None:
        if self._strike is None:
            return
        while newest_step(self._run) < self._strike.step:
            if self._clock.wait(self._is_over, _LOOK_S):
                return
        if self._clock.wait(self._is_over, self._strike.delay_s):
            return
        leader = stray_leader(self._run)
        if leader is not None:
            self.has_hit = leader in proc.kill_tree(leader, clock=self._clock)


def newest_step(run: RunDir) -> int:
    """Return the step of the newest checkpoint, 0 if there is none."""
    return max((int(name) for name in step_names(run.checkpoints)), default=0)
