"""Which checkpoints kill whoever restores them, told from a journal. Pure.

An attempt says `restoring` before it puts a checkpoint back, and `stepped` when a
step behind it has ended. One that dies in between has done nothing but restore.
Three of them in a row are a loop, and an older checkpoint may lead out of it.

An attempt that got further and crashed has no part in this: a run that crashes
between two saves would only lose more by going back.

Layer: monitor. Imports core only.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from evertrain.core.journal import Row
from evertrain.monitor.metrics import int_of

MAX_DEATHS: Final = 3
# Its last word, whatever it was: it ended by itself, or because somebody wanted it to.
_LAST_WORDS: Final = frozenset({"closed", "failed", "stopped", "finished"})


def deadly(journal_rows: Sequence[Row]) -> dict[str, tuple[int, ...]]:
    """Return the checkpoints to pass over: of each, the attempts that it killed in a row.

    Args:
        journal_rows: Events of `journal.jsonl`, oldest first, of a run in which no attempt
            is alive, except perhaps one that has not begun to restore.

    Returns:
        By path, as `restoring` has it: relative to `checkpoints/`.
    """
    events = _events_by_attempt(journal_rows)
    deaths: dict[str, list[int]] = {}
    for row in journal_rows:
        attempt, path = int_of(row, "attempt"), str(row.get("path"))
        match row.get("event"):
            case "gave_up":  # whoever starts it again has looked at it, and perhaps mended it
                deaths.clear()
            case "saved":  # another checkpoint of that name
                deaths.pop(path, None)
            case "restoring" if attempt is not None:
                if "stepped" in events[attempt]:
                    deaths.pop(path, None)
                elif _has_died(events[attempt]):
                    deaths.setdefault(path, []).append(attempt)
            case _:
                pass
    return {path: tuple(found) for path, found in deaths.items() if len(found) >= MAX_DEATHS}


def _has_died(events: frozenset[str]) -> bool:
    """Say whether an attempt with these events was killed, rather than ended.

    A supervisor knows: what it was asked to stop is no crash, and an exception is one. By
    hand, somebody has read the exception, and only an end without a word counts.
    """
    return "crashed" in events if "ended" in events else not events & _LAST_WORDS


def _events_by_attempt(journal_rows: Iterable[Row]) -> Mapping[int, frozenset[str]]:
    found: dict[int, set[str]] = {}
    for row in journal_rows:
        attempt = int_of(row, "attempt")
        if attempt is not None:
            found.setdefault(attempt, set()).add(str(row.get("event")))
    return {attempt: frozenset(events) for attempt, events in found.items()}
