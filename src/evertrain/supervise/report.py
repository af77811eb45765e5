"""What people read: banners, the post-mortem of a crash, the table at the end.

Layer: supervise. Imports core only.
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from evertrain.core.clock import human_duration, iso_utc
from evertrain.core.fs import LOCAL_FS, Fs, make_dir, write_atomic
from evertrain.core.journal import finite
from evertrain.core.rundir import RunDir
from evertrain.supervise.attempt import Outcome
from evertrain.supervise.cause import Tail, name_of, signal_name
from evertrain.supervise.decide import Restart, Stop
from evertrain.supervise.diagnosis.kind import Diagnosis
from evertrain.supervise.diagnosis.raised import Raised
from evertrain.supervise.end import End
from evertrain.supervise.foreign import Choice
from evertrain.supervise.hang.record import encode_hang
from evertrain.supervise.history import next_checkpoint
from evertrain.supervise.options import SuperviseOptions
from evertrain.supervise.screen import Screen
from evertrain.supervise.task import Task

WIDTH: Final = 60
CRASH_FORMAT: Final = 1
_EXACT_BELOW_S: Final = 10.0
_TITLES: Final = {
    "done": ("Training complete!", "green"),
    "stopped": ("Training stopped.", "yellow"),
    "gave up": ("Gave up.", "red"),
    "locked": ("Not started.", "red"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All that is known about one attempt after its end.

    Attributes:
        attempt: Its number.
        began_at_s: Unix time of its start, seconds.
        outcome: How it ended.
        end: What that means.
        steps: First and last step, None where unknown.
        resumed_from: Checkpoint it began with, or None.
        tail: End of its output.
        safe_at_s: Unix time of the last change of the newest checkpoint of a foreign command,
            or None.
        raised: Exception that ended it, as the best witness has it, or None.
        fault: What `faulthandler` wrote into a file of its own, or "".
    """

    attempt: int
    began_at_s: float
    outcome: Outcome
    end: End
    steps: tuple[int | None, int | None]
    resumed_from: str | None
    tail: Tail
    safe_at_s: float | None = None
    raised: Raised | None = None
    fault: str = ""

    @property
    def diagnosis(self) -> Diagnosis:
        """Why it died."""
        return self.end.diagnosis or Diagnosis(kind="exit", summary=self.cause)

    @property
    def exception(self) -> str | None:
        """The line that says what went wrong, in the program's own words, or None."""
        if self.raised is not None:
            return self.raised.line
        return self.fault.partition("\n")[0] or self.tail.exception

    @property
    def traceback(self) -> str | None:
        """Where that was, or None."""
        if self.raised is not None:
            return self.raised.traceback or self.tail.traceback
        return self.fault or self.tail.traceback

    @property
    def cause(self) -> str:
        """Why it crashed, in one line."""
        if self.outcome.hang is not None:
            return self.outcome.hang.summary
        if self.outcome.unstarted is not None:
            return f"it could not be started: {self.outcome.unstarted}"
        if self.outcome.code is None:
            return "the shim that held it was killed"
        if self.outcome.code == 0 and self.end.is_run:
            return "ended with exit code 0 without finishing"
        return name_of(self.outcome.code)

    @property
    def how(self) -> str:
        """How it ended, in a word or two."""
        if self.end.is_complete:
            return "finished"
        return "stopped" if self.end.was_asked else name_of(self.outcome.code)


def banner(screen: Screen, lines: Sequence[tuple[str, str | None]]) -> None:
    """Show `lines`, each with its color, between two rules."""
    screen.say()
    screen.say("=" * WIDTH, lines[0][1])
    for text, color in lines:
        screen.say(text, color)
    screen.say("=" * WIDTH, lines[0][1])


def introduce(screen: Screen, task: Task) -> None:
    """Show what is going to be supervised, and how."""
    options = task.options
    lines: list[tuple[str, str | None]] = [
        ("evertrain: auto-restart", "blue"),
        (f"Command: {shlex.join(task.command)}", None),
        (f"Run: {task.shown}", None),
        (f"Max crashes before stopping: {options.limit or 'unlimited'}", None),
        (f"Restart delay: {_pause(options)}", None),
    ]
    banner(screen, lines)


def _pause(options: SuperviseOptions) -> str:
    return "by progress, 1s to 300s" if options.backoff else f"{options.delay_s:g}s"


def announce(screen: Screen, task: Task, attempt: int, choice: Choice, *, resume: str) -> None:
    """Show which attempt begins, and where."""
    banner(screen, [(f"Starting training run #{attempt}", "blue")])
    for path, problem in choice.skipped:
        screen.say(f"skipping {path}: {problem}", "yellow")
    if choice.abandoned:
        screen.say(_left_behind(choice.abandoned), "yellow")
    name = next_checkpoint(task.run_dir, resume)
    if choice.found is not None:
        screen.say(f"Found checkpoint: {choice.found.path}", "green")
    elif resume == "never" or task.options.checkpoints or name is None:
        screen.say("Starting fresh training", "blue")
    elif resume in {"auto", "latest", "must"}:
        screen.say(f"Found checkpoint: {task.shown / 'checkpoints' / name}", "green")
    else:
        screen.say(f"Resuming from: {resume}", "green")
    screen.say()


