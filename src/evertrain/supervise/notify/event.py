"""Which rows of a journal are worth a message, and what it says. Pure.

Layer: supervise. Imports core only.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from evertrain.core.disk import human_bytes
from evertrain.core.printable import printable

Row = Mapping[str, Any]

# What `--notify-on` takes, and what each means.
EVENTS: Final = {
    "crash": "an attempt crashed",
    "gave-up": "the supervisor starts nothing any more",
    "hang": "a training stands still",
    "nan": "a metric that was a number is none any more, or an attempt crashed of one",
    "disk": "the disk has no room for two saves, or refused one",
    "best": "a new best checkpoint",
    "finished": "the training is complete",
    "stopped": "it was stopped on request",
}
DEFAULT: Final = frozenset(EVENTS) - {"best", "stopped"}

_MAX_TEXT: Final = 400


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to tell.

    Attributes:
        event: One of `EVENTS`.
        text: What happened, in a line.
        attempt: Of which attempt, or None.
        step: At which step, or None.
        time: RFC 3339 time, or "".
    """

    event: str
    text: str
    attempt: int | None = None
    step: int | None = None
    time: str = ""


def note_of(row: Row) -> Note | None:
    """Return what to tell about a row of the journal, or None."""
    tell = _TELL.get(str(row.get("event")))
    found = tell(row) if tell is not None else None
    return None if found is None else worded(*found, row)


def wanted(note: Note, events: Collection[str]) -> Note | None:
    """Return what the journal is worth to those who asked for `events`; a crash of NaN is both."""
    if note.event == "nan" and note.event not in events:
        note = replace(note, event="crash")
    return note if note.event in events else None


def worded(event: str, text: str, row: Row) -> Note:
    """Return a note with a text that any place can show."""
    shown = printable(" ".join(text.split()))
    shown = shown if len(shown) <= _MAX_TEXT else f"{shown[: _MAX_TEXT - 3]}..."
    time = row.get("time")
    return Note(
        event,
        shown,
        _number(row, "attempt"),
        _number(row, "step"),
        time if isinstance(time, str) else "",
    )


def _crashed(row: Row) -> tuple[str, str]:
    cause = _text(row, "summary") or _text(row, "cause") or "no reason known"
    message, count, limit = _text(row, "message"), _number(row, "count"), _number(row, "limit")
    more = f": {message}" if message and message not in cause else ""
    counted = f" (crash {count} of {limit or 'any number'})" if count is not None else ""
    advice = row.get("advice")
    texts = [each for each in advice if isinstance(each, str)] if isinstance(advice, list) else []
    event = "nan" if _text(row, "kind").lower() == "nan" else "crash"
    said = f"attempt {_number(row, 'attempt')} crashed: {cause}{more}{counted}"
    return event, f"{said} - {texts[0]}" if texts else said


def _gave_up(row: Row) -> tuple[str, str]:
    parts = [_text(row, "why"), _text(row, "cause")]
    return "gave-up", "gave up: " + (": ".join(part for part in parts if part) or "no reason known")


def _hang(row: Row) -> tuple[str, str]:
    phase, silent_s = _text(row, "phase"), row.get("silent_s")
    where = f" in {phase}" if phase else ""
    at = f" at step {_number(row, 'step'):,}" if _number(row, "step") is not None else ""
    since = f", silent for {silent_s:.0f} s" if isinstance(silent_s, int | float) else ""
    return "hang", f"attempt {_number(row, 'attempt')} hangs{where}{at}{since}"


def _saved(row: Row) -> tuple[str, str] | None:
    if row.get("is_best") is not True:
        return None
    return "best", f"new best checkpoint at step {_number(row, 'step') or 0:,}"


def _finished(row: Row) -> tuple[str, str]:
    step, why = _number(row, "step"), _text(row, "why")
    return "finished", "training finished" + (f" at step {step:,}" if step is not None else "") + (
        f": {why}" if why else ""
    )


def _stopped(row: Row) -> tuple[str, str]:
    return "stopped", f"stopped: {_text(row, 'why') or 'on request'}"


def _disk_low(row: Row) -> tuple[str, str]:
    free, needed = _number(row, "free"), _number(row, "needed")
    sizes = [f"{human_bytes(free)} free"] if free is not None else []
    sizes += [f"a save takes {human_bytes(needed)}"] if needed is not None else []
    return "disk", ", ".join([f"disk low ({_text(row, 'state') or '?'})", *sizes])


def _save_failed(row: Row) -> tuple[str, str]:
    return "disk", f"the save of step {_number(row, 'step')} failed: {_text(row, 'error')}"


def _text(row: Row, key: str) -> str:
    value = row.get(key)
    return value.strip() if isinstance(value, str) else ""


def _number(row: Row, key: str) -> int | None:
    value = row.get(key)
    return value if type(value) is int else None


_TELL: Final[dict[str, Callable[[Row], tuple[str, str] | None]]] = {
    "crashed": _crashed,
    "gave_up": _gave_up,
    "hang": _hang,
    "hang_observed": _hang,
    "saved": _saved,
    "finished": _finished,
    "supervisor_stopped": _stopped,
    "disk_low": _disk_low,
    "save_failed": _save_failed,
}
