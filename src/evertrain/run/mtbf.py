"""How long this run lives between crashes, learned from its journal. Pure.

Layer: run. Imports monitor and core.
"""

from collections.abc import Sequence
from typing import Final

from evertrain.core.journal import Row
from evertrain.monitor.attempt import Attempt, attempts_of, unix_s
from evertrain.monitor.metrics import int_of

# What is assumed before anything is known: as if it had crashed once, after four hours.
PRIOR_S: Final = 4 * 3600.0


def mean_life_s(journal_rows: Sequence[Row]) -> float:
    """Return the mean time between crashes, seconds.

    All attempts count with the time that they lived; only those that neither
    finished nor stopped count as crashes. The newest, the one that asks, is no crash.

    Args:
        journal_rows: Events of `journal.jsonl`, oldest first.
    """
    before = attempts_of(journal_rows)[:-1]
    seen_at_s = _last_seen(journal_rows)
    lived_s = sum(_lived_s(each, seen_at_s) for each in before)
    crashes = sum(each.end == "crashed" for each in before)
    return (PRIOR_S + lived_s) / (1 + crashes)


def _lived_s(attempt: Attempt, seen_at_s: dict[int, float]) -> float:
    ended_at_s = attempt.ended_at_s or seen_at_s.get(attempt.number)
    if attempt.started_at_s is None or ended_at_s is None:
        return 0.0
    return max(0.0, ended_at_s - attempt.started_at_s)


def _last_seen(journal_rows: Sequence[Row]) -> dict[int, float]:
    """Return when each attempt last wrote something: one that was killed has no end."""
    found: dict[int, float] = {}
    for row in journal_rows:
        number, at_s = int_of(row, "attempt"), unix_s(row.get("time"))
        if number is not None and at_s is not None:
            found[number] = at_s
    return found
