"""How a supervised run stands with its ledgers, in a sentence. Pure.

Layer: supervise. Imports monitor and core.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from evertrain.core.clock import human_duration
from evertrain.core.errors import ConfigError
from evertrain.core.journal import Row
from evertrain.monitor.attempt import unix_s
from evertrain.monitor.metrics import number_of
from evertrain.supervise.options import SuperviseOptions
from evertrain.supervise.policy import ledger
from evertrain.supervise.policy.past import ends_of, event_of, that_count


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a run stands with its ledgers.

    Attributes:
        crashes: How many count.
        limit: The one at which it stops; 0 is unlimited.
        window_s: For how long each counts, seconds; None is for ever.
        no_progress: Crashes in a row without a newer checkpoint.
        preemptions: Interruptions from outside since it last got somewhere.
        next_s: Seconds until the next attempt, or None.
        last_cause: Why the last one died, or None.
        trying: What is tried next, if not the same again; "" for nothing.
        advice: What a person can do about the last one.
    """

    crashes: int
    limit: int
    window_s: float | None
    no_progress: int
    preemptions: int
    next_s: float | None
    last_cause: str | None
    trying: str = ""
    advice: tuple[str, ...] = ()


def standing_of(
    journal_rows: Sequence[Row], now_s: float, *, is_supervised: bool = True
) -> Standing | None:
    """Return how a run stands; None if no supervisor has counted anything since the last look.

    One that gave up is shown as it stood then.

    Args:
        journal_rows: Events of `journal.jsonl`, oldest first.
        now_s: Unix time, seconds.
        is_supervised: Whether its supervisor lives: nobody else starts anything.
    """
    end = len(journal_rows) - (bool(journal_rows) and journal_rows[-1].get("event") == "gave_up")
    rows = that_count(journal_rows[:end])
    started = next((r for r in reversed(rows) if r.get("event") == "supervisor_started"), None)
    done = [row for row in rows if event_of(row) in {"crashed", "preempted"}]
    if started is None or not done:
        return None
    ends, options = ends_of(_without_newest_launch(rows)), _options(started)
    newest = rows[-1]
    wait_s, since_s = number_of(newest, "seconds"), unix_s(newest.get("time"))
    is_waiting = is_supervised and newest.get("event") == "backoff"
    is_waiting = is_waiting and wait_s is not None and since_s is not None
    left_s = (since_s or 0.0) + (wait_s or 0.0) - now_s
    return Standing(
        crashes=ledger.crash_count(ends, options, now_s),
        limit=options.limit,
        window_s=options.counted_s,
        no_progress=sum(end.gain.progress is False for end in ledger.stuck_ends(ends)),
        preemptions=ledger.interruptions(ends),
        next_s=min(max(0.0, left_s), wait_s or 0.0) if is_waiting else None,
        last_cause=_line(done[-1].get("summary")) or None,
        trying=str(newest.get("why") or "") if is_waiting else "",
        advice=tuple(filter(None, (_line(each) for each in _list(done[-1], "advice")))),
    )


def explain(found: Standing) -> str:
    """Return it as one line: "4 crashes in the last hour, 6 left; next restart in 12 s; ..."."""
    window = "" if found.window_s is None else f" in the last {_window(found.window_s)}"
    noun = "crash" if found.crashes == 1 else "crashes"
    left = f", {max(0, found.limit - found.crashes)} left" if found.limit else ", no limit"
    parts = [f"{found.crashes} {noun}{window}{left}"]
    if found.no_progress > 1:
        parts.append(f"the last {found.no_progress} without a newer checkpoint")
    if found.preemptions:
        parts.append(f"{found.preemptions} of {ledger.MAX_PREEMPTIONS} interruptions from outside")
    if found.trying:
        parts.append(found.trying)
    if found.next_s is not None:
        parts.append(f"next restart in {human_duration(found.next_s)}")
    if found.last_cause:
        parts.append(f"last cause: {found.last_cause}")
    return "; ".join(parts)


def _without_newest_launch(rows: Sequence[Row]) -> list[Row]:
    """Return `rows` less the launch of an attempt that may be alive: it is not lost yet."""
    last = max((at for at, row in enumerate(rows) if event_of(row) == "launched"), default=-1)
    return [row for at, row in enumerate(rows) if at != last]


def _list(row: Row, key: str) -> list[object]:
    value = row.get(key)
    return value if isinstance(value, list) else []


def _line(value: object) -> str:
    return value.partition("\n")[0] if isinstance(value, str) else ""


def _window(seconds: float) -> str:
    text = ledger.span(seconds)
    return {"1 h": "hour", "1 m": "minute", "1 d": "day"}.get(text, text)


def _options(started: Row) -> SuperviseOptions:
    """Return the options of a supervisor as it wrote them down; a file may hold anything."""
    known = started.get("options")
    names = {each.name for each in fields(SuperviseOptions)}
    given: dict[str, Any] = known if isinstance(known, dict) else {}
    try:
        return SuperviseOptions(**{key: value for key, value in given.items() if key in names})
    except (ConfigError, TypeError, ValueError, AttributeError):
        return SuperviseOptions()
