"""The right to commit: a lease that is held, and no checkpoint of somebody who lost it.

A process that was frozen while it held the run may wake up after its place was
taken, in the middle of a save. No lease can call that write back, so what it
commits is known by its attempt, and moved to `superseded/`.

Layer: run. Imports monitor, checkpoint and core.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from evertrain.checkpoint.catalog import Catalog, step_names
from evertrain.checkpoint.commit import Tools
from evertrain.checkpoint.directory import opened
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.read import read_manifest
from evertrain.checkpoint.shelf import set_aside
from evertrain.checkpoint.store import Store
from evertrain.core.errors import EvertrainError
from evertrain.core.journal import Journal, Row
from evertrain.core.lock import Lease, Owner
from evertrain.monitor.metrics import int_of


@dataclass(slots=True)
class Claim:
    """What one attempt must have to commit.

    Attributes:
        lease: Proof of ownership.
        store: Where it commits.
        journal: Where it is written down what had to go.
        say: Prints one line.
        run_id: The run. What was copied here from another one is nobody's late word.
        tools: Disk and clock.
        base_step: Step that the attempt has gone on from: whatever lies behind it is its own.
            None until then: what lies behind what it chose is still to be demoted, or to stay.
    """

    lease: Lease
    store: Store
    journal: Journal
    say: Callable[[str], None]
    run_id: str
    tools: Tools
    base_step: int | None = None
    _known: frozenset[str] = field(default_factory=frozenset)

    @property
    def owner(self) -> Owner:
        """Who holds the lease."""
        return self.lease.owner

    def enter(self) -> None:
        """Move aside what was committed too late, before anything is chosen.

        Raises:
            OSError: The disk refused.
        """
        infos = Catalog(self.store.path).infos()
        self._move(late(infos, self.journal.events("attempt_started", "resumed", "saved")))

    def check(self) -> None:
        """Return if this attempt may commit; move aside what stands in its way.

        Raises:
            FencedError: A later attempt took the run, or the lock file is gone.
        """
        self.lease.check()
        with suppress(OSError):  # a checkpoint that cannot be moved is in the way, and no more
            self._evict()

    def _evict(self) -> None:
        if self.base_step is None:
            return
        names = frozenset(step_names(self.store.path))
        if names - self._known:
            infos = self.store.list()  # it knows its own, whose manifests need no reading
            self._move(intruders(infos, self.owner.attempt, self.base_step))
        self._known = names

    def _move(self, found: Sequence[CheckpointInfo]) -> None:
        found = [info for info in found if self._is_of_this_run(info)]
        moved = set_aside(self.store.path, [info.step for info in found], self.tools)
        for info, path in zip(found, moved, strict=True):
            place = str(path.relative_to(self.store.path))
            about = {"step": info.step, "path": place, "writer": info.attempt}
            self.journal.record("disowned", about, must=False, attempt=self.owner.attempt)
            self.say(
                f"evertrain: attempt {info.attempt} has saved step {info.step} after it had lost"
                f" the run; that is not resumed from, and lies in {place}"
            )

    def _is_of_this_run(self, info: CheckpointInfo) -> bool:
        try:
            with opened(info.path) as directory:
                return read_manifest(directory).run_id == self.run_id
        except (EvertrainError, OSError):  # damaged, or gone: others look after that
            return False


def late(found: Iterable[CheckpointInfo], journal_rows: Sequence[Row]) -> list[CheckpointInfo]:
    """Return the checkpoints whose writer had lost the run when it committed them. Pure.

    That is certain where a later attempt, before the journal heard of the checkpoint, if it
    ever did, began and found nothing as new, or has gone on from an earlier step: had it
    been there, that attempt would have taken it, or set it aside. Of what comes back by
    hand, the journal had heard.

    Args:
        found: Checkpoints in their places.
        journal_rows: Its events `attempt_started`, `resumed` and `saved`, oldest first.
    """
    return [info for info in found if _is_late(info, journal_rows)]


def _is_late(info: CheckpointInfo, journal_rows: Iterable[Row]) -> bool:
    for row in journal_rows:
        attempt = int_of(row, "attempt")
        if attempt is None:
            continue
        if row.get("event") == "saved" and (attempt, row.get("step")) == (info.attempt, info.step):
            return False
        if attempt > info.attempt and _was_not_there(info, row):
            return info.attempt > 0  # else no attempt wrote it
    return False


def _was_not_there(info: CheckpointInfo, row: Row) -> bool:
    """Say whether an attempt that told `row` cannot have seen a checkpoint in its place."""
    match row:
        case {"event": "attempt_started", "newest": int(step)}:
            return step < info.step
        case {"event": "resumed", "step": int(step)}:
            return step < info.step
        case _:
            return False


def intruders(
    found: Iterable[CheckpointInfo], attempt: int, base_step: int
) -> list[CheckpointInfo]:
    """Return the checkpoints that only a process which lost the run can have put there. Pure.

    Args:
        found: Checkpoints in their places.
        attempt: The attempt that owns the run.
        base_step: Step that it went on from: there was nothing behind it then.
    """
    return [info for info in found if 0 < info.attempt < attempt and info.step > base_step]
