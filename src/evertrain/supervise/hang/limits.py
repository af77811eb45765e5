"""How long a phase may be silent, learned from how long it was. Pure.

A limit grows at once, and shrinks by half of the difference with each attempt: a long
evaluation must not be killed twice, nor should it blunt the watch for ever.

Layer: supervise. Imports core only.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from evertrain.core.heartbeat import WARM

# What no limit is below, seconds. A start is slow when the disk's cache is cold.
FLOOR_S: Final = 60.0
START_FLOOR_S: Final = 300.0
_STARTING: Final = frozenset({"launch", "setup", "restore"})
# Up to a minute five times the longest is little; of an hour, it would be the night.
_TIMES: Final = 5.0
_LONG_TIMES: Final = 2.0
_LONG_EXTRA_S: Final = 180.0
_MAX_S: Final = 1e9
_MAX_PHASES: Final = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """What is known about the phases of one training.

    Attributes:
        longest_s: Longest time that each phase was silent and went on by itself, seconds.
    """

    longest_s: Mapping[str, float] = field(default_factory=dict)

    def grown(self, found_s: Mapping[str, float]) -> "Limits":
        """Return these limits with what was seen just now."""
        longer = {
            phase: took_s
            for phase, took_s in found_s.items()
            if took_s > self.longest_s.get(phase, -1.0)
        }
        return Limits({**self.longest_s, **longer}) if longer else self

    def warmed(self, found_s: Mapping[str, float]) -> "Limits":
        """Return these limits with the newest of the first steps, however long others were."""
        if WARM not in found_s:
            return self
        return Limits({**self.longest_s, WARM: found_s[WARM]})

    def shrunk(self, found_s: Mapping[str, float]) -> "Limits":
        """Return what the next attempt begins with.

        Args:
            found_s: Longest time of each phase in this attempt; others stay as they are.
        """
        known = {
            phase: max(took_s, (took_s + self.longest_s.get(phase, took_s)) / 2)
            for phase, took_s in found_s.items()
        }
        return Limits({**self.longest_s, **known}).lasting()

    def lasting(self) -> "Limits":
        """Return what is worth to be remembered by another attempt."""
        known = [(name, each) for name, each in self.longest_s.items() if name != WARM]
        return Limits(dict(known[-_MAX_PHASES:]))

    def limit_s(self, phase: str) -> float | None:
        """Return how long `phase` may be silent, seconds; None if it was never seen to end."""
        known = [self.longest_s[each] for each in _like(phase) if each in self.longest_s]
        if not known:
            return None
        longest_s = max(known)
        patience_s = min(_TIMES * longest_s, _LONG_TIMES * longest_s + _LONG_EXTRA_S)
        return max(START_FLOOR_S if phase in _STARTING else FLOOR_S, patience_s)


def _like(phase: str) -> tuple[str, ...]:
    """Return the phases that tell how long this one may take.

    The last of the first steps was an ordinary one: on a slower machine, or with a larger
    batch, it is known before the first ordinary step has ended.
    """
    return (phase, WARM) if phase == "step" else (phase,)


def limits_of(found: object) -> Limits:
    """Return the limits that a row of the journal tells; none of what it should not hold."""
    if not isinstance(found, dict):
        return Limits()
    return Limits(
        {
            str(phase): float(took_s)
            for phase, took_s in found.items()
            if type(took_s) in {int, float} and math.isfinite(took_s) and 0 <= took_s < _MAX_S
        }
    )


def is_news(before: Limits, after: Limits) -> bool:
    """Say whether the limits differ by so much that they should be written down again."""
    return any(
        abs((before.limit_s(phase) or 0.0) - (after.limit_s(phase) or 0.0))
        >= (before.limit_s(phase) or FLOOR_S) / 4
        for phase in {*before.longest_s, *after.longest_s}
    )