def _left_behind(paths: Sequence[Path]) -> str:
    names = str(paths[0]) if len(paths) == 1 else f"{paths[0]} to {paths[-1]}"
    count = "1 checkpoint" if len(paths) == 1 else f"{len(paths)} checkpoints"
    return f"ignoring {count} of a branch that was left, not written since: {names}"


def conclude(screen: Screen, task: Task, verdict: Stop, records: Sequence[Record]) -> None:
    """Show why it is over, and the table of the attempts."""
    title, color = _TITLES[verdict.kind]
    lines: list[tuple[str, str | None]] = [(title, color)]
    if verdict.why != "training finished":
        lines.append((verdict.why[0].upper() + verdict.why[1:], None))
    if verdict.kind == "gave up" and records:
        path = task.run_dir.crash(records[-1].attempt).relative_to(task.run_dir.path)
        lines.append((f"Last crash: {task.shown / path}", None))
    banner(screen, lines)
    for line in table(records) if records else ():
        screen.say(line)


def runtime(seconds: float) -> str:
    """Return a runtime as the guide shows it: "750s", and "0.4s" where that matters."""
    return f"{seconds:.1f}s" if seconds < _EXACT_BELOW_S else f"{seconds:.0f}s"


def show_crash(screen: Screen, record: Record, count: int, limit: int) -> None:
    """Show what happened, how long it ran, and how many crashes that makes."""
    lines: list[tuple[str, str | None]] = [
        (f"Training crashed! ({_as_in_the_guide(record.cause)})", "red"),
        (f"Runtime before crash: {runtime(record.outcome.seconds)}", None),
        (f"Crash count: {count} / {limit or 'unlimited'}", None),
    ]
    if record.exception is not None:
        lines.insert(1, (record.exception, None))
    banner(screen, [*lines, *_explained(record)])


def _explained(record: Record) -> list[tuple[str, str | None]]:
    """Return the lines that say more of a crash than its code and exception do."""
    found = record.diagnosis
    known = {record.exception, record.cause}
    why = [] if found.summary in known else [(f"Cause: {found.summary}", None)]
    return [*why, *((f"Advice: {each}", "yellow") for each in found.advice)]


def show_preemption(screen: Screen, record: Record) -> None:
    """Show that it was interrupted, and that this is no crash."""
    lines: list[tuple[str, str | None]] = [
        (f"Training interrupted from outside ({record.how})", "yellow"),
        (f"Runtime before that: {runtime(record.outcome.seconds)}", None),
    ]
    banner(screen, [*lines, *_explained(record)])


def show_change(screen: Screen, verdict: Restart) -> None:
    """Show what the next attempt does otherwise, if anything."""
    if verdict.why:
        screen.say(f"{verdict.why[0].upper()}{verdict.why[1:]}.", "yellow")


def _as_in_the_guide(cause: str) -> str:
    return cause.replace("exit code ", "exit code: ", 1) if cause.startswith("exit") else cause


def write_crash(
    run_dir: RunDir, record: Record, command: Sequence[str], *, fs: Fs = LOCAL_FS
) -> None:
    """Write the post-mortem `crashes/attempt-N.json`.

    Durability:
        As `write_atomic`.
    """
    outcome, tail, found = record.outcome, record.tail, record.diagnosis
    row = {
        "format": CRASH_FORMAT,
        "attempt": record.attempt,
        "cause": record.cause,
        "code": outcome.code,
        "signal": signal_name(outcome.code),
        "kind": found.kind,
        "summary": found.summary,
        "evidence": list(found.evidence),
        "advice": list(found.advice),
        "fingerprint": found.fingerprint,
        "fatal": record.end.fatal,
        "exception": record.exception,
        "traceback": record.traceback,
        "last_lines": list(tail.lines),
        "seconds": outcome.seconds,
        "started_at": iso_utc(record.began_at_s),
        "step_from": record.steps[0],
        "step_to": record.steps[1],
        "resumed_from": record.resumed_from,
        "progress": record.end.gain.progress,
        "killed": list(outcome.killed),
        "peak_bytes": outcome.peak_bytes,
        "lost_log_bytes": outcome.lost_log_bytes,
        "hang": None if outcome.hang is None else encode_hang(outcome.hang),
        "command": list(command),
        "log": str(run_dir.log(record.attempt).relative_to(run_dir.path)),
    }
    text = json.dumps(finite(row), indent=2, allow_nan=False) + "\n"
    make_dir(run_dir.crashes, fs=fs)
    write_atomic(run_dir.crash(record.attempt), text.encode(), fs=fs)


def table(records: Sequence[Record]) -> list[str]:
    """Return the attempts as lines of a table, oldest first."""
    head = ("attempt", "start", "runtime", "end", "steps", "resumed from")
    rows = [head, *(_cells(record) for record in records)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _cells(record: Record) -> tuple[str, ...]:
    start = datetime.fromtimestamp(record.began_at_s, tz=UTC).astimezone()
    first, last = ("?" if step is None else f"{step:,}" for step in record.steps)
    return (
        str(record.attempt),
        start.strftime("%Y-%m-%d %H:%M:%S"),
        human_duration(record.outcome.seconds),
        record.how,
        "-" if record.steps == (None, None) else f"{first} -> {last}",
        record.resumed_from or "-",
    )
