"""Retention: which checkpoints stay when disk space is finite.

A rule decides, `verdicts` guards, and the store does the deleting. Rules are
plain functions, so a user writes a new one without subclassing anything; ours
also say why they keep what they keep.

Layer: checkpoint. Imports core only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Protocol

from evertrain.checkpoint.custom import check_rules, check_steps
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.period import span_text, wall_clock
from evertrain.checkpoint.rank import ranked
from evertrain.core.errors import ConfigError

Found = Sequence[CheckpointInfo]


class Keep(Protocol):
    """A retention rule: a pure function from what exists to what must stay."""

    def __call__(self, found: Found, /) -> frozenset[int]:
        """Return the steps to keep. `found` is sorted by step, ascending."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A `Keep` that gives its reasons.

    Attributes:
        label: What a user would call it: "keep_last(5)".
        why: From what exists (sorted by step) to the steps to keep, each with a reason.
    """

    label: str
    why: Callable[[Found], Mapping[int, str]]

    def __call__(self, found: Found, /) -> frozenset[int]:
        """See `Keep`."""
        return frozenset(self.why(found))

    def __str__(self) -> str:
        """Return the label."""
        return self.label


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to one checkpoint, and why.

    Attributes:
        step: Its step.
        is_kept: Whether it stays.
        reasons: Why it stays; empty if it goes.
    """

    step: int
    is_kept: bool
    reasons: tuple[str, ...]


def keep_last(count: int) -> Rule:
    """Keep the `count` most recent checkpoints. `count` is 1 or more.

    Raises:
        ConfigError: `count` is less.
    """
    _check_count("keep_last", count)

    def why(found: Found) -> dict[int, str]:
        return {
            info.step: f"last {place} of {count}"
            for place, info in enumerate(reversed(found[-count:]), start=1)
        }

    return Rule(f"keep_last({count})", why)


def keep_best(count: int) -> Rule:
    """Keep the `count` highest scores, ties to the later. `count` is 1 or more.

    A checkpoint without a score, or with NaN for one, is never among the best.

    Raises:
        ConfigError: `count` is less.
    """
    _check_count("keep_best", count)

    def why(found: Found) -> dict[int, str]:
        best = ranked(found)[:count]
        return {info.step: f"best {place}" for place, info in enumerate(best, start=1)}

    return Rule(f"keep_best({count})", why)


