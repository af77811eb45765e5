"""A save that found no room, in words: what was full, what is missing, and what to free.

Layer: run. Imports checkpoint and core.
"""

import errno
from contextlib import suppress

from evertrain.checkpoint.keep import keep_any, keep_best, keep_last
from evertrain.checkpoint.share import freed
from evertrain.checkpoint.store import Store
from evertrain.checkpoint.trash import TRASH, contents
from evertrain.core.disk import Room, Size, human_bytes, human_room, room_at
from evertrain.core.errors import BaseLostError, EvertrainError, SaveError
from evertrain.core.refusal import refusal
from evertrain.core.rundir import step_name


def no_room(store: Store, step: int, need: Size, room: Room) -> SaveError:
    """Return the error of a save that cannot fit, before anything of it is written."""
    return SaveError(
        f"the checkpoint of step {step} needs about {human_bytes(need.bytes)} "
        f"and {need.files} files; the disk of {store.path} has room for {human_room(room)}.",
        "nothing was written; older checkpoints are whole.",
        _gains(store),
    )


def way_out(store: Store, error: BaseException) -> str:
    """Return what a person can do about a save that failed.

    Args:
        store: Where it was to go.
        error: Why.
    """
    told = next((each for each in _chain(error) if isinstance(each, OSError)), None)
    if isinstance(error, BaseLostError):
        return error.fix
    if isinstance(error, MemoryError):
        return "End other programs, or save less: what changed is copied while it is written."
    if told is None:
        return error.fix if isinstance(error, EvertrainError) and error.fix else "See the log."
    if told.errno == errno.EDQUOT:
        return f"Your quota is used up (look with: quota -s). {_gains(store)}"
    if told.errno != errno.ENOSPC:
        return refusal(told, store.path).fix
    room = room_at(store.path)
    there = "" if room is None else f"The disk claims room for {human_room(room)}. "
    return f"{there}{_gains(store)}"


def _gains(store: Store) -> str:
    """Say what deleting would free, and how."""
    run = store.path.parent if (store.path.parent / "run.json").exists() else store.path
    found = []
    with suppress(OSError, EvertrainError):
        in_trash = freed(contents(store.path / TRASH))
        verdicts = store.prune(keep_any(keep_last(1), keep_best(1)), dry_run=True)
        old = freed([store.path / step_name(each.step) for each in verdicts if not each.is_kept])
        if in_trash.bytes:
            found.append(f"the trash holds {human_bytes(in_trash.bytes)}")
        if old.bytes:
            command = f"evertrain prune {run} --keep-last 1 --keep-best 1 --grace 0"
            found.append(f"{command} frees {human_bytes(old.bytes)}")
    return f"Free some: {'; '.join([*found, f'look with: df -h {run}; df -i {run}'])}."


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__
    return found
