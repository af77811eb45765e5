"""What several test modules share: types, and ways to take steps."""

from collections.abc import Callable

from evertrain import Run

OpenRun = Callable[..., Run]


def walk(run: Run, until: int | None = None) -> list[int]:
    """Take steps of `run` up to and including `until`; return their numbers."""
    taken = []
    for step in run:
        taken.append(step)
        if step == until:
            run.end_step()
            break
    return taken
