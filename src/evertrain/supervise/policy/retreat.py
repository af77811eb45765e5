"""What to try when a training dies at the same step again and again. Pure.

It came to the same state, so the same again would end the same. An older checkpoint comes
to that step by another way if anything in the program is not deterministic; other random
numbers, where that is allowed, take another way for sure. Each is tried once.

Layer: supervise. Imports core only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from evertrain.supervise.end import End, Move
from evertrain.supervise.policy.ledger import SAME, same_deaths


@dataclass(frozen=True, slots=True, kw_only=True)
class Chances:
    """What could be tried instead of the same again.

    Attributes:
        older: The checkpoint before the newest, as `resume` takes it; None if there is none.
        may_reseed: Whether the random numbers may change.
    """

    older: str | None = None
    may_reseed: bool = False


def next_move(ends: Sequence[End], chances: Chances) -> Move | None:
    """Return what to try after the last end, or None: the same again."""
    same = same_deaths(ends)
    if len(same) < SAME or ends[-1].gain.died_restoring:  # a `Run` passes over what kills it
        return None
    tried = {end.gain.move for end in same}
    if "older" not in tried and chances.older is not None:
        return "older"
    return "reseed" if "reseed" not in tried and chances.may_reseed else None


def same_step(ends: Sequence[End]) -> str | None:
    """Say that it always dies at one step, whatever was tried."""
    same = same_deaths(ends)
    if len(same) < SAME or ends[-1].gain.died_restoring:
        return None
    mark = same[-1].diagnosis.fingerprint if same[-1].diagnosis else ""
    step = int(mark.rpartition("| step ")[2])
    words = {"older": "from an older checkpoint", "reseed": "with other random numbers"}
    tried = [words[each] for each in words if each in {end.gain.move for end in same}]
    also = f", also {' and '.join(tried)}" if tried else ""
    return (
        f"crashed {len(same)} times at step {step:,} in the same way{also}: same state; "
        "try another seed, or resume further back"
    )
