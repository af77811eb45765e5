"""Moving checkpoints aside: to quarantine, demoted, superseded, emergency; and pins.

A move is a rename, durable at its target before it is durable at its source:
a power cut can show a checkpoint twice, never not at all.

Layer: checkpoint. Imports core only.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from evertrain.checkpoint.about import About
from evertrain.checkpoint.catalog import DEMOTED, PINS, Catalog, step_names
from evertrain.checkpoint.commit import Tools, write_checkpoint
from evertrain.checkpoint.directory import opened
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.manifest import to_info
from evertrain.checkpoint.plugin import Tree
from evertrain.checkpoint.read import read_manifest
from evertrain.core.clock import iso_utc
from evertrain.core.errors import ConfigError, EvertrainError, NotFoundError
from evertrain.core.fs import Fs, make_dir, write_atomic
from evertrain.core.rundir import step_name

QUARANTINE: Final = "quarantine"
SUPERSEDED: Final = "superseded"
EMERGENCY: Final = "emergency"
MAX_EMERGENCY: Final = 2
_TOOLS: Final = Tools()


def quarantine(root: Path, step: int, reason: str, tools: Tools = _TOOLS) -> Path:
    """Move a damaged checkpoint, or what stands in its place, out of the way, with a note.

    Args:
        root: Directory of the checkpoints (`Store.path`).
        step: Its step.
        reason: What is wrong with it.
        tools: Disk and clock.

    Returns:
        Where it is now. `<name>.reason.json` beside it says why.

    Raises:
        NotFoundError: There is no such checkpoint.
        OSError: The disk refused.

    Durability:
        The move survives a power cut once this returns; a note that the disk
        has no room for is left out.
    """
    return _shelve(root, QUARANTINE, step, reason, tools)


def demote(root: Path, step: int, reason: str, tools: Tools = _TOOLS) -> Path:
    """Move a checkpoint that is whole, and kills whoever restores it, out of the way.

    Args, errors and durability are those of `quarantine`; it goes to `demoted/`.
    """
    return _shelve(root, DEMOTED, step, reason, tools)


def _shelve(root: Path, shelf: str, step: int, reason: str, tools: Tools) -> Path:
    if not os.path.lexists(root / step_name(step)):
        raise _missing(root, step)
    target = free(root / shelf, step_name(step))
    make_shelf(target.parent, tools.fs)
    note = {"step": step, "reason": reason, "time": iso_utc(tools.clock.now_s())}
    text = json.dumps(note, indent=2) + "\n"
    with suppress(OSError):  # a full disk must not leave a damaged one in the way
        write_atomic(target.with_name(f"{target.name}.reason.json"), text.encode(), fs=tools.fs)
    move(root, [(step_name(step), target)], tools.fs)
    unpin(root, step, tools.fs)
    _refresh(root, tools)
    return target


def supersede(root: Path, after_step: int, tools: Tools = _TOOLS) -> list[int]:
    """Move every checkpoint later than `after_step` to `superseded/`, readable or not.

    The newest goes first: a crash halfway never leaves a gap below a checkpoint.

    Args:
        root: Directory of the checkpoints (`Store.path`).
        after_step: Step that the run rewinds to; -1 moves everything.
        tools: Disk and clock.

    Returns:
        The steps that moved, ascending.

    Raises:
        OSError: The disk refused.

    Durability:
        The moves survive a power cut once this returns.
    """
    steps = [int(name) for name in step_names(root)]
    later = [step for step in steps if step > after_step]
    set_aside(root, later, tools)
    return later


def set_aside(root: Path, steps: Sequence[int], tools: Tools = _TOOLS) -> list[Path]:
    """Move checkpoints to `superseded/`, the newest first; return where each one is, as given.

    Args:
        root: Directory of the checkpoints (`Store.path`).
        steps: Which ones; each is there.
        tools: Disk and clock.

    Raises:
        OSError: The disk refused.

    Durability:
        As `supersede`.
    """
    if not steps:
        return []
    shelf = root / SUPERSEDED
    make_shelf(shelf, tools.fs)
    places: dict[int, Path] = {}
    for step in sorted(steps, reverse=True):
        name = step_name(step)
        places[step] = free(shelf, f"{name}-attempt{_attempt(root / name)}")
        move(root, [(name, places[step])], tools.fs)
        unpin(root, step, tools.fs)
    _refresh(root, tools)
    return [places[step] for step in steps]


def save_emergency(
    root: Path, step: int, state: Mapping[str, Tree], about: About, tools: Tools = _TOOLS
) -> CheckpointInfo:
    """Save to `emergency/<step>-<KIND>`, for manual recovery, and keep only the newest two.

    Args:
        root: Directory of the checkpoints (`Store.path`).
        step: Last finished step.
        state: Trees by name.
        about: Its `kind` is "error" or "interrupted".
        tools: Disk and clock.

    Raises:
        EvertrainError: As `Store.save`.

    Durability:
        As `Store.save`.
    """
    check_shelf(root / EMERGENCY)
    target = free(root / EMERGENCY, f"{step_name(step)}-{about.kind.upper()}")
    manifest = write_checkpoint(target, step, state, about, tools)
    for old in emergencies(root)[:-MAX_EMERGENCY]:
        if old.path != target:
            with suppress(OSError):  # the new one is safe; the next one tries again
                tools.fs.rmtree(old.path)
    return to_info(manifest, target)


def emergencies(root: Path) -> list[CheckpointInfo]:
    """Return the readable emergency checkpoints, oldest first, whatever the clock said then."""
    found = []
    for path in sorted((root / EMERGENCY).glob("[0-9]*-*")):
        with suppress(EvertrainError, OSError), opened(path) as directory:
            found.append(to_info(read_manifest(directory), path))
    return sorted(found, key=lambda info: (info.attempt, info.saved_at_s, info.path.name))


def pin(root: Path, step: int, fs: Fs) -> None:
    """Mark a checkpoint to be kept, durably.

    Raises:
        NotFoundError: There is no such checkpoint.
        OSError: The disk refused.
    """
    if not (root / step_name(step)).is_dir():
        raise _missing(root, step)
    make_shelf(root / PINS, fs)
    marker = root / PINS / step_name(step)
    if not marker.exists():  # what is there may be a second name of something else
        fs.write(marker, ())
    fs.sync_dir(root / PINS)


def unpin(root: Path, step: int, fs: Fs) -> None:
    """Take the mark away, durably; there need not be one.

    Raises:
        OSError: The disk refused.
    """
    marker = root / PINS / step_name(step)
    if marker.exists():
        fs.unlink(marker)
        fs.sync_dir(marker.parent)


def make_shelf(path: Path, fs: Fs) -> None:
    """Make a directory for what is set aside, unless it is there.

    Raises:
        ConfigError: It is a link.
        OSError: The disk refused.
    """
    check_shelf(path)
    make_dir(path, fs=fs)


def check_shelf(path: Path) -> None:
    """Refuse a link: whatever it leads to is not the store's to fill and empty.

    Raises:
        ConfigError: It is one.
    """
    if path.is_symlink():
        raise ConfigError(
            f"{path} is a symbolic link to {path.readlink()}.",
            "checkpoints would be moved out of their store, and what is there be deleted.",
            f"Look at it, and remove the link: ls -ld {path}",
        )


def move(root: Path, moves: Sequence[tuple[str, Path]], fs: Fs) -> list[Path]:
    """Rename things of `root`, durably, and return the targets of those that were still there.

    Raises:
        OSError: The disk refused.
    """
    moved = []
    for name, target in moves:
        with suppress(FileNotFoundError):  # another process was faster
            fs.replace(root / name, target)
            moved.append(target)
    for shelf in sorted({target.parent for target in moved}):
        fs.sync_dir(shelf)
    fs.sync_dir(root)
    return moved


def _refresh(root: Path, tools: Tools) -> None:
    """Bring links and index up to date, if there is room: the next save and `recover` do, too."""
    with suppress(OSError, EvertrainError):
        Catalog(root).refresh(tools)


def _missing(root: Path, step: int) -> NotFoundError:
    return NotFoundError(
        f"there is no checkpoint of step {step} in {root}.",
        "it was never saved, or it was pruned.",
        "List what there is with: evertrain ls RUN",
    )


def free(shelf: Path, name: str) -> Path:
    """Return a place on `shelf` that is not taken: `name`, `name-2`, ..."""
    target, count = shelf / name, 1
    while target.exists():
        count += 1
        target = shelf / f"{name}-{count}"
    return target


def _attempt(path: Path) -> int:
    try:
        with opened(path) as directory:
            return read_manifest(directory).attempt
    except (EvertrainError, OSError):
        return 0
