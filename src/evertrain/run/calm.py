"""How long a fast loop may end its steps without asking anybody.

At 100,000 steps a second, asking the rules, the inbox and the console at each
of them would be the whole cost of the loop. They say how long they are sure to
have nothing to say; a stop signal is looked at all the same.

Layer: run. Imports checkpoint and core.
"""

import math
from dataclasses import dataclass
from typing import Final

from evertrain.checkpoint.when import Quiet

# The console, the inbox, the heartbeat and the rows are served as often as this.
LONGEST_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Calm:
    """A stretch of steps at whose ends there is nothing to do.

    Attributes:
        before_step: The first step that must be asked about.
        until_s: When to ask again, monotonic seconds.
    """

    before_step: float = 0.0
    until_s: float = -math.inf


RESTLESS: Final = Calm()


def calm(quiet: Quiet, now_s: float) -> Calm:
    """Return how long nobody needs to be asked.

    Args:
        quiet: What the saving rule says.
        now_s: Monotonic seconds.
    """
    return Calm(quiet.before_step, now_s + min(quiet.for_s, LONGEST_S))
