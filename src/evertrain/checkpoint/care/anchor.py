"""What must stay: the newest checkpoint that reads back whole, and what a live attempt needs.

The trainer saves and prunes as ever, and is never waited for. What must stay is
decided while no attempt can begin, so the checkpoint that a live one resumed
from is known.

Layer: checkpoint. Imports core only.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from evertrain.checkpoint import trash
from evertrain.checkpoint.catalog import Catalog, step_names
from evertrain.checkpoint.commit import Tools
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.manifest import MANIFEST
from evertrain.checkpoint.verify import faults_of
from evertrain.core import lock
from evertrain.core import standstill as still
from evertrain.core.errors import EvertrainError, LockedError
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir

T = TypeVar("T")

_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Anchor:
    """The newest checkpoint that was read back whole.

    Attributes:
        info: Which one.
        stamp: What tells its manifest from another one of that name.
        damaged: Newer ones, which are not whole.
    """

    info: CheckpointInfo
    stamp: tuple[int, int]
    damaged: frozenset[int]

    def is_there(self) -> bool:
        """Say whether it still has its place."""
        return _stamp(self.info.path) == self.stamp


@contextmanager
def standstill(run_dir: RunDir, *, is_dry: bool = False) -> Iterator[int | None]:
    """Let no attempt begin meanwhile; give the step that a live one resumed from, if any."""
    path = run_dir.lock
    with nullcontext(lock.owner_of(path)) if is_dry else still.standstill(path) as found:
        yield None if found is None else _base(run_dir, found)


def find_anchor(found: Sequence[CheckpointInfo]) -> Anchor | None:
    """Read back from the newest on, and return the first that is whole."""
    damaged: set[int] = set()
    for info in reversed(found):
        with suppress(OSError):  # pruned meanwhile, or not readable
            stamp = _stamp(info.path)
            if stamp is not None and not faults_of(info.path, info.step):
                return Anchor(info, stamp, frozenset(damaged))
        damaged.add(info.step)
    return None


def has_moved_on(found: Sequence[CheckpointInfo]) -> bool:
    """Say whether some of them are gone meanwhile: what could not be read may be no damage."""
    return any(_stamp(info.path) is None for info in found)


def until_settled(run_dir: RunDir, attempt: Callable[[], T | None]) -> T:
    """Return what `attempt` returns, tried again while it returns None.

    Raises:
        EvertrainError: It did so every time.
    """
    for _ in range(_TRIES):
        found = attempt()
        if found is not None:
            return found
    raise EvertrainError(
        f"the checkpoints of {run_dir.path} come and go faster than they can be read back.",
        "nothing was removed: which one is whole is not known.",
        "Try again when the training saves less often, or is stopped.",
    )


def discard(run_dir: RunDir, steps: Collection[int], grace_s: float, tools: Tools) -> list[Path]:
    """Move checkpoints to the trash, bring links and index up to date; return where they are.

    Raises:
        OSError: The disk refused.
    """
    moved = trash.discard(run_dir.checkpoints, steps, tools, grace_s=grace_s)
    if moved:
        refresh(run_dir.checkpoints, tools)
    return moved


def delete(moved: Collection[Path], grace_s: float, tools: Tools) -> None:
    """Delete what was moved to the trash without a grace."""
    if grace_s <= 0:
        trash.delete(moved, tools)


def refresh(root: Path, tools: Tools) -> None:
    """Bring links and index up to date, again if the trainer saved meanwhile."""
    for _ in range(_TRIES):
        before = step_names(root)
        with suppress(OSError):  # the next save does it
            Catalog(root).refresh(tools)
        if step_names(root) == before:
            return


def _base(run_dir: RunDir, owner: lock.Owner) -> int | None:
    last = Journal(run_dir.journal).last("resumed")
    if last is None or last.get("attempt") != owner.attempt:
        raise LockedError(
            f"{run_dir.path} is just being started by {owner}.",
            "it has not said yet which checkpoint it goes on from.",
            "Try again once it trains.",
        )
    step = last.get("step")
    return step if isinstance(step, int) else None


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = (path / MANIFEST).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
