"""What the supervisor leaves in the run directory. A full disk does not end the supervision.

Layer: supervise. Imports core only.
"""

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evertrain.core.clock import Clock, rfc3339
from evertrain.core.errors import CorruptError
from evertrain.core.journal import Journal
from evertrain.core.rundir import new_identity, read_identity, write_identity
from evertrain.supervise import report
from evertrain.supervise.cause import signal_name
from evertrain.supervise.decide import Stop
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
        self._journal = Journal(task.run_dir.journal, clock=clock)

    def began(self, pid: int) -> None:
        """Record the start of this supervisor."""
        options = asdict(self._task.options)
        self.record("supervisor_started", pid=pid, command=self._task.command, options=options)

    def ended(self, record: Record) -> None:
        """Record the end of an attempt, whatever it was."""
        outcome = record.outcome
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
            sync=False,
        )

    def crashed(self, record: Record, count: int) -> None:
        """Record a crash, the `count`-th of this supervisor, and write its post-mortem."""
        with suppress(OSError):
            report.write_crash(self._task.run_dir, record, self._task.command)
        self.record(
            "crashed",
            attempt=record.attempt,
            cause=record.cause,
            code=record.outcome.code,
            signal=signal_name(record.outcome.code),
            seconds=round(record.outcome.seconds, 3),
            count=count,
            limit=self._task.options.max_crashes,
            message=record.tail.exception,
        )

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
            self.record("gave_up", why=verdict.why, cause=last.cause if last else None)

    def ensure_identity(self) -> None:
        """Make the directory a run where no `Run` in the child will."""
        task, known = self._task, None
        with suppress(CorruptError):  # then a new one, as where there is none
            known = read_identity(task.run_dir)
        if known is None:
            identity = new_identity(clock=self._clock, command=task.command, cwd=str(Path.cwd()))
            with suppress(OSError):
                write_identity(task.run_dir, identity)

    def record(self, event: str, **fields: Any) -> None:
        """Record `event`, or show why that is impossible."""
        try:
            self._journal.record(event, **fields)
        except OSError as error:
            self._screen.say(f"The journal does not record {event!r}: {error}", "yellow")
