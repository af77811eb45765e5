"""What the supervisor asks about rungs, and who answers: the training's rule or the survey's.

Layer: supervise. Imports nothing from evertrain but its neighbors.
"""

import math
from dataclasses import dataclass
from typing import Final, Protocol

from evertrain.supervise.ladder import choice, survey
from evertrain.supervise.ladder.choice import Turn
from evertrain.supervise.ladder.standing import View

_SOONEST_S: Final = 0.5
# The survey waits for a save for so much of its budget.
_PATIENCE: Final = 0.1
# A turn that is not over when it should be is looked at so often in the time of one.
_LOOKS: Final = 10


class Policy(Protocol):
    """Decides which rung is in force.

    Attributes:
        patience_s: How long a command of its own kind, which loses what it has not saved, may
            go on until it saves, seconds.
        must_ask: Whether it also moves a command that does not stop when it is asked to.
        shows: Whether what was found out is shown when the supervision ends.
    """

    @property
    def patience_s(self) -> float:
        """See above."""

    @property
    def must_ask(self) -> bool:
        """See above."""

    @property
    def shows(self) -> bool:
        """See above."""

    def turn(self, view: View) -> Turn | None:
        """Return the rung of the next attempt, or None where there is to be none."""

    def is_over(self, view: View) -> bool:
        """Say whether a healthy attempt is to make room; `view` includes what it has shown."""

    def look_s(self, view: View, lived_s: float) -> float:
        """Return in how many seconds to ask that of an attempt that has lived for `lived_s`."""


class Online:
    """The rule of a training: see `choice`."""

    patience_s: float = math.inf
    must_ask: bool = False
    shows: bool = True

    def turn(self, view: View) -> Turn | None:
        """See `Policy.turn`."""
        return choice.choose(view)

    def is_over(self, view: View) -> bool:
        """See `Policy.is_over`."""
        return choice.review(view) is not None

    def look_s(self, view: View, lived_s: float) -> float:
        """See `Policy.look_s`."""
        return choice.review_s(view, lived_s)


@dataclass(frozen=True, slots=True)
class Survey:
    """The rule of `evertrain calibrate`: see `survey`.

    Attributes:
        budget_s: Time for all of it, seconds above 0.
    """

    budget_s: float
    must_ask: bool = True
    shows: bool = False

    @property
    def patience_s(self) -> float:
        """See `Policy`."""
        return self.budget_s * _PATIENCE

    def turn(self, view: View) -> Turn | None:
        """See `Policy.turn`."""
        if view.measured_s >= self.budget_s:
            return None
        return survey.choose(view, self.budget_s)

    def is_over(self, view: View) -> bool:
        """See `Policy.is_over`."""
        return view.measured_s >= self.budget_s or survey.is_over(view, self.budget_s)

    def look_s(self, view: View, lived_s: float) -> float:
        """See `Policy.look_s`."""
        left_s = self.budget_s - view.measured_s - lived_s
        slice_s = survey.slice_s(view, self.budget_s)
        turn_s = slice_s - view.since_s - lived_s
        # A turn counts training alone: the start makes it longer.
        return max(_SOONEST_S, min(left_s, turn_s if turn_s > 0 else slice_s / _LOOKS))
