"""What people read on the screen: banners, and the table at the end.

Layer: supervise. Imports core only.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from evertrain.core.clock import human_duration
from evertrain.supervise.attempt import Outcome
from evertrain.supervise.cause import Tail, name_of
from evertrain.supervise.decide import Restart, Stop
from evertrain.supervise.diagnosis.kind import Diagnosis
from evertrain.supervise.diagnosis.raised import Raised
from evertrain.supervise.end import End
from evertrain.supervise.foreign import Choice
from evertrain.supervise.history import next_checkpoint
from evertrain.supervise.options import GOES_ON, SuperviseOptions
from evertrain.supervise.screen import Screen
from evertrain.supervise.task import Task

WIDTH: Final = 60
_SHOWN: Final = 100  # attempts, at the end: a night on a ladder may have thousands
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

    def condensed(self) -> "Record":
        """Return it without what its program printed, and without stacks and evidence."""
        hang, found = self.outcome.hang, self.end.diagnosis
        if hang is not None:
            hang = replace(hang, stacks=(), moved=(), processes=())
        if found is not None:
            found = replace(found, evidence=(), advice=())
        outcome = replace(self.outcome, hang=hang, killed=())
        end = replace(self.end, diagnosis=found)
        return replace(self, outcome=outcome, end=end, tail=Tail(), raised=None, fault="")


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
    elif resume in GOES_ON:
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
    shown = records[-_SHOWN:]
    if len(shown) < len(records):
        screen.say(f"the last {len(shown)} of {len(records):,} attempts:")
    for line in table(shown) if shown else ():
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


def show_lost_output(screen: Screen, record: Record) -> None:
    """Show how much of its output the disk refused, if any."""
    lost_bytes = record.outcome.lost_log_bytes
    if lost_bytes:
        screen.say(f"{lost_bytes:,} bytes of output did not reach the log.", "yellow")


def show_change(screen: Screen, verdict: Restart) -> None:
    """Show what the next attempt does otherwise, if anything."""
    if verdict.why:
        screen.say(f"{verdict.why[0].upper()}{verdict.why[1:]}.", "yellow")


def _as_in_the_guide(cause: str) -> str:
    return cause.replace("exit code ", "exit code: ", 1) if cause.startswith("exit") else cause


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
