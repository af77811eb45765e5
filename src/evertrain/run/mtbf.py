"""How long this run lives between crashes, learned from its journal. Pure.

Layer: run. Imports monitor and core.
"""

from collections.abc import Sequence
from typing import Final

from evertrain.core.journal import Row
from evertrain.monitor.attempt import attempts_of, unix_s
from evertrain.monitor.metrics import int_of

# What is assumed before anything is known: as if it had crashed once, after four hours.
PRIOR_S: Final = 4 * 3600.0
# A longer one between two words of an attempt is a clock that was set, or a machine that slept.
SILENCE_S: Final = 86_400.0


def mean_life_s(journal_rows: Sequence[Row]) -> float:
    """Return the mean time between crashes, seconds.

    All attempts count with the time that they lived; only those that neither
    finished nor stopped count as crashes. The newest, the one that asks, is no crash.

    Args:
        journal_rows: Events of `journal.jsonl`, oldest first.
    """
    before = attempts_of(journal_rows)[:-1]
    lived_s = _lived_s(journal_rows)
    crashes = sum(each.end == "crashed" for each in before)
    return (PRIOR_S + sum(lived_s.get(each.number, 0.0) for each in before)) / (1 + crashes)


def _lived_s(journal_rows: Sequence[Row]) -> dict[int, float]:
    """Return how long each attempt lived, from word to word: the clock may jump in between."""
    lived_s: dict[int, float] = {}
    last_s: dict[int, float] = {}
    for row in journal_rows:
        number, at_s = int_of(row, "attempt"), unix_s(row.get("time"))
        if number is None or at_s is None:
            continue
        gap_s = at_s - last_s.get(number, at_s)
        lived_s[number] = lived_s.get(number, 0.0) + min(max(0.0, gap_s), SILENCE_S)
        last_s[number] = at_s
    return lived_s
