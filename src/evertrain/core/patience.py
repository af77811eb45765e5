"""How long may still be waited for somebody.

Layer: core. Imports its siblings only.
"""

from typing import TYPE_CHECKING, Final

from evertrain.core.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    import select

_SLICE_S: Final = 0.5
_LAST_LOOK_S: Final = 0.5  # the next piece of an answer that is being sent comes sooner


class Patience:
    """How long may still be waited for an answer, or for all answers to one question.

    Only time that this process was awake counts: after Ctrl+Z, or the night that
    a laptop slept, nobody is late. Once nothing is left of it, each further wait is one last
    look: of several that are heard in turn, one may have used up the time of all, and a long
    answer comes in pieces.

    Args:
        limit_s: Seconds, 0 or more.
        clock: Source of the time.

    Attributes:
        limit_s: As given.
        left_s: Seconds that are left of it.
    """

    def __init__(self, limit_s: float, *, clock: Clock = SYSTEM_CLOCK) -> None:
        """Begin with all of it."""
        self.limit_s = limit_s
        self.left_s = limit_s
        self._clock = clock

    @property
    def spent_s(self) -> float:
        """Seconds that were waited so far."""
        return self.limit_s - self.left_s

    def wait(self, poller: "select.poll") -> bool:
        """Wait until `poller` has something. Return False if that took too long."""
        is_used_up = self.left_s <= 0
        while self.left_s > 0:
            slice_s = min(self.left_s, _SLICE_S)
            began_s = self._clock.monotonic_s()
            events = poller.poll(max(1, 1000 * slice_s))
            took_s = self._clock.monotonic_s() - began_s
            self.left_s -= min(took_s, 2 * slice_s)  # more than that, and we slept ourselves
            if events:
                return True
        return is_used_up and bool(poller.poll(1000 * _LAST_LOOK_S))
