"""The seven classes of a run's time, which add up to the whole. Pure.

Layer: monitor. Imports nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, Literal

Kind = Literal["useful", "startup", "saving", "restoring", "replayed", "backoff", "stalled"]
KINDS: Final[tuple[Kind, ...]] = (
    "useful",
    "startup",
    "saving",
    "restoring",
    "replayed",
    "backoff",
    "stalled",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Seconds of a run's life, or of one attempt's, each in one class.

    Attributes:
        useful_s: Work that the run kept; of an attempt that lives, all its work so far.
        startup_s: From the start of a process until it trains, and its way out after.
        saving_s: The loop stood still for saves.
        restoring_s: Checkpoints were read back.
        replayed_s: Work that died with its attempt, and is done again.
        backoff_s: From a crash until the next process was started.
        stalled_s: A hang, from its last sign of life until it was over.
    """

    useful_s: float = 0.0
    startup_s: float = 0.0
    saving_s: float = 0.0
    restoring_s: float = 0.0
    replayed_s: float = 0.0
    backoff_s: float = 0.0
    stalled_s: float = 0.0

    @property
    def total_s(self) -> float:
        """All of it."""
        return sum(self.seconds().values())

    @property
    def goodput(self) -> float:
        """Useful part of the whole, 0 to 1; 0 for a run that has not lived."""
        return self.useful_s / self.total_s if self.total_s > 0 else 0.0

    def seconds(self) -> dict[Kind, float]:
        """Return the seconds of each class, in the order of `KINDS`."""
        return {kind: getattr(self, f"{kind}_s") for kind in KINDS}

    def percent(self) -> dict[Kind, float]:
        """Return each class in per cent with one decimal; they add up to 100, or are all 0."""
        total_s = self.total_s
        if total_s <= 0:
            return dict.fromkeys(KINDS, 0.0)
        exact = {kind: 1000 * value / total_s for kind, value in self.seconds().items()}
        floors = {kind: int(value) for kind, value in exact.items()}
        # The largest remainders get what rounding down has left over.
        short = 1000 - sum(floors.values())
        for kind in sorted(KINDS, key=lambda each: floors[each] - exact[each])[:short]:
            floors[kind] += 1
        return {kind: value / 10 for kind, value in floors.items()}


@dataclass(frozen=True, slots=True)
class Spent:
    """What became of the time of one attempt, and of the wait before it.

    Attributes:
        attempt: Its number.
        account: Its seconds.
    """

    attempt: int
    account: Account


def total(parts: Sequence[Spent]) -> Account:
    """Return the sum of what some attempts spent."""
    names = [each.name for each in fields(Account)]
    return Account(**{name: sum(getattr(each.account, name) for each in parts) for name in names})
