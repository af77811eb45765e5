"""Requests from outside: small files that the owner of a run takes and acknowledges.

Layer: run. Imports monitor, checkpoint and core.
"""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args

from evertrain.checkpoint.store import Store
from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.errors import NotFoundError
from evertrain.core.fs import LOCAL_FS, Fs, make_dir, write_atomic
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir
from evertrain.monitor.attempt import unix_s

EVERY_S: Final = 0.25

Verb = Literal["stop", "save", "pin", "unpin"]

# What the owner's loop carries out; the inbox does the rest itself.
_FOR_THE_LOOP: Final = frozenset({"stop", "save"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        id: Its file's stem; the journal acknowledges it under this name.
        verb: What is asked.
        step: Which checkpoint, for pin and unpin.
    """

    id: str
    verb: Verb
    step: int | None = None


def post(
    run_dir: RunDir,
    verb: Verb,
    *,
    step: int | None = None,
    fs: Fs = LOCAL_FS,
    clock: Clock = SYSTEM_CLOCK,
) -> Request:
    """Leave a request for the owner of `run_dir`.

    Durability:
        It survives a power cut, and waits until an owner takes it.
    """
    name = f"{int(clock.now_s() * 1e9):020d}-{verb}-{secrets.token_hex(3)}"
    request = Request(name, verb, step)
    make_dir(run_dir.inbox, fs=fs)
    body = {"verb": verb} | ({} if step is None else {"step": step})
    write_atomic(run_dir.inbox / f"{name}.json", json.dumps(body).encode(), fs=fs)
    return request


def pending(run_dir: RunDir) -> Iterator[Request]:
    """Yield the waiting requests, oldest first. Files that are none are left alone."""
    for name in sorted(_names(run_dir.inbox)):
        found = _read(run_dir.inbox / name)
        verb, step = found.get("verb"), found.get("step")
        if isinstance(verb, str) and verb in get_args(Verb) and isinstance(step, int | None):
            yield Request(Path(name).stem, cast("Verb", verb), step)


class Inbox:
    """The owner's side: looks at its requests now and then, at boundaries.

    A request is acknowledged, acted on, and only then deleted: an owner that is
    killed in between leaves it to the next one.

    Args:
        run_dir: Whose requests.
        store: Where pins are made.
        journal: Where each request is acknowledged.
        clock: Source of the pace.
        fs: Disk to delete them from.
    """

    def __init__(
        self, run_dir: RunDir, store: Store, journal: Journal, clock: Clock, *, fs: Fs = LOCAL_FS
    ) -> None:
        """Drop what came too late for the last attempt; look at once the first time."""
        self._run_dir, self._store, self._journal, self._clock = run_dir, store, journal, clock
        self._fs = fs
        self._due_s = 0.0
        self._taken: list[Request] = []
        self._acted: set[str] = set()
        self._drop_stale()

    def take(self) -> list[Request]:
        """Acknowledge what waits, pin and unpin, and return what else was asked.

        At most four times a second; in between it costs one look at the clock.
        Whoever comes back has acted on what was returned before.
        """
        now_s = self._clock.monotonic_s()
        if now_s < self._due_s:
            return []
        self._due_s = now_s + EVERY_S
        self.done()
        for request in pending(self._run_dir):
            if request.id in self._acted:
                continue
            self._journal.record(f"{request.verb}_requested", must=False, request=request.id)
            if request.verb in _FOR_THE_LOOP:
                self._taken.append(request)
            else:
                self._pin(request)
                self._remove(request)
        return list(self._taken)

    def done(self) -> None:
        """Delete what `take` returned: the loop has acted on it."""
        for request in self._taken:
            self._remove(request)
        self._taken.clear()

    def _pin(self, request: Request) -> None:
        if request.step is None:
            return
        change = self._store.pin if request.verb == "pin" else self._store.unpin
        # Gone meanwhile, or the disk refused: the asker sees no `pinned` event.
        with suppress(NotFoundError, OSError):
            change(request.step)
            event = f"{request.verb}ned"
            self._journal.record(event, must=False, step=request.step, request=request.id)

    def _drop_stale(self) -> None:
        """Delete what the last attempt was asked to do after its last look, and before its end.

        A stop that came while the run was ending anyway must not stop the next start.
        """
        end = self._journal.last("finished", "stopped")
        ended_at_s = None if end is None else unix_s(end.get("time"))
        if ended_at_s is None:
            return
        for request in pending(self._run_dir):
            posted_at_s = _posted_at_s(request)
            is_late = posted_at_s is not None and posted_at_s <= ended_at_s
            if is_late and request.verb in _FOR_THE_LOOP:
                self._remove(request)

    def _remove(self, request: Request) -> None:
        self._acted.add(request.id)  # once is enough, even if the disk refuses to delete it
        with suppress(OSError):
            self._fs.unlink(self._run_dir.inbox / f"{request.id}.json")


def _posted_at_s(request: Request) -> float | None:
    """Return when a request was posted, Unix seconds: its name begins with it, in ns."""
    digits = request.id.partition("-")[0]
    return int(digits) / 1e9 if digits.isascii() and digits.isdecimal() else None


def _names(path: Path) -> list[str]:
    try:
        names = os.listdir(path)  # noqa: PTH208  (called at boundaries: no Path per name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [name for name in names if name.endswith(".json") and not name.startswith(".")]


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
