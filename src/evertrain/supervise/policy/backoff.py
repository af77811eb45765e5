"""How long to wait before the next attempt. Pure.

Layer: supervise. Imports core only.
"""

from collections.abc import Sequence
from typing import Final

from evertrain.supervise.end import End
from evertrain.supervise.options import SuperviseOptions
from evertrain.supervise.policy.ledger import stuck_ends

SOON_S: Final = (1.0, 2.0)  # after progress
FIRST_S: Final = 10.0
LONGEST_S: Final = 300.0


def wait_s(ends: Sequence[End], options: SuperviseOptions, luck: float) -> float:
    """Return the pause before the next attempt, seconds.

    Args:
        ends: How the attempts ended, oldest first.
        options: A fixed pause, or one that grows while nothing gets better.
        luck: Jitter, 0 to 1: many runs on one machine should not start at one instant.
    """
    if not options.backoff:
        return options.delay_s
    count = len(stuck_ends(ends))
    if count == 0:
        low_s, high_s = SOON_S
    else:
        high_s = min(LONGEST_S, FIRST_S * 2.0 ** min(count - 1, 30))
        low_s = high_s / 2
    return round(low_s + (high_s - low_s) * luck, 1)
