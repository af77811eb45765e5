"""Which rung is measured next, and when the measuring is done. Pure.

The rungs take turns, slice by slice, so that a training which changes its pace treats them
alike. A rung whose net progress lies below that of the best, with the intervals of both rates
apart, is out of question and gets no more time; once one is left, the question is answered.

Layer: supervise. Imports nothing from evertrain but its neighbors.
"""

from typing import Final

from evertrain.supervise.ladder.choice import Outlook, Turn, look
from evertrain.supervise.ladder.cost import share_kept
from evertrain.supervise.ladder.standing import View

# Each rung has so many turns, if all stay in question.
_TURNS: Final = 4
# Of a slice, at least so much is training and not starting.
_STARTUPS: Final = 4.0
# A rung that crashed so often without a single step does not work.
_FUTILE: Final = 2.5  # three, faded a little
_FEW: Final = 2.5
_ENOUGH: Final = 0.9
# Looked at again and again, an interval of 95 % would shut out the best one now and then.
LOW, HIGH = 0.005, 0.995


def slice_s(view: View, budget_s: float) -> float:
    """Return how long a rung is measured before the next has its turn, seconds.

    Args:
        view: What is known.
        budget_s: Time for all of it, seconds.
    """
    share_s = budget_s / max(1, len(view.rungs))
    return min(share_s, max(share_s / _TURNS, _STARTUPS * view.costs.startup_s))


def choose(view: View, budget_s: float) -> Turn | None:
    """Return the rung that is measured next, or None once the best one is clear.

    Args:
        view: What is known.
        budget_s: Time for all of it, seconds.
    """
    left = in_question(view, slice_s(view, budget_s))
    if len(left) < 2 and all(_is_seen(view, rung, slice_s(view, budget_s)) for rung in left):  # noqa: PLR2004
        return None
    rung = min(left, key=lambda each: (view.rungs[each].lasted_s, each))
    return Turn(rung=rung, move="measure", why="its turn to be measured")


def is_over(view: View, budget_s: float) -> bool:
    """Say whether the running attempt has had its turn, and another rung is next.

    Args:
        view: Including what the running attempt has shown so far.
        budget_s: Time for all of it, seconds.
    """
    if view.since_s < slice_s(view, budget_s):
        return False
    turn = choose(view, budget_s)
    return turn is None or turn.rung != view.current


def in_question(view: View, turn_s: float) -> list[int]:
    """Return the rungs that may yet turn out to be the best, most aggressive first.

    Args:
        view: What is known.
        turn_s: None is judged before it had so much time, seconds, or a few crashes.
    """
    usable = [rung for rung in range(len(view.rungs)) if not is_futile(view, rung)]
    if not all(_is_seen(view, rung, turn_s) for rung in usable):
        return usable
    outlook = look(view)
    lowest = net_at(view, outlook, outlook.best, HIGH)
    return [rung for rung in usable if net_at(view, outlook, rung, LOW) >= lowest]


def _is_seen(view: View, rung: int, turn_s: float) -> bool:
    standing = view.rungs[rung]
    return standing.lasted_s >= _ENOUGH * turn_s or standing.crashes >= _FEW


def is_futile(view: View, rung: int) -> bool:
    """Say whether `rung` does not work: it is out, or has never ended a step."""
    standing = view.rungs[rung]
    return standing.is_out or (standing.crashes >= _FUTILE and standing.steps <= 0)


def net_at(view: View, outlook: Outlook, rung: int, share: float) -> float:
    """Return the net progress of `rung` at a quantile of its crash rate."""
    rate = outlook.rates.quantile(rung, share)
    return outlook.speeds[rung] * share_kept(rate, view.costs)
