"""The owner's side of the inbox: it takes requests, acts on them and acknowledges them.

Layer: run. Imports monitor, checkpoint and core.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from evertrain.checkpoint.store import Store
from evertrain.core.clock import Clock
from evertrain.core.errors import NotFoundError
from evertrain.core.fs import LOCAL_FS, Fs
from evertrain.core.journal import Journal
from evertrain.core.lock import Owner
from evertrain.core.request import Request, pending
from evertrain.core.rundir import RunDir
from evertrain.monitor.attempt import unix_s
from evertrain.run.opening import ENV_SUPERVISED

EVERY_S: Final = 0.25

# What the owner's loop carries out; the inbox does the rest itself.
_FOR_THE_LOOP: Final = frozenset({"stop", "save"})


def addressed_since_s(journal: Journal, owner: Owner, environ: Mapping[str, str]) -> float:
    """Return since when requests are meant for `owner`, Unix seconds.

    What was asked of an attempt that is gone is void: it stopped, if not as it was asked to.
    Under a supervisor it is the supervised training that was asked, from its first attempt on.
    """
    row = journal.last("supervisor_started") if ENV_SUPERVISED in environ else None
    began_s = unix_s(row.get("time")) if row is not None else None
    return began_s or unix_s(owner.since) or 0.0


class Inbox:
    """Looks at its requests now and then, at boundaries.

    A request is acknowledged, acted on, and only then deleted: an attempt that is
    killed in between leaves it to its supervisor, which does not start another one
    after a `stop`, and to the next attempt, which saves.

    Args:
        run_dir: Whose requests.
        store: Where pins are made.
        journal: Where each request is acknowledged.
        clock: Source of the pace.
        since_s: Unix time from which on stops and saves are meant for this owner; older
            ones are acknowledged as stale, and not obeyed.
        fs: Disk to delete them from.
    """

    def __init__(  # noqa: PLR0913  (what, for whom, and the outside world)
        self,
        run_dir: RunDir,
        store: Store,
        journal: Journal,
        clock: Clock,
        *,
        since_s: float,
        fs: Fs = LOCAL_FS,
    ) -> None:
        """Drop what is not meant for this owner; look at once the first time."""
        self._run_dir, self._store, self._journal, self._clock = run_dir, store, journal, clock
        self._fs = fs
        self._due_s = 0.0
        self._taken: list[Request] = []
        self._acted: set[str] = set()
        self._drop_stale(since_s)

    def take(self, *, keep: bool = False) -> list[Request]:
        """Acknowledge what waits, pin and unpin, and return what else was asked.

        At most four times a second; in between it costs one look at the clock.
        Whoever comes back has acted on what was returned before.

        Args:
            keep: Whether that is still under way, or was refused: then it is not
                deleted yet, and an owner killed now leaves it to the next one.
        """
        now_s = self._clock.monotonic_s()
        if now_s < self._due_s:
            return []
        self._due_s = now_s + EVERY_S
        if not keep:
            self.done()
        before = {each.id for each in self._taken} | self._acted
        for request in pending(self._run_dir):
            if request.id in before:
                continue
            self._acknowledge(request)
            if request.verb in _FOR_THE_LOOP:
                self._taken.append(request)
            else:
                self._pin(request)
                self._remove(request)
        return [each for each in self._taken if each.id not in before]

    @property
    def is_asked_to_stop(self) -> bool:
        """Whether a stop waits. Takes nothing: what else waits is for the next boundary."""
        return any(each.verb == "stop" for each in pending(self._run_dir))

    @property
    def wants_save(self) -> bool:
        """Whether a save that was asked for is not known to be on the disk."""
        return any(each.verb == "save" for each in self._taken)

    def done(self) -> None:
        """Delete what `take` returned: the loop has acted on it."""
        for request in self._taken:
            self._remove(request)
        self._taken.clear()

    def _acknowledge(self, request: Request, *, is_stale: bool | None = None) -> None:
        event = f"{request.verb}_requested"
        self._journal.record(event, must=False, request=request.id, is_stale=is_stale)

    def _pin(self, request: Request) -> None:
        if request.step is None:
            return
        change = self._store.pin if request.verb == "pin" else self._store.unpin
        # Gone meanwhile, or the disk refused: the asker sees no `pinned` event.
        with suppress(NotFoundError, OSError):
            change(request.step)
            event = f"{request.verb}ned"
            self._journal.record(event, must=False, step=request.step, request=request.id)

    def _drop_stale(self, since_s: float) -> None:
        """Drop what was there before; what comes from the future, a clock that went back left."""
        until_s = self._clock.now_s() + 1.0  # names of files are rounded
        for request in pending(self._run_dir):
            posted_at_s = request.posted_at_s
            is_stale = posted_at_s is not None and not since_s <= posted_at_s <= until_s
            if is_stale and request.verb in _FOR_THE_LOOP:
                self._acknowledge(request, is_stale=True)
                self._remove(request)

    def _remove(self, request: Request) -> None:
        self._acted.add(request.id)  # once is enough, even if the disk refuses to delete it
        with suppress(OSError):
            self._fs.unlink(self._run_dir.inbox / f"{request.id}.json")
