"""The trash: what nobody keeps any more, on its way out, and until when it can come back.

The name says it all: `000000250` may be deleted by whoever comes by,
`000000250-until-20261123T044200Z` after that moment, in UTC.

Layer: checkpoint. Imports core only.
"""

import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from evertrain.checkpoint.commit import Tools, hidden
from evertrain.checkpoint.shelf import free, make_shelf, move, unpin
from evertrain.core.refusal import is_full
from evertrain.core.rundir import parse_step, step_name

TRASH: Final = "trash"
GRACE_S: Final = 86_400.0

_STAMP: Final = "%Y%m%dT%H%M%SZ"
_NAME: Final = re.compile(r"(.+)-until-(\d{8}T\d{6}Z)(-\d+)?")
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Discarded:
    """Something in the trash that can still come back.

    Attributes:
        name: What it was called.
        until: When it may be deleted.
        path: Where it is.
    """

    name: str
    until: datetime
    path: Path


def discard(root: Path, steps: Collection[int], tools: Tools, *, grace_s: float = 0) -> list[Path]:
    """Move checkpoints to `trash/`, durably; those without a grace are then deleted.

    Args:
        root: Directory of the checkpoints (`Store.path`).
        steps: Which ones. One that is gone already is fine.
        tools: Disk and clock.
        grace_s: How long they can come back, seconds.

    Returns:
        Where they went: to `trash/`, or, where a full disk has no room for that
        directory and no grace is given, to hidden names that `sweep` removes.

    Raises:
        OSError: The disk refused to move them. What it refuses to delete is tried again later.

    Durability:
        After return no power cut shows them in their old place. Killed
        halfway, each is whole in its old place, or in the trash.
    """
    if not steps:
        return []
    names = [step_name(step) for step in sorted(steps)]
    try:
        make_shelf(root / TRASH, tools.fs)
        places = [_place(root / TRASH, name, tools, grace_s) for name in names]
    except OSError as error:
        if grace_s > 0 or not is_full(error):
            raise
        places = [hidden(root / name) for name in names]  # no room for a directory
    moved = move(root, list(zip(names, places, strict=True)), tools.fs)
    for step in steps:
        unpin(root, step, tools.fs)
    return moved


def discard_tree(path: Path, shelf: Path, tools: Tools, *, grace_s: float) -> Path:
    """Move a whole directory to the trash `shelf`, durably, and return where it is.

    Raises:
        OSError: The disk refused.
    """
    make_shelf(shelf, tools.fs)
    target = _place(shelf, path.name, tools, grace_s)
    move(path.parent, [(path.name, target)], tools.fs)
    return target


def delete(paths: Collection[Path], tools: Tools) -> None:
    """Delete what was moved to the trash. What refuses to go is tried again by the next owner."""
    for path in paths:
        with suppress(OSError):  # it is out of the way
            tools.fs.rmtree(path)


def empty(shelf: Path, tools: Tools, *, is_urgent: bool = False) -> int:
    """Delete what may go, and return how much went.

    Args:
        shelf: The trash; it need not exist.
        tools: Disk and clock.
        is_urgent: Whether the grace does not count: the disk is full.
    """
    now = _time(tools.clock.now_s())
    ends = {path: _until(path) for path in contents(shelf)}
    doomed = [each for each, until in ends.items() if is_urgent or until is None or until <= now]
    if doomed:
        _settle(shelf, tools)
    gone = 0
    for path in doomed:
        with suppress(OSError):
            tools.fs.rmtree(path)
            gone += 1
    return gone


def _settle(shelf: Path, tools: Tools) -> None:
    """Make the moves of a process that died before it could durable, or a power cut undoes them.

    What stands in its old place again would be half deleted.
    """
    with suppress(OSError):  # such a disk refuses to delete, too, or is only full
        tools.fs.sync_dir(shelf)
        tools.fs.sync_dir(shelf.parent)


def contents(shelf: Path) -> list[Path]:
    """Return what lies in the trash, by name; nothing where it cannot be looked into.

    What a link leads to is not ours to delete.
    """
    try:
        return [] if shelf.is_symlink() else sorted(shelf.iterdir())
    except OSError:
        return []


def discarded(shelf: Path) -> list[Discarded]:
    """Return what can come back, by name; of one name the latest last."""
    found = []
    for path in contents(shelf):
        match, until = _NAME.fullmatch(path.name), _until(path)
        if match and until is not None and path.is_dir():
            found.append(Discarded(match[1], until, path))
    return sorted(found, key=lambda each: (each.name, each.until, each.path.name))


def bring_back(root: Path, each: Discarded, tools: Tools) -> int | None:
    """Give a discarded checkpoint its place back, durably; return its step.

    None if it is no checkpoint, or its step is taken again.

    Raises:
        OSError: The disk refused.
    """
    step = parse_step(each.name)
    if step is None or (root / each.name).exists():
        return None
    place = root / each.name
    return step if move(each.path.parent, [(each.path.name, place)], tools.fs) else None


def _place(shelf: Path, name: str, tools: Tools, grace_s: float) -> Path:
    if grace_s <= 0:
        return free(shelf, name)
    until = _time(tools.clock.now_s(), grace_s)
    return free(shelf, f"{name}-until-{until.strftime(_STAMP)}")


def _until(path: Path) -> datetime | None:
    """Return when it may be deleted; None for what may go at any time."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    try:
        return datetime.strptime(match[2], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def _time(at_s: float, later_s: float = 0) -> datetime:
    try:
        return datetime.fromtimestamp(at_s, tz=UTC) + timedelta(seconds=later_s)
    except (ValueError, OverflowError, OSError):
        return _NEVER
