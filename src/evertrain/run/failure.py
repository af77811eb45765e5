"""A save that failed: whether the training goes on, and what it says if it does not. Pure.

What the system refuses may work later: the disk, its quota, memory. Anything else
that goes wrong would go wrong again: it ends the training, as itself.

Layer: run. Imports core only.
"""

from typing import Final

from evertrain.core.errors import (
    EvertrainError,
    FencedError,
    SaveError,
    StateError,
    first_line,
)

MAX_FAILURES: Final = 5


def may_pass(error: BaseException) -> bool:
    """Say whether a later save may succeed: the system refused this one, and nothing else."""
    if isinstance(error, (SaveError, OSError, MemoryError)):
        return True
    is_ours = isinstance(error, EvertrainError) and not isinstance(error, (FencedError, StateError))
    return is_ours and isinstance(error.__cause__, OSError)


def unsaved(step: int, error: BaseException, count: int | None, fix: str) -> SaveError:
    """Return the error that ends a training which may not go on without a save.

    Args:
        step: What was to be saved.
        error: Why it was not.
        count: How many in a row failed; None: this one must not be missed.
        fix: What a person can do.
    """
    why = "this one must not be missed" if count is None else f"{count} saves in a row failed"
    return SaveError(
        f"the state after step {step} could not be saved: {first_line(error)}",
        f"{why}; older checkpoints are whole.",
        f"{fix} Then resume.",
    )