def keep_every(*, steps: int) -> Rule:
    """Keep the first checkpoint at or after each multiple of `steps`, for good.

    Raises:
        ConfigError: `steps` is less than 1.
    """
    _check_count("keep_every", steps)

    def why(found: Found) -> dict[int, str]:
        first: dict[int, int] = {}
        for info in found:
            first.setdefault(info.step // steps, info.step)
        return {step: f"every {steps}" for multiple, step in first.items() if multiple > 0}

    return Rule(f"keep_every(steps={steps})", why)


def keep_stages() -> Rule:
    """Keep what ended a stage, or the run."""

    def why(found: Found) -> dict[int, str]:
        return {info.step: info.kind for info in found if info.kind in {"stage", "final"}}

    return Rule("keep_stages()", why)


def keep_hourly(count: int, *, zone: tzinfo | None = None) -> Rule:
    """Keep the newest checkpoint of each of the last `count` hours that have one.

    Hours without a checkpoint do not count, so a pause costs nothing.

    Args:
        count: Hours, 1 or more.
        zone: Whose hours; None is the local time zone.

    Raises:
        ConfigError: `count` is less.
    """
    # The offset tells the two hours apart that a clock shows when summer time ends.
    return _newest_of("hourly", count, zone, lambda at: (at.utcoffset(), at.date(), at.hour))


def keep_daily(count: int, *, zone: tzinfo | None = None) -> Rule:
    """Keep the newest checkpoint of each of the last `count` days that have one.

    Args:
        count: Days, 1 or more.
        zone: Whose days, from midnight to midnight; None is the local time zone.

    Raises:
        ConfigError: `count` is less.
    """
    return _newest_of("daily", count, zone, datetime.date)


def keep_within(*, days: float = 0, hours: float = 0, minutes: float = 0) -> Rule:
    """Keep what was saved in the time before the newest checkpoint.

    Counted from there and not from now: a run that rests for a month loses nothing. The
    newest is the one of the highest step: a clock that went back makes none older.

    Raises:
        ConfigError: The time is not longer than nothing.
    """
    try:
        span = timedelta(days=days, hours=hours, minutes=minutes)
    except (ValueError, OverflowError):
        span = timedelta()
    if span <= timedelta():
        raise ConfigError(
            f"keep_within got days={days!r}, hours={hours!r}, minutes={minutes!r}.",
            "a rule that keeps nothing protects nothing.",
            "Give a length of time: keep_within(days=2, hours=12)",
        )

    def why(found: Found) -> dict[int, str]:
        first_s = found[-1].saved_at_s - span.total_seconds() if found else 0.0
        return {
            info.step: f"within {span_text(span)}" for info in found if info.saved_at_s >= first_s
        }

    return Rule(f"keep_within({span_text(span)})", why)


def keep_all() -> Rule:
    """Keep everything."""

    def why(found: Found) -> dict[int, str]:
        return dict.fromkeys((info.step for info in found), "all")

    return Rule("keep_all()", why)


def keep_any(*rules: Keep) -> Rule:
    """Keep whatever at least one of `rules` keeps.

    Raises:
        ConfigError: There is no rule, or one is none.
    """
    check_rules("keep_any", *rules)
    if not rules:
        raise ConfigError(
            "keep_any() has no rule.",
            "a rule that keeps nothing protects nothing.",
            "Give it rules: keep_any(keep_last(5), keep_best(1))",
        )

    def why(found: Found) -> dict[int, str]:
        reasons: dict[int, str] = {}
        for rule in rules:
            for step, reason in _reasons(rule, found).items():
                reasons[step] = f"{reasons[step]}, {reason}" if step in reasons else reason
        return reasons

    return Rule(f"keep_any({', '.join(_label(rule) for rule in rules)})", why)


def verdicts(found: Found, keep: Keep, protect: Mapping[int, str] | None = None) -> list[Verdict]:
    """Return what happens to each checkpoint, oldest first.

    The newest one and the pinned ones stay, whatever `keep` says: a wrong
    rule may cost disk space, but not the run.

    Args:
        found: What exists, in any order.
        keep: The rule.
        protect: Steps that must stay, each with the reason.

    Raises:
        ConfigError: `keep` returned something else than steps.
    """
    ordered = sorted(found, key=lambda info: info.step)
    ruled = _reasons(keep, ordered)
    guarded = protect or {}

    def reasons(info: CheckpointInfo) -> tuple[str, ...]:
        given = (
            ruled.get(info.step),
            "pinned" if info.is_pinned else None,
            "newest" if info is ordered[-1] else None,
            guarded.get(info.step),
        )
        return tuple(reason for reason in given if reason)

    return [Verdict(info.step, bool(reasons(info)), reasons(info)) for info in ordered]


def _newest_of(
    word: str, count: int, zone: tzinfo | None, period: Callable[[datetime], object]
) -> Rule:
    """Keep the newest checkpoint of each of the last `count` periods that have one."""
    _check_count(f"keep_{word}", count)

    def why(found: Found) -> dict[int, str]:
        newest: dict[object, int] = {}
        for info in reversed(found):  # by step: a clock that went back makes none older
            at = wall_clock(info.saved_at_s, zone)
            if at is not None and len(newest) < count:
                newest.setdefault(period(at), info.step)
        return {step: f"{word} {place}" for place, step in enumerate(newest.values(), start=1)}

    return Rule(f"keep_{word}({count})", why)


def _reasons(rule: Keep, found: Found) -> Mapping[int, str]:
    if isinstance(rule, Rule):
        return rule.why(found)
    return dict.fromkeys(check_steps(_label(rule), rule(found)), _label(rule))


def _label(rule: Keep) -> str:
    return str(rule) if isinstance(rule, Rule) else getattr(rule, "__name__", "custom rule")


def _check_count(name: str, count: int) -> None:
    if type(count) is not int or count < 1:
        raise ConfigError(
            f"{name} got {count!r}.",
            "a rule that keeps nothing protects nothing.",
            "Give 1 or more; to keep everything, use keep_all().",
        )
