"""The lives of a run, told from its journal. Pure.

Layer: monitor. Imports core only.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal

from evertrain.core.clock import is_time
from evertrain.core.errors import EXIT_STOPPED
from evertrain.core.journal import Row
from evertrain.monitor.metrics import int_of, number_of

End = Literal["running", "stopped", "finished", "crashed"]

SILENT: Final = "ended without a word: killed, out of memory, or the machine went down"
_ENDS: Final[dict[str, End]] = {"stopped": "stopped", "finished": "finished", "failed": "crashed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One process lifetime of a run.

    Attributes:
        number: From 1; also the fencing token.
        pid: Its process, or None where the journal does not say.
        host: Machine it ran on, or None.
        started_at_s: Unix time of its start, or None.
        ended_at_s: Unix time of its end; None while it runs, or if it left no word.
        first_step: Step it resumed at; 0 is a fresh start, None is not known.
        last_step: Newest step that the journal knows of, or None.
        end: How it ended, or "running".
        why: Reason of the end, for people; empty while it runs.
        total: Steps that it wanted, or None.
    """

    number: int
    pid: int | None = None
    host: str | None = None
    started_at_s: float | None = None
    ended_at_s: float | None = None
    first_step: int | None = None
    last_step: int | None = None
    end: End = "running"
    why: str = ""
    total: int | None = None


def attempts_of(journal_rows: Iterable[Row]) -> list[Attempt]:
    """Return the attempts of a journal, oldest first.

    One that ended without a word counts as crashed as soon as a later one
    began; the newest stays "running" until somebody looks whether it lives.
    """
    found: dict[int, Attempt] = {}
    for row in journal_rows:
        if row.get("event") == "supervisor_stopped" and found:
            _stop(found, _text(row, "why"))
        number = int_of(row, "attempt")
        if number is None or number < 1:
            continue
        found[number] = _told(found.get(number, Attempt(number=number)), row)
    ordered = [found[number] for number in sorted(found)]
    return [closed(each) if each.end == "running" else each for each in ordered[:-1]] + ordered[-1:]


def _stop(found: dict[int, Attempt], why: str) -> None:
    """End the newest attempt as stopped, if its supervisor has only seen it end."""
    newest = found[max(found)]
    if newest.end == "running" and newest.ended_at_s is not None:
        found[newest.number] = replace(newest, end="stopped", why=why)


def closed(attempt: Attempt, why: str = SILENT) -> Attempt:
    """Return `attempt` as one that died without a word."""
    return replace(attempt, end="crashed", why=why)


def unix_s(text: object) -> float | None:
    """Return an RFC 3339 time as Unix seconds, or None if it is none."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    at_s = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    return at_s if is_time(at_s) else None


def is_commit(row: Row) -> bool:
    """Say whether a checkpoint was saved that others go on from: not the wreck of a crash."""
    return row.get("event") == "saved" and not str(row.get("path")).startswith("emergency/")


def _told(attempt: Attempt, row: Row) -> Attempt:
    """Return what is known of `attempt` after one more event."""
    tell = _TELL.get(str(row.get("event")))
    return tell(attempt, row) if tell else attempt


def _launched(attempt: Attempt, row: Row) -> Attempt:
    """Add what the supervisor says of any command, `Run` or not."""
    return replace(attempt, pid=int_of(row, "pid"), started_at_s=unix_s(row.get("time")))


def _started(attempt: Attempt, row: Row) -> Attempt:
    return replace(
        attempt,
        pid=int_of(row, "pid"),
        host=_text(row, "host") or None,
        started_at_s=attempt.started_at_s or unix_s(row.get("time")),
        total=int_of(row, "total"),
    )


def _resumed(attempt: Attempt, row: Row) -> Attempt:
    step, total = int_of(row, "step"), int_of(row, "total")
    return replace(attempt, first_step=step, last_step=step, total=total or attempt.total)


def _saved(attempt: Attempt, row: Row) -> Attempt:
    step = int_of(row, "step")
    return attempt if step is None else replace(attempt, last_step=step)


def _ended(attempt: Attempt, row: Row) -> Attempt:
    return replace(
        _saved(attempt, row),
        end=_ENDS[row["event"]],
        why=_text(row, "why") or _text(row, "error"),
        ended_at_s=unix_s(row.get("time")),
    )


def _crashed(attempt: Attempt, row: Row) -> Attempt:
    """Add the supervisor's verdict; the exception that the trainer named stays the reason."""
    at_s, lasted_s = unix_s(row.get("time")), number_of(row, "seconds")
    started_at_s = attempt.started_at_s
    if started_at_s is None and at_s is not None and lasted_s is not None:
        started_at_s = at_s - lasted_s
    cause, message = _text(row, "cause"), _text(row, "message")
    said = attempt.why if attempt.end == "crashed" else ""
    parts = dict.fromkeys([cause, said or message])
    return replace(
        attempt,
        end="crashed",
        why=": ".join(part for part in parts if part) or "crashed",
        started_at_s=started_at_s,
        ended_at_s=attempt.ended_at_s or at_s,
    )


def _preempted(attempt: Attempt, row: Row) -> Attempt:
    """Add that it was interrupted from outside, which is no crash."""
    why = _text(row, "summary") or "interrupted from outside"
    at_s = attempt.ended_at_s or unix_s(row.get("time"))
    return replace(attempt, end="stopped", why=why, ended_at_s=at_s)


def _swept(attempt: Attempt, row: Row) -> Attempt:
    """Add the end as the supervisor saw it, or the shim if the supervisor had died."""
    first, last = int_of(row, "step_from"), int_of(row, "step_to")
    attempt = replace(
        attempt,
        first_step=first if attempt.first_step is None else attempt.first_step,
        last_step=last if attempt.last_step is None else attempt.last_step,
        ended_at_s=attempt.ended_at_s or unix_s(row.get("time")),
    )
    if attempt.end != "running":
        return attempt
    if row.get("by") == "shim":
        was_asked = row.get("phase") not in {"running", "hung"}
        how = _text(row, "signal") or f"exit code {row.get('code')}"
        why = f"the supervisor died; then {how}"
        return replace(attempt, end="stopped" if was_asked else "crashed", why=why)
    if row.get("code") == EXIT_STOPPED:
        return replace(attempt, end="stopped", why="on request")
    return attempt  # what to make of it, the supervisor says in its next line


def _text(row: Row, key: str) -> str:
    """Return the first line under `key`; files may hold anything."""
    value = row.get(key)
    lines = value.strip().splitlines() if isinstance(value, str) else []
    return lines[0] if lines else ""


_TELL: Final[dict[str, Callable[[Attempt, Row], Attempt]]] = {
    "launched": _launched,
    "attempt_started": _started,
    "restoring": _resumed,
    "resumed": _resumed,
    "saved": _saved,
    "stopped": _ended,
    "finished": _ended,
    "failed": _ended,
    "crashed": _crashed,  # by the supervisor, after the trainer's own last word if it had one
    "preempted": _preempted,  # as that
    "ended": _swept,
}
