"""What is known about a run, read from its files alone. Takes no lock, writes nothing.

Whatever a crash left behind (torn lines, missing files, a checkpoint that
vanishes while being looked at) makes the answer poorer, never an error.

Layer: monitor. Imports checkpoint and core.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evertrain.checkpoint.catalog import Catalog, demoted
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.rank import ranked, rule_of
from evertrain.checkpoint.share import disk_bytes
from evertrain.checkpoint.space import Outlook
from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.document import CARD_BYTES, parse_json
from evertrain.core.errors import NotFoundError
from evertrain.core.journal import Row, read_lines
from evertrain.core.regular import read_regular
from evertrain.core.rundir import Identity, RunDir, read_identity
from evertrain.monitor.attempt import Attempt, attempts_of
from evertrain.monitor.disk import outlook_of
from evertrain.monitor.goodput import Account, Spent, total
from evertrain.monitor.life import Life, State, decide, look, settled
from evertrain.monitor.metrics import int_of, number_of
from evertrain.monitor.tail import tail_rows
from evertrain.monitor.timesheet import spent


@dataclass(frozen=True, slots=True)
class LastCheckpoint:
    """The newest checkpoint, and what a crash now would cost.

    Attributes:
        step: Its step.
        saved_at_s: Unix time of its save.
        age_s: Seconds since then.
        at_risk_steps: Steps done since; 0 or more.
        at_risk_s: Seconds of work since, or None while nothing runs.
    """

    step: int
    saved_at_s: float
    age_s: float
    at_risk_steps: int
    at_risk_s: float | None


@dataclass(frozen=True, slots=True)
class Best:
    """The best checkpoint.

    Attributes:
        step: Its step.
        metric: Name of the metric that decides, or None if it is not known.
        value: That metric's value, or its score.
    """

    step: int
    metric: str | None
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """One run at one moment.

    Attributes:
        path: The run directory.
        identity: What `run.json` says.
        state: One word. "unknown": its owner is on another machine.
        reason: The rest of the sentence, for people.
        step: Newest step known, saved or not.
        total: Steps wanted, or None.
        stage: Name of the stage it is in, or None.
        attempts: Oldest first.
        crash_count: Attempts that crashed.
        checkpoints: Committed ones, ascending by step.
        checkpoint: The newest one, or None.
        best: The best one, or None.
        size_bytes: Bytes on disk, hard-linked files once.
        bad_line_count: Journal lines that did not parse.
        rung: The setting of a ladder in force, and why: `name index count why`; None is none.
        pace: How often the newest attempt saves, and why: `rule interval why`; None is unknown.
        disk: How long its disk will do; None where the file system does not say.
        demoted: Checkpoints that are whole, and killed whoever restored them.
        spent: What became of the time of each attempt, oldest first.
    """

    path: Path
    identity: Identity
    state: State
    reason: str
    step: int
    total: int | None
    stage: str | None
    attempts: tuple[Attempt, ...]
    crash_count: int
    checkpoints: tuple[CheckpointInfo, ...]
    checkpoint: LastCheckpoint | None
    best: Best | None
    size_bytes: int
    bad_line_count: int
    rung: Row | None = None
    pace: Row | None = None
    disk: Outlook | None = None
    demoted: tuple[CheckpointInfo, ...] = ()
    spent: tuple[Spent, ...] = ()

    @property
    def account(self) -> Account:
        """What became of the time of all of them."""
        return total(self.spent)


def status(run_dir: RunDir | Path, *, clock: Clock = SYSTEM_CLOCK) -> RunStatus:
    """Return what is known about a run.

    Raises:
        NotFoundError: There is no run.
        FormatError: It was written by a newer version.
        CorruptError: Its `run.json` is damaged.
    """
    where = run_dir if isinstance(run_dir, RunDir) else RunDir(run_dir)
    journal = read_lines(where.journal)
    identity = read_identity(where) or _stand_in(journal.rows)
    if identity is None:
        raise NotFoundError(
            f"there is no run at {str(where.path)!r}.",
            f"{where.identity} does not exist.",
            "List the runs here with: evertrain ls",
        )
    life, now_s = look(where, clock), clock.now_s()
    attempts = settled(attempts_of(journal.rows), life)
    state, reason = decide(journal.rows, attempts, life, now_s)
    found = checkpoints_of(where)
    step = _step(where, attempts, found, life)
    return RunStatus(
        path=where.path,
        identity=identity,
        state=state,
        reason=reason,
        step=step,
        total=attempts[-1].total if attempts else None,
        stage=_stage(journal.rows),
        attempts=tuple(attempts),
        crash_count=sum(each.end == "crashed" for each in attempts),
        checkpoints=tuple(found),
        checkpoint=_last(found, attempts, step, now_s, is_running=state == "running"),
        best=_best(found),
        size_bytes=disk_bytes(where.path),
        bad_line_count=journal.bad_count,
        rung=_rung(journal.rows, attempts),
        pace=next((row for row in reversed(journal.rows) if row.get("event") == "paced"), None),
        disk=outlook_of(where.checkpoints, journal.rows, found[-1].path if found else None),
        demoted=tuple(demoted(where.checkpoints)),
        spent=tuple(spent(journal.rows, now_s if state == "running" else None)),
    )


def is_run(path: Path) -> bool:
    """Say whether a directory is a run, or is becoming one under a supervisor."""
    run_dir = RunDir(path)
    # Unlike Path.is_file, this says no to a directory that may not be looked into.
    return any(os.path.isfile(each) for each in (run_dir.identity, run_dir.journal))  # noqa: PTH113


def _stand_in(journal_rows: Sequence[Row]) -> Identity | None:
    """Return what the journal says of a supervised command that is no `Run` (yet)."""
    started = next((r for r in journal_rows if r.get("event") == "supervisor_started"), None)
    if started is None:
        return None
    command, time = started.get("command"), started.get("time")
    words = [str(each) for each in command] if isinstance(command, list) else []
    return Identity(id="", created_at=time if isinstance(time, str) else "", command=words)


def checkpoints_of(run_dir: RunDir) -> list[CheckpointInfo]:
    """Return the committed checkpoints of a run, ascending by step."""
    return Catalog(run_dir.checkpoints).infos()


def metadata_of(info: CheckpointInfo) -> dict[str, Any]:
    """Return the `metadata.json` of a checkpoint; empty if it cannot be read."""
    try:
        found = parse_json(read_regular(info.path / "metadata.json", CARD_BYTES))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _step(
    run_dir: RunDir, attempts: Sequence[Attempt], found: Sequence[CheckpointInfo], life: Life
) -> int:
    """Return the newest step of the newest attempt, whoever knows it."""
    if not attempts:
        return found[-1].step if found else 0
    last = attempts[-1]
    logged = [
        int(number_of(row, "step") or 0)
        for row in tail_rows(run_dir.metrics)
        if int_of(row, "attempt") == last.number
    ]
    saved = [each.step for each in found if each.attempt == last.number]
    known = [last.first_step, last.last_step, life.beat_step, *logged, *saved]
    return max((each for each in known if each is not None), default=0)


def _rung(journal_rows: Sequence[Row], attempts: Sequence[Attempt]) -> Row | None:
    """Return what the newest attempt says of its ladder; None if it has none."""
    newest = next((row for row in reversed(journal_rows) if row.get("event") == "rung"), None)
    is_newest = newest is None or not attempts or newest.get("attempt") == attempts[-1].number
    return newest if is_newest else None


def _stage(journal_rows: Sequence[Row]) -> str | None:
    for row in reversed(journal_rows):
        if row.get("event") == "stage_started":
            name = row.get("stage")
            return name if isinstance(name, str) else None
    return None


def _last(
    found: Sequence[CheckpointInfo],
    attempts: Sequence[Attempt],
    step: int,
    now_s: float,
    *,
    is_running: bool,
) -> LastCheckpoint | None:
    if not found:
        return None
    newest = found[-1]
    age_s = max(0.0, now_s - newest.saved_at_s)
    since_s = max(newest.saved_at_s, (attempts[-1].started_at_s if attempts else None) or 0.0)
    at_risk_s = max(0.0, now_s - since_s) if is_running else None
    return LastCheckpoint(
        newest.step, newest.saved_at_s, age_s, max(0, step - newest.step), at_risk_s
    )


def _best(found: Sequence[CheckpointInfo]) -> Best | None:
    rule = rule_of(found)
    best_first = ranked(found, rule)
    if not best_first:
        return None
    top = best_first[0]
    if rule is not None and rule.metric in top.metrics:
        return Best(top.step, rule.metric, top.metrics[rule.metric])
    return Best(top.step, top.metric_name, top.score)
