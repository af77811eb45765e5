"""The errors of state that does not fit: each lists every difference by its path.

Layer: run. Imports checkpoint and core.
"""

from collections.abc import Sequence
from typing import Final

from evertrain.checkpoint.plugin import Mismatch
from evertrain.core.errors import StateError

_MANY: Final = 5  # patterns that an error still spells out
_LISTED: Final = 20  # differences that are


def name_taken(name: str) -> StateError:
    """Return the error for a thing that is attached under a name of the run's own parts."""
    return StateError(
        f"attach() got the name {name!r}.",
        "it belongs to the run itself, which keeps its state, generators and position there.",
        "Attach it under another name, without a dot.",
    )


def too_late(name: str) -> StateError:
    """Return the error for a new thing that is attached inside the loop."""
    return StateError(
        f"attach({name}=...) comes after the state was restored.",
        "a resumed program restores before its first step, and would find nothing to fill.",
        f"Attach {name} before the loop; what the loop creates belongs into run.state.",
    )


def cannot_be_filled(faults: Sequence[Mismatch]) -> StateError:
    """Return the error for what is attached but cannot be written to."""
    return StateError(
        "what is attached is restored in place, and this cannot be:\n" + _listed(faults),
        "its memory is read-only, or several of its numbers share one place in memory.",
        "Attach a copy (.copy(), .clone()), or keep it in run.state, where it is replaced.",
    )


def not_resumable(faults: Sequence[Mismatch]) -> StateError:
    """Return the error for a save that no resume could take back."""
    return StateError(
        "a program started again could not take this state back:\n" + _listed(faults),
        '"here" is what was set or attached before the loop; a resume starts from that.',
        "Set or attach before the loop what has the final shape and class, keep what grows"
        " in a list, build a model that changes before the loop as it shall be, or let it"
        f" start fresh after a resume: {_partial(faults)}.",
    )


def does_not_fit(faults: Sequence[Mismatch], where: str) -> StateError:
    """Return the error for a checkpoint of another program."""
    return StateError(
        f"{where} does not fit this program:\n" + _listed(faults),
        "a resume that drops or invents state would train on silently wrong.",
        f"Restore the program that made it{_or_accept(faults)}.",
    )


def not_restored(accepted: Sequence[Mismatch]) -> list[str]:
    """Return a line for each difference that `partial` accepted, of many for the first ones."""
    lines = [f"not restored: {_line(each)}" for each in accepted[:_LISTED]]
    left = len(accepted) - len(lines)
    return [*lines, f"not restored: {left} more that `partial` names"] if left else lines


def _or_accept(faults: Sequence[Mismatch]) -> str:
    """Return the other way out, unless one of them closes it."""
    if any(each.accepted is None for each in faults):
        return ", or begin another run: not all of this can be accepted"
    return f", or accept the difference: {_partial(faults)}"


def _partial(faults: Sequence[Mismatch]) -> str:
    """Return the argument that accepts all of them; of many, the first and how to go on."""
    patterns = [repr(each.path[:200]) for each in faults[:_MANY]]
    return f"partial=[{', '.join(patterns)}{', ...' if len(faults) > _MANY else ''}]"


def _listed(faults: Sequence[Mismatch]) -> str:
    shown = [f"  {_line(each, ' (if accepted: {})')}" for each in faults[:_LISTED]]
    more = [f"  ... and {len(faults) - _LISTED} more"] if len(faults) > _LISTED else []
    return "\n".join(shown + more)


def _line(fault: Mismatch, consequence: str = "; {}") -> str:
    """Return one difference, and what comes of accepting it."""
    comes = consequence.format(fault.accepted[:300]) if fault.accepted else ""
    return f"{fault.path:.200}: {fault.problem:.300}{comes}"
