"""How often a run crashes, and whether that is often. Pure.

The bounds are those of a guide that was written for a browser game at full
speed: below one crash an hour is good, above three is too aggressive. They are a
first look; what a crash rate costs depends on what a save and a restart take,
and a ladder reckons with that.

Layer: monitor. Imports nothing.
"""

from dataclasses import dataclass
from typing import Final

_HOUR_S: Final = 3600.0
_EARLY_S: Final = 600.0
_GOOD_PER_H: Final = 1.0
_BAD_PER_H: Final = 3.0


@dataclass(frozen=True, slots=True)
class Stability:
    """Crashes over the time in which something ran.

    Attributes:
        crashes: How many attempts crashed.
        ran_s: How long attempts ran, seconds.
    """

    crashes: int
    ran_s: float

    @property
    def per_h(self) -> float | None:
        """Crashes an hour; None before ten minutes have passed: a rate would say little."""
        return self.crashes * _HOUR_S / self.ran_s if self.ran_s >= _EARLY_S else None

    @property
    def verdict(self) -> str:
        """What to make of it, for people; "" where it is too early to tell."""
        if self.per_h is None:
            return "in the first ten minutes: a safer setting is advised" if self.crashes else ""
        if not self.crashes:
            return "an hour or more without one: stable" if self.ran_s >= _HOUR_S else ""
        if self.per_h < _GOOD_PER_H:
            return f"{self.per_h:.1f} an hour: good"
        if self.per_h <= _BAD_PER_H:
            return f"{self.per_h:.1f} an hour: bearable"
        return f"{self.per_h:,.1f} an hour: too aggressive; a safer setting may get further"
