"""What the supervisor leaves in the run directory. A full disk does not end the supervision.

Layer: supervise. Imports monitor and core.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evertrain.core.clock import Clock, rfc3339
from evertrain.core.errors import CorruptError, EvertrainError
from evertrain.core.fs import LOCAL_FS
from evertrain.core.journal import PATIENCE_S, Journal, Row
from evertrain.core.rundir import new_identity, read_identity, write_identity
from evertrain.monitor.logs import end_of
from evertrain.supervise.cause import signal_name
from evertrain.supervise.decide import Restart, Stop
from evertrain.supervise.diagnosis import witness
from evertrain.supervise.postmortem import write_crash
from evertrain.supervise.report import Record
from evertrain.supervise.screen import Screen
from evertrain.supervise.task import Task


class Notes:
    """Writes journal, post-mortems and, for a foreign command, the run's identity.

    Args:
        task: What is supervised.
        screen: Where people read what could not be written.
        clock: Source of the time.
    """

    def __init__(self, task: Task, *, screen: Screen, clock: Clock) -> None:
        """Write nothing yet."""
        self._task = task
        self._screen = screen
        self._clock = clock
        self._journal = Journal(task.run_dir.journal, clock=clock, patience_s=PATIENCE_S)
        self.on_refusal: Callable[[Row], None] = lambda _: None  # who else wants such a row

    def began(self, pid: int) -> None:
        """Record the start of this supervisor."""
        task = self._task
        options = asdict(task.options)
        self.record(
            "supervisor_started", pid=pid, command=task.command, cwd=str(task.cwd), options=options
        )

    def ended(self, record: Record) -> None:
        """Record the end of an attempt, whatever it was, and complete its log."""
        outcome = record.outcome
        if record.fault:  # it would have stood there, had the program not asked for a file
            self._complete_log(self._task.run_dir.log(record.attempt), record.fault)
        self.record(
            "ended",
            by="supervisor",
            attempt=record.attempt,
            code=outcome.code,
            signal=signal_name(outcome.code),
            seconds=round(outcome.seconds, 3),
            step_from=record.steps[0],
            step_to=record.steps[1],
            killed=list(outcome.killed) or None,
            safe_at=rfc3339(record.safe_at_s),
            progress=record.end.gain.progress,
            sync=False,
        )

    def crashed(self, record: Record, count: int) -> None:
        """Record a crash, the `count`-th of this supervisor, and write its post-mortem."""
        self._write_crash(record)
        found, gain = record.diagnosis, record.end.gain
        self.record(
            "crashed",
            attempt=record.attempt,
            cause=record.cause,
            code=record.outcome.code,
            signal=signal_name(record.outcome.code),
            seconds=round(record.outcome.seconds, 3),
            count=count,
            limit=self._task.options.limit,
            message=record.exception,
            kind=found.kind,
            summary=found.summary,
            advice=list(found.advice) or None,
            fingerprint=found.fingerprint,
            progress=gain.progress,
            useful_s=gain.useful_s,
            died_restoring=gain.died_restoring or None,
            move=gain.move,
        )

    def preempted(self, record: Record) -> None:
        """Record that it was interrupted from outside, and write its post-mortem."""
        self._write_crash(record)
        self.record(
            "preempted",
            attempt=record.attempt,
            code=record.outcome.code,
            signal=signal_name(record.outcome.code),
            seconds=round(record.outcome.seconds, 3),
            summary=record.diagnosis.summary,
            progress=record.end.gain.progress,
        )

    def backed_off(self, verdict: Restart) -> None:
        """Record the pause before the next attempt, and what that does otherwise."""
        about = {"from": verdict.from_}
        self.record(
            "backoff",
            about,
            seconds=verdict.wait_s,
            why=verdict.why or None,
            move=verdict.move,
            sync=verdict.move is not None,
        )

    def _complete_log(self, log: Path, text: str) -> None:
        """Put `text` on lines of its own: before it, a progress bar may have been drawn."""
        is_in_line = end_of(log, 1) not in {b"", b"\n"}
        with suppress(OSError):
            LOCAL_FS.append(log, ("\n" * is_in_line + text).encode())

    def _write_crash(self, record: Record) -> None:
        """Write the post-mortem; what the dying process left is part of it, and goes."""
        run_dir = self._task.run_dir
        with suppress(OSError):
            write_crash(run_dir, record, self._task.command)
            witness.clear(run_dir, record.attempt)

    def last_word(self, verdict: Stop, last: Record | None) -> None:
        """Record why the supervisor ends; for a foreign command also that it is finished."""
        if verdict.kind == "done":
            if last is not None and not last.end.is_run:
                self.record(
                    "finished",
                    by="supervisor",
                    attempt=last.attempt,
                    step=last.steps[1],
                    why="exit code 0",
                    command=self._task.command,
                )
        elif verdict.kind == "stopped":
            self.record("supervisor_stopped", why=verdict.why)
        else:
            found = last.diagnosis if last else None
            self.record(
                "gave_up",
                why=verdict.why,
                cause=last.cause if last else None,
                kind=found.kind if found else None,
                summary=found.summary if found else None,
                advice=list(found.advice) or None if found else None,
            )

    def broken_off(self, error: EvertrainError) -> None:
        """Record why nothing is started any more, where no attempt was to blame for it."""
        self.record("gave_up", why=error.what.rstrip("."), kind="config", advice=[error.fix])

    def ensure_identity(self) -> None:
        """Make the directory a run where no `Run` in the child will."""
        task, known = self._task, None
        with suppress(CorruptError):  # then a new one, as where there is none
            known = read_identity(task.run_dir)
        if known is None:
            identity = new_identity(clock=self._clock, command=task.command, cwd=str(task.cwd))
            with suppress(OSError):
                write_identity(task.run_dir, identity)

    def record(self, event: str, about: Row | None = None, /, **fields: Any) -> None:
        """Record `event`, or show why that is impossible."""
        try:
            self._journal.record(event, about, **fields)
        except OSError as error:
            self._screen.say(f"The journal does not record {event!r}: {error}", "yellow")
            self.on_refusal({"event": event, **fields})
