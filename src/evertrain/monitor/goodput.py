"""Where a run's time went: useful work, work done twice, and waiting to work. Pure.

Work counts as useful once a checkpoint holds it. What an attempt did after its
last checkpoint was lost with it and is done again.

Layer: monitor. Imports core only.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from evertrain.core.journal import Row
from evertrain.monitor.attempt import unix_s
from evertrain.monitor.metrics import int_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Seconds of a run's life, from its first start to its last sign of life.

    Attributes:
        useful_s: Work that the newest checkpoint holds.
        repeated_s: Work that died with its attempt and was done again.
        waiting_s: The rest: starting, restarting, pausing.
    """

    useful_s: float
    repeated_s: float
    waiting_s: float

    @property
    def total_s(self) -> float:
        """All of it."""
        return self.useful_s + self.repeated_s + self.waiting_s

    @property
    def goodput(self) -> float:
        """Useful part of the whole, 0 to 1; 0 for a run that has not lived."""
        return self.useful_s / self.total_s if self.total_s > 0 else 0.0


@dataclass(slots=True)
class _Life:
    """One attempt, as far as it was read: times are Unix seconds."""

    resumed_s: float | None = None
    safe_s: float | None = None
    last_s: float = 0.0


def account(journal_rows: Iterable[Row]) -> Account:
    """Return where the time went.

    Args:
        journal_rows: Events of `journal.jsonl`, oldest first. Rewinds count
            what they set aside as useful: it was wanted then.
    """
    lives: dict[int, _Life] = {}
    times: list[float] = []
    for row in journal_rows:
        at_s, number = unix_s(row.get("time")), int_of(row, "attempt")
        if at_s is None:
            continue
        times.append(at_s)
        if number is not None:
            _tell(lives.setdefault(number, _Life()), str(row.get("event")), at_s)
    useful_s = sum(_between(life.resumed_s, life.safe_s) for life in lives.values())
    repeated_s = sum(_between(life.safe_s, life.last_s) for life in lives.values())
    total_s = max(times) - min(times) if times else 0.0
    return Account(
        useful_s=useful_s,
        repeated_s=repeated_s,
        waiting_s=max(0.0, total_s - useful_s - repeated_s),
    )


def _tell(life: _Life, event: str, at_s: float) -> None:
    if event == "resumed":
        life.resumed_s = life.safe_s = at_s
    elif event in {"saved", "finished"} and life.resumed_s is not None:
        life.safe_s = at_s
    if event in {"resumed", "saved", "failed", "stopped", "finished", "ended", "crashed"}:
        life.last_s = max(life.last_s, at_s)


def _between(start_s: float | None, end_s: float | None) -> float:
    return max(0.0, end_s - start_s) if start_s is not None and end_s is not None else 0.0
