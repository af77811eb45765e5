"""Which faults come, and when: frozen records and a pure rule.

Layer: testing. Imports core only.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from evertrain.core.errors import UsageError

# Whom a signal hits: the process that trains, the one that watches it, or the one between them.
Who = Literal["trainer", "supervisor", "shim"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """SIGKILL: no handler runs.

    Attributes:
        at_s: When, seconds after the beginning.
        who: Whom.
    """

    at_s: float = 0.0
    who: Who = "trainer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang:
    """SIGSTOP, and SIGCONT later: a machine that was suspended, a disk that did not answer.

    Attributes:
        at_s: When, seconds after the beginning.
        who: Whom.
        duration_s: How long it hangs, seconds.
    """

    at_s: float = 0.0
    who: Who = "trainer"
    duration_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupt:
    """SIGINT, as Ctrl+C: a request to stop at the next safe point.

    Attributes:
        at_s: When, seconds after the beginning.
        who: Whom.
    """

    at_s: float = 0.0
    who: Who = "supervisor"


@dataclass(frozen=True, slots=True, kw_only=True)
class FillDisk:
    """A ballast file in the run directory that leaves hardly any room, and goes again.

    Attributes:
        at_s: When, seconds after the beginning.
        duration_s: How long the disk stays full, seconds.
        leave_bytes: Room that is left.
    """

    at_s: float = 0.0
    duration_s: float = 5.0
    leave_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipBits:
    """Bits that change where they lie, in one file; its size and times stay as they were.

    Attributes:
        at_s: When, seconds after the beginning.
        pattern: Glob inside the run directory; one of the files that match is hit.
        count: How many bits.
    """

    at_s: float = 0.0
    pattern: str = "checkpoints/latest/*"
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TearTail:
    """An append that was cut short: half a line without its end, at the end of a file.

    Attributes:
        at_s: When, seconds after the beginning.
        pattern: Glob inside the run directory; one of the files that match is hit.
    """

    at_s: float = 0.0
    pattern: str = "journal.jsonl"


Fault = Kill | Hang | Interrupt | FillDisk | FlipBits | TearTail


def schedule(seed: int, duration_s: float, per_hour: Mapping[Fault, float]) -> tuple[Fault, ...]:
    """Return faults at random moments, in the order of their times. Pure.

    Args:
        seed: The same one gives the same faults at the same moments.
        duration_s: They fall into so many seconds; more than 0.
        per_hour: Which faults, and how often each comes in an hour, on average; their own
            `at_s` does not count. One with a rate above 0 comes at least once.

    Raises:
        UsageError: A rate is negative, or there is no time.
    """
    if duration_s <= 0 or any(rate < 0 for rate in per_hour.values()):
        raise UsageError(
            f"a schedule over {duration_s:g} s with the rates {sorted(per_hour.values())}.",
            "the time must be more than 0, and no fault comes less often than never.",
            "Give seconds above 0, and rates of 0 or more.",
        )
    found: list[Fault] = []
    for number, (fault, rate) in enumerate(per_hour.items()):
        chance = random.Random(f"{seed}/{number}")  # noqa: S311  (no secret; must be repeatable)
        count = max(1, round(rate * duration_s / 3600.0)) if rate > 0 else 0
        found += [replace(fault, at_s=chance.uniform(0.0, duration_s)) for _ in range(count)]
    return tuple(sorted(found, key=lambda each: each.at_s))
