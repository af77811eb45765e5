"""`evertrain status RUN`: one look at how a run is doing.

Layer: cli.
"""

from dataclasses import asdict
from typing import Any

import click

from evertrain.checkpoint.space import Outlook
from evertrain.cli.facts import (
    best,
    demoted,
    progress,
    run_json,
    shares,
    stability,
    time_json,
)
from evertrain.cli.render import (
    Column,
    ago,
    clean,
    json_option,
    local_time,
    print_json,
    print_pairs,
    print_table,
    size,
)
from evertrain.core.clock import SYSTEM_CLOCK, human_duration, rfc3339
from evertrain.core.disk import human_room
from evertrain.core.journal import Row, read_lines
from evertrain.core.rundir import open_run_dir
from evertrain.monitor.attempt import Attempt
from evertrain.monitor.read import RunStatus
from evertrain.monitor.read import status as read_status
from evertrain.supervise.policy.explain import Standing, explain, standing_of

_SHOWN_ATTEMPTS = 10
_MANY = 1000  # saves; nobody counts further


@click.command(epilog="Example: evertrain status runs/trading --json | jq .run.state")
@click.argument("run")
@json_option
def status(*, run: str, as_json: bool) -> None:
    """Say how a run is doing.

    One word for its state: new, running, stopped, finished, crashed, gave-up,
    or unknown if its owner is on another machine.
    """
    run_dir = open_run_dir(run)
    found = read_status(run_dir)
    standing = standing_of(
        read_lines(run_dir.journal).rows,
        SYSTEM_CLOCK.now_s(),
        is_supervised=found.state in {"running", "unknown"},
    )
    if as_json:
        times = {each.attempt: time_json(each.account) for each in found.spent}
        attempts = [
            _attempt_json(each) | {"time": times.get(each.number)} for each in found.attempts
        ]
        print_json(
            {
                "run": run_json(found),
                "attempts": attempts,
                "restarts": asdict(standing) if standing else None,
                "bad_lines": found.bad_line_count,
            }
        )
        return
    print(f"{clean(str(found.path))}: {found.state} - {clean(found.reason)}\n")
    pairs = [*_pairs(found), *(_restarts(standing) if standing else [])]
    if found.state == "crashed":
        pairs.append(("advice", f"nobody restarts it; go on with: evertrain resume {found.path}"))
    print_pairs([(clean(label), clean(value)) for label, value in pairs])
    if found.attempts:
        print()
        shown = found.attempts[-_SHOWN_ATTEMPTS:]
        if len(shown) < len(found.attempts):
            print(f"the last {len(shown)} of {len(found.attempts)} attempts:")
        print_table(_COLUMNS, [_attempt_row(each) for each in shown])


_COLUMNS = (
    Column("Attempt", "right"),
    Column("Started"),
    Column("Lasted", "right"),
    Column("Steps"),
    Column("End"),
    Column("Why"),
)


def _pairs(found: RunStatus) -> list[tuple[str, str]]:  # noqa: C901  (one line for each)
    unit, last = found.identity.unit, found.checkpoint
    pairs = [(unit, progress(found) + _percent(found))]
    if found.stage:
        pairs.append(("stage", found.stage))
    pairs.append(("checkpoint", f"{last.step}, {ago(last.age_s)}" if last else "none yet"))
    if last and found.state == "running":
        work = human_duration(last.at_risk_s or 0.0)
        pairs.append(("at risk", f"{_count(last.at_risk_steps, unit)}, {work} of work"))
    elif last and last.at_risk_steps:
        pairs.append(("to replay", _count(last.at_risk_steps, unit)))
    if found.rung:
        pairs.append(("rung", _rung(found.rung)))
    if found.pace:
        pairs.append(("saves", _pace(found.pace)))
    if found.best:
        pairs.append(("best", best(found)))
    if found.demoted:
        pairs.append(("demoted", demoted(found)))
    pairs.append(("crashes", _crashes(found)))
    if found.account.total_s:
        pairs.append(("time", shares(found.account)))
    kept = _count(len(found.checkpoints), "checkpoint")
    pairs.append(("on disk", f"{size(found.size_bytes)}, {kept}"))
    if found.disk and found.state != "finished":
        pairs.append(("disk", _disk(found.disk)))
    if found.bad_line_count:
        pairs.append(("damaged", f"{_count(found.bad_line_count, 'line')} of the journal skipped"))
    return pairs


def _crashes(found: RunStatus) -> str:
    """Return how many, and whether that is often."""
    verdict = stability(found).verdict
    return f"{found.crash_count} ({verdict})" if verdict else str(found.crash_count)


def _rung(row: Row) -> str:
    """Return which setting of the ladder is in force, and why."""
    return f"{row.get('name')}, {row.get('index')} of {row.get('count')}: {row.get('why')}"


def _restarts(found: Standing) -> list[tuple[str, str]]:
    """Return how the supervisor counts, and what a person can do about it."""
    return [("restarts", explain(found)), *(("advice", each) for each in found.advice)]


def _pace(row: Row) -> str:
    """Return how often the run saves, and why."""
    interval_s, rule, why = row.get("interval"), row.get("rule"), row.get("why")
    if not isinstance(interval_s, (int, float)):
        return str(rule)
    return f"every {human_duration(interval_s)} by {rule} (why: {why})"


def _disk(outlook: Outlook) -> str:
    """Return how much is free, and for how many saves that will do."""
    free = f"{human_room(outlook.room)} free"
    if not outlook.next_bytes or outlook.saves is None:
        return free
    count = "low: no room" if outlook.saves == 0 else f"room for {min(outlook.saves, _MANY)}"
    more = " or more" if outlook.saves > _MANY else ""
    low = "low: " if outlook.is_low and outlook.saves else ""
    return f"{free}, next save about {size(outlook.next_bytes)}, {low}{count}{more}"


def _percent(found: RunStatus) -> str:
    return f" ({100 * found.step / found.total:.0f} %)" if found.total else ""


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _attempt_row(attempt: Attempt) -> list[str]:
    steps = [attempt.first_step, attempt.last_step]
    return [
        str(attempt.number),
        local_time(attempt.started_at_s),
        _lasted(attempt),
        " -> ".join(str(each) for each in steps if each is not None) or "-",
        attempt.end,
        attempt.why or "-",
    ]


def _lasted(attempt: Attempt) -> str:
    if attempt.started_at_s is None or attempt.ended_at_s is None:
        return "-"
    return human_duration(attempt.ended_at_s - attempt.started_at_s)


def _attempt_json(attempt: Attempt) -> dict[str, Any]:
    return {
        "attempt": attempt.number,
        "pid": attempt.pid,
        "host": attempt.host,
        "started_at": rfc3339(attempt.started_at_s),
        "ended_at": rfc3339(attempt.ended_at_s),
        "first_step": attempt.first_step,
        "last_step": attempt.last_step,
        "end": attempt.end,
        "why": attempt.why or None,
    }
