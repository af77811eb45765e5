"""Removing a whole run, so that it can come back.

Layer: checkpoint. Imports core only.
"""

from pathlib import Path
from typing import Final

from evertrain.checkpoint import trash
from evertrain.checkpoint.commit import Tools
from evertrain.core import lock
from evertrain.core.errors import LockedError
from evertrain.core.rundir import RunDir
from evertrain.core.standstill import standstill

RUNS_TRASH: Final = ".evertrain-trash"
_TOOLS: Final = Tools()


def remove_run(run_dir: RunDir, *, grace_s: float = trash.GRACE_S, tools: Tools = _TOOLS) -> Path:
    """Move a whole run to `.evertrain-trash` beside it; return where it is, or was.

    Raises:
        LockedError: A process works on it.
        OSError: The disk refused.

    Durability:
        Killed anywhere, the run is whole in its place or in the trash.
    """
    path = run_dir.path.resolve()
    shelf = path.parent / RUNS_TRASH
    with standstill(run_dir.supervisor_lock), standstill(run_dir.lock):
        refuse_live(run_dir)
        target = trash.discard_tree(path, shelf, tools, grace_s=grace_s)
    if grace_s <= 0:
        trash.delete([target], tools)
    trash.empty(shelf, tools)
    return target


def refuse_live(run_dir: RunDir) -> None:
    """Return if nobody works on the run.

    Raises:
        LockedError: Somebody does.
    """
    for path in (run_dir.lock, run_dir.shim_lock, run_dir.supervisor_lock):
        owner = lock.owner_of(path)
        if owner is not None:
            raise LockedError(
                f"{run_dir.path} is in use by {owner}.",
                "what it writes from now on would be lost.",
                f"Stop it first: evertrain stop {run_dir.path}"
                if owner.is_here
                else f"Stop it there; if that machine is gone: rm {path}",
            )
