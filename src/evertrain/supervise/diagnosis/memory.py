"""What the kernel says about processes that it killed for want of memory.

A death by SIGKILL proves nothing: anybody can send that. So the kernel's own counters
are read before and after an attempt, whichever of them the machine has. Those of a
control group count what was killed inside it; that of the machine counts everybody.

Layer: supervise. Imports core only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evertrain.core.disk import human_bytes
from evertrain.core.machine import ROOT, groups

_V1_LIMIT: Final = 1 << 60  # version 1 says "no limit" by a huge number
_MACHINE: Final = "proc/vmstat"


@dataclass(frozen=True, slots=True)
class Counter:
    """One count of processes that the kernel killed for want of memory.

    Attributes:
        source: File that has it.
        count: How many, since the group or the machine began.
        is_group: Whether it counts the group of the training only, not the whole machine.
        limit_bytes: What the group may take, or None.
    """

    source: str
    count: int
    is_group: bool
    limit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Kills:
    """What the kernel killed while an attempt lived.

    Attributes:
        in_group: How many in the training's own control group; None where no group counts.
        on_machine: How many on the whole machine; None where it does not count.
        evidence: What the counters said, a line each; only those that moved.
        limit_bytes: What the group may take, or None.
    """

    in_group: int | None = None
    on_machine: int | None = None
    evidence: tuple[str, ...] = ()
    limit_bytes: int | None = None


def read_counters(root: Path = ROOT) -> tuple[Counter, ...]:
    """Return every counter that this machine has: groups first, the innermost of each kind.

    Args:
        root: Where `/proc` and `/sys` are; for tests.
    """
    return (*_of_groups(root), *_of_machine(root))


def compare(before: Sequence[Counter], after: Sequence[Counter]) -> Kills:
    """Return what the counters say that was killed in between.

    Of what is read twice only: a group that came or went says nothing.
    """
    known = {each.source: each.count for each in before}
    both = [each for each in after if each.source in known]
    moved = [(each, each.count - known[each.source]) for each in both]
    in_group = [count for each, count in moved if each.is_group]
    on_machine = [count for each, count in moved if not each.is_group]
    lines = [_line(each, known[each.source]) for each, count in moved if count > 0]
    limits = [each.limit_bytes for each in both if each.limit_bytes is not None]
    return Kills(
        max(in_group, default=None),
        max(on_machine, default=None),
        tuple(lines),
        min(limits, default=None),
    )


def _line(counter: Counter, before: int) -> str:
    limit = counter.limit_bytes
    more = "" if limit is None else f" (limit {human_bytes(limit)})"
    return f"{counter.source}: oom_kill {before} -> {counter.count}{more}"


def _of_groups(root: Path) -> Iterator[Counter]:
    seen: set[str] = set()
    for group in groups(root, "memory"):
        for events, limit in (
            ("memory.events", "memory.max"),
            ("memory.oom_control", "memory.limit_in_bytes"),
        ):
            count = _number(group / events, "oom_kill")
            if count is not None and events not in seen:
                seen.add(events)
                yield Counter(str(group / events), count, True, _limit(group / limit))  # noqa: FBT003


def _of_machine(root: Path) -> Iterator[Counter]:
    count = _number(root / _MACHINE, "oom_kill")
    if count is not None:
        yield Counter(str(root / _MACHINE), count, is_group=False)


def _number(path: Path, name: str) -> int | None:
    """Return the number behind `name` in a file of names and numbers, or None."""
    for line in _text(path).splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == name and words[1].isdecimal():  # noqa: PLR2004
            return int(words[1])
    return None


def _limit(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() and int(text) < _V1_LIMIT else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
