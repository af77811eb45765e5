"""What a crash rate costs: net progress as a function of speed and rate. Pure.

To first order, net = speed * (1 - sqrt(2*C*rate) - (D + R)*rate). C is what a save costs the
loop, D the time between a crash and the next start, R the time from there to the first step;
the square root is the least that saving and doing work again can cost together, at an
interval of sqrt(2*C/rate). That falls below zero where crashes come as fast as restarts, and
a ladder is climbed just there, so what is used here is the whole of it:

    net = speed * T/(T + C) * x/(e^x - 1) / (1 + (D + R)*rate),  x = rate*(T + C)

Layer: supervise. Imports nothing from evertrain.
"""

import math
from dataclasses import dataclass
from typing import Final

# What is assumed of a run that has never crashed, seconds.
_DOWN_S: Final = 5.0
_STARTUP_S: Final = 10.0
# So many crashes to be expected between two saves leave nothing.
_HOPELESS: Final = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What saving and crashing cost in this run.

    Attributes:
        save_s: C: how long a save holds up the loop, seconds.
        interval_s: T: seconds between two saves, where the program decides that by itself;
            None where it follows the crash rate, or is not known.
        down_s: D: from a crash to the next start, seconds.
        startup_s: R: from a start to its first step, seconds.
    """

    save_s: float = 0.0
    interval_s: float | None = None
    down_s: float = _DOWN_S
    startup_s: float = _STARTUP_S

    @property
    def crash_s(self) -> float:
        """D + R: what a crash costs besides work that is done again, seconds."""
        return self.down_s + self.startup_s


def share_kept(rate: float, costs: Costs) -> float:
    """Return the share of a rung's speed that `rate` leaves, 0 to 1.

    Args:
        rate: Crashes a second, 0 or more.
        costs: What saving and crashing cost.

    Source:
        Daly, Future Generation Computer Systems 22(3), 2006: the mean time until T seconds of
        work are done and saved is (1/rate + D + R) * (e^(rate*(T + C)) - 1).
    """
    save_s = costs.save_s
    interval_s = costs.interval_s or (math.sqrt(2.0 * save_s / rate) if rate > 0 else math.inf)
    saving = 1.0 if math.isinf(interval_s) or not save_s else interval_s / (interval_s + save_s)
    at_stake = rate * (interval_s + save_s) if rate > 0 else 0.0
    if at_stake > _HOPELESS:
        return 0.0
    again = at_stake / math.expm1(at_stake) if at_stake > 0 else 1.0
    return saving * again / (1.0 + costs.crash_s * rate)
