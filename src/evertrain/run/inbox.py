"""Requests from outside: small files that the owner of a run takes and acknowledges.

Layer: run. Imports checkpoint and core.
"""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from evertrain.checkpoint.store import Store
from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.errors import NotFoundError
from evertrain.core.fs import LOCAL_FS, Fs, write_atomic
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir

EVERY_S: Final = 0.25

Verb = Literal["stop", "save", "pin", "unpin"]


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
    fs.mkdir(run_dir.inbox)
    body = {"verb": verb} | ({} if step is None else {"step": step})
    write_atomic(run_dir.inbox / f"{name}.json", json.dumps(body).encode(), fs=fs)
    return request


def pending(run_dir: RunDir) -> Iterator[Request]:
    """Yield the waiting requests, oldest first. Files that are none are left alone."""
    for name in sorted(_names(run_dir.inbox)):
        found = _read(run_dir.inbox / name)
        verb, step = found.get("verb"), found.get("step")
        if verb in {"stop", "save", "pin", "unpin"} and isinstance(step, int | None):
            yield Request(Path(name).stem, verb, step)


class Inbox:
    """The owner's side: looks at its requests now and then, at boundaries.

    Args:
        run_dir: Whose requests.
        store: Where pins are made.
        journal: Where each request is acknowledged.
        clock: Source of the pace.
    """

    def __init__(self, run_dir: RunDir, store: Store, journal: Journal, clock: Clock) -> None:
        """Look at once the first time."""
        self._run_dir, self._store, self._journal, self._clock = run_dir, store, journal, clock
        self._due_s = 0.0

    def take(self) -> list[Request]:
        """Acknowledge what waits, pin and unpin, and return what else was asked.

        At most four times a second; in between it costs one look at the clock.
        """
        now_s = self._clock.monotonic_s()
        if now_s < self._due_s:
            return []
        self._due_s = now_s + EVERY_S
        taken = list(pending(self._run_dir))
        for request in taken:
            self._journal.record(f"{request.verb}_requested", request=request.id)
            self._pin(request)
            done(self._run_dir, request)
        return taken

    def _pin(self, request: Request) -> None:
        if request.verb not in {"pin", "unpin"} or request.step is None:
            return
        change = self._store.pin if request.verb == "pin" else self._store.unpin
        with suppress(NotFoundError):  # gone meanwhile: the asker sees no `pinned` event
            change(request.step)
            self._journal.record(f"{request.verb}ned", step=request.step, request=request.id)


def done(run_dir: RunDir, request: Request, *, fs: Fs = LOCAL_FS) -> None:
    """Remove an acknowledged request."""
    fs.unlink(run_dir.inbox / f"{request.id}.json")


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
