"""How long this run lives between crashes, learned from its journal and its age. Pure.

Layer: run. Imports monitor and core.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from evertrain.core.journal import Row
from evertrain.monitor.attempt import attempts_of, unix_s
from evertrain.monitor.metrics import int_of

# A longer life than this is not believed, seconds: a calm day does not make the next one calm.
LONGEST_S: Final = 4 * 3600.0
# A longer one between two words of an attempt is a clock that was set, or a machine that slept.
SILENCE_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Past:
    """What the attempts before this one lived through.

    Attributes:
        lived_s: How long they lived together, seconds.
        crashes: How many of them crashed.
    """

    lived_s: float = 0.0
    crashes: int = 0

    def mean_life_s(self, age_s: float) -> float:
        """Return the time between crashes that is to be expected, seconds.

        Nothing is assumed of a run that is new: it may be expected to live as long again as
        it has. Most trainings that crash do so early and soon again, and whoever saves too
        often meanwhile pays the budget of the saving rule at most.

        Args:
            age_s: How long this attempt has lived so far, seconds.
        """
        return min(LONGEST_S, (self.lived_s + max(0.0, age_s)) / (1 + self.crashes))


def past_of(journal_rows: Sequence[Row]) -> Past:
    """Return what became of the attempts before the newest, which is the one that asks.

    All count with the time that they lived; only those that neither finished nor stopped
    count as crashes.

    Args:
        journal_rows: Events of `journal.jsonl`, oldest first.
    """
    before = attempts_of(journal_rows)[:-1]
    lived_s = _lived_s(journal_rows)
    return Past(
        lived_s=sum(lived_s.get(each.number, 0.0) for each in before),
        crashes=sum(each.end == "crashed" for each in before),
    )


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
