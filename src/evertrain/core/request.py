"""Requests to a run's owner: small files in its inbox, named by the time of their posting.

Layer: core. Imports core only.
"""

import json
import os
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.document import NOTE_BYTES, parse_json
from evertrain.core.fs import LOCAL_FS, Fs, make_dir, write_atomic
from evertrain.core.kinds import is_count
from evertrain.core.layout import check_link
from evertrain.core.regular import read_regular
from evertrain.core.rundir import RunDir

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

    @property
    def posted_at_s(self) -> float | None:
        """When it was posted, Unix seconds: its name begins with it, in ns. None is not known."""
        digits = self.id.partition("-")[0]
        return int(digits) / 1e9 if digits.isascii() and digits.isdecimal() else None


def post(
    run_dir: RunDir,
    verb: Verb,
    *,
    step: int | None = None,
    fs: Fs = LOCAL_FS,
    clock: Clock = SYSTEM_CLOCK,
) -> Request:
    """Leave a request for the owner of `run_dir`.

    Raises:
        ConfigError: Its inbox is a link to something else.
        OSError: The disk refused.

    Durability:
        It survives a power cut, and waits until an owner takes it.
    """
    name = f"{int(clock.now_s() * 1e9):020d}-{verb}-{secrets.token_hex(3)}"
    request = Request(name, verb, step)
    check_link(run_dir.inbox)
    make_dir(run_dir.inbox, fs=fs)
    body = {"verb": verb} | ({} if step is None else {"step": step})
    write_atomic(run_dir.inbox / f"{name}.json", json.dumps(body).encode(), fs=fs)
    return request


def pending(run_dir: RunDir) -> Iterator[Request]:
    """Yield the waiting requests that can be read, oldest first. What is none is left alone."""
    for name in sorted(_names(run_dir.inbox)):
        found = _read(run_dir.inbox / name)
        verb, step = found.get("verb"), found.get("step")
        if isinstance(verb, str) and verb in get_args(Verb) and (step is None or is_count(step)):
            yield Request(Path(name).stem, cast("Verb", verb), step)


def is_waiting(run_dir: RunDir, verb: Verb, *, besides: Collection[str] = ()) -> bool:
    """Say whether somebody has asked for `verb`, in vain so far.

    Args:
        run_dir: Of whom.
        verb: What for.
        besides: Ids of requests that do not count: they were there before.
    """
    return any(each.verb == verb and each.id not in besides for each in pending(run_dir))


def _names(path: Path) -> list[str]:
    try:
        names = os.listdir(path)  # noqa: PTH208  (called at boundaries: no Path per name)
    except OSError:  # none, or closed to this user: a training must not end for what it cannot hear
        return []
    return [name for name in names if name.endswith(".json") and not name.startswith(".")]


def _read(path: Path) -> dict[str, Any]:
    try:
        found = parse_json(read_regular(path, NOTE_BYTES))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
