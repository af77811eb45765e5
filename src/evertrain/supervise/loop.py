"""Start a command, and start it again until it is done.

Layer: supervise. Imports core only.
"""

import json
import os
import shlex
import signal
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from evertrain.core import lock, proc
from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.errors import (
    EXIT_OK,
    EXIT_STOPPED,
    LockedError,
)
from evertrain.core.fs import LOCAL_FS
from evertrain.core.journal import Journal
from evertrain.core.proc import Proc
from evertrain.core.rundir import (
    RunDir,
    claim_run_dir,
    new_identity,
    read_identity,
    write_identity,
)
from evertrain.supervise import foreign, history, report
from evertrain.supervise.attempt import Outcome, run_attempt
from evertrain.supervise.cause import read_tail, signal_name, why_fatal
from evertrain.supervise.command import check_command, default_run_dir
from evertrain.supervise.decide import End, Restart, Stop, decide
from evertrain.supervise.foreign import Choice
from evertrain.supervise.history import Story
from evertrain.supervise.options import SuperviseOptions
from evertrain.supervise.pause import count_down, wait_until_gone
from evertrain.supervise.report import Record
from evertrain.supervise.screen import Screen
from evertrain.supervise.shim import SWEEP_S, TERMINATE_S
from evertrain.supervise.signals import Signals
from evertrain.supervise.wire import Order

# Whatever is still a foreign command after this long will hardly become a Run, seconds.
_FOREIGN_S: Final = 60.0
_SLACK_S: Final = 10.0


def supervise(
    command: Sequence[str],
    run_dir: Path | str | None = None,
    options: SuperviseOptions | None = None,
    *,
    screen: Screen | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> int:
    """Run `command` until it is done, starting it again when it crashes.

    Takes SIGINT, SIGTERM and SIGHUP while it runs: the first one stops the training at its
    next safe point, a second Ctrl+C forces that, a third kills.

    Args:
        command: Program and arguments.
        run_dir: Run directory, new or old; None is `runs/NAME`, see `default_run_dir`.
        options: Limits and pace.
        screen: Where people look; None is standard output.
        clock: Source of the time.

    Returns:
        Exit code: 0 done, 1 the command failed after the training was finished, 11 another
        trainer owns the run, 20 gave up, 75 stopped on request.

    Raises:
        ConfigError: The command does not exist, or the directory cannot be a run.
        LockedError: Another supervisor or trainer owns the run.
        NotFoundError: `options.resume` insists on a checkpoint that is not there.

    Durability:
        The journal gets `launched` and `ended` for each attempt, by whoever survives.
    """
    words = list(command)
    check_command(words)
    options = options or SuperviseOptions()
    screen = screen or Screen(clock=clock)
    shown = Path(run_dir) if run_dir is not None else default_run_dir(words)
    place = claim_run_dir(shown.absolute())
    if options.resume != "never" and history.is_complete(place, words):
        screen.say(f"{shown} is already complete. Train it again with: --resume never", "green")
        screen.flush()
        return EXIT_OK
    with ExitStack() as stack:
        stack.callback(screen.flush)
        task = _Task(command=words, run_dir=place, shown=shown, options=options)
        job = _Job(task, screen=screen, clock=clock)
        LOCAL_FS.mkdir(place.logs)
        stack.enter_context(lock.take(place.supervisor_lock, clock=clock))
        signals = stack.enter_context(Signals())
        return job.run(signals)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What to supervise, and how.

    Attributes:
        command: Program and arguments, as the user gave them.
        run_dir: Where everything of it lies.
        shown: That path as the user knows it.
        options: Limits and pace.
    """

    command: list[str]
    run_dir: RunDir
    shown: Path
    options: SuperviseOptions


class _Job:
    """One supervised command, from the first attempt to the last."""

    def __init__(self, task: _Task, *, screen: Screen, clock: Clock) -> None:
        """Choose where to begin; that may fail, and nothing is touched yet."""
        self._command, self._run_dir = task.command, task.run_dir
        self._shown, self._options = task.shown, task.options
        self._screen, self._clock = screen, clock
        self._journal = Journal(task.run_dir.journal, clock=clock)
        self._records: list[Record] = []
        self._began_at_s = clock.now_s()
        self._next_choice = self._choose(task.options.resume)

    def run(self, signals: Signals) -> int:
        """Attempt after attempt, until there is a reason to stop. Return the exit code."""
        proc.become_subreaper()
        options = asdict(self._options)
        self._journal.record(
            "supervisor_started", pid=os.getpid(), command=self._command, options=options
        )
        self._introduce()
        if not self._wait_for_predecessor(signals):
            return self._stop(Stop("stopped", "stopped before it began", EXIT_STOPPED))
        while True:
            verdict = self._attempt(signals)
            if isinstance(verdict, Stop):
                return self._stop(verdict)
            self._journal.record("backoff", seconds=verdict.wait_s, sync=False)
            if not self._count_down(verdict.wait_s, signals):
                why = "stopped on request; it can go on from here"
                return self._stop(Stop("stopped", why, EXIT_STOPPED))
            self._next_choice = self._choose("auto")

    def _introduce(self) -> None:
        options = self._options
        limit = options.max_crashes or "unlimited"
        report.banner(
            self._screen,
            [
                ("evertrain: auto-restart", "blue"),
                (f"Command: {shlex.join(self._command)}", None),
                (f"Run: {self._shown}", None),
                (f"Max crashes before stopping: {limit}", None),
                (f"Restart delay: {options.delay_s:g}s", None),
            ],
        )

    def _attempt(self, signals: Signals) -> Restart | Stop:
        attempt = history.next_attempt(self._run_dir)
        self._announce(attempt)
        if self._options.checkpoints is not None:
            self._ensure_identity()
        LOCAL_FS.unlink(self._run_dir.heartbeat)
        began_at_s = self._clock.now_s()
        outcome = run_attempt(
            self._order(attempt),
            self._environment(attempt),
            screen=self._screen,
            signals=signals,
            clock=self._clock,
        )
        record = self._judge(attempt, began_at_s, outcome)
        self._records.append(record)
        self._note_end(record)
        return decide([each.end for each in self._records], self._options)

    def _announce(self, attempt: int) -> None:
        screen, found = self._screen, self._next_choice.found
        report.banner(screen, [(f"Starting training run #{attempt}", "blue")])
        for path, problem in self._next_choice.skipped:
            screen.say(f"skipping {path}: {problem}", "yellow")
        latest = self._run_dir.checkpoints / "latest"
        resume = self._options.resume if not self._records else "auto"
        if found is not None:
            screen.say(f"Found checkpoint: {found.path}", "green")
        elif resume == "never" or self._options.checkpoints or not latest.exists():
            screen.say("Starting fresh training", "blue")
        elif resume in {"auto", "latest", "must"}:
            path = self._shown / "checkpoints" / latest.resolve().name
            screen.say(f"Found checkpoint: {path}", "green")
        else:
            screen.say(f"Resuming from: {resume}", "green")
        screen.say()

    def _order(self, attempt: int) -> Order:
        found, template = self._next_choice.found, self._options.resume_arg
        is_handed = found is not None and template is not None
        more = foreign.resume_arguments(template, found) if found and template else []
        return Order(
            command=[*self._command, *more],
            run=str(self._run_dir.path),
            attempt=attempt,
            grace_s=self._options.grace_s,
            size=self._screen.size() if self._screen.is_terminal else None,
            resumed_from=str(found.path) if found and is_handed else None,
        )

    def _environment(self, attempt: int) -> dict[str, str]:
        """Return the child's environment: ours, and what a `Run` in it has to know."""
        env = {key: value for key, value in os.environ.items() if key != "EVERTRAIN_RESUME"}
        if not self._records and self._options.resume != "auto":
            env["EVERTRAIN_RESUME"] = self._options.resume
        return env | {
            "EVERTRAIN_RUN": str(self._run_dir.path),
            "EVERTRAIN_ATTEMPT": str(attempt),
            "EVERTRAIN_HEARTBEAT": str(self._run_dir.heartbeat),
            "EVERTRAIN_SUPERVISED": "1",
            "EVERTRAIN_COMMAND": json.dumps(self._command),
            "EVERTRAIN_CWD": str(Path.cwd()),
            # Whole lines when it is killed, and a traceback when it dies below Python.
            "PYTHONUNBUFFERED": env.get("PYTHONUNBUFFERED", "1"),
            "PYTHONFAULTHANDLER": env.get("PYTHONFAULTHANDLER", "1"),
        }

    def _choose(self, resume: str) -> Choice:
        pattern = self._options.checkpoints
        if pattern is None:
            return Choice(None)
        is_rewound = self._options.resume == "never"
        return foreign.choose(pattern, resume, not_before_s=self._began_at_s if is_rewound else 0.0)

    def _judge(self, attempt: int, began_at_s: float, outcome: Outcome) -> Record:
        """Put together what exit status, journal, lock and log say."""
        story = history.read_story(self._run_dir, attempt)
        tail = read_tail(self._run_dir.log(attempt))
        owner = lock.live_owner(self._run_dir.lock)
        is_complete = story.is_finished or outcome.code == 0
        end = End(
            code=outcome.code,
            is_run=story.is_run,
            is_finished=story.is_finished,
            is_stopped=story.is_stopped,
            stop_requested=outcome.stop_requested,
            is_locked=owner is not None and not story.is_run,
            fatal=None if is_complete else why_fatal(outcome.code, tail, outcome.seconds),
        )
        return Record(
            attempt=attempt,
            began_at_s=began_at_s,
            outcome=outcome,
            end=end,
            steps=self._steps(story),
            resumed_from=story.resumed_from or self._order(attempt).resumed_from,
            tail=tail,
        )

    def _steps(self, story: Story) -> tuple[int | None, int | None]:
        pattern = self._options.checkpoints
        if story.is_run or pattern is None:
            return story.step_from, story.step_to
        first = self._next_choice.found
        saved = foreign.list_found(pattern)
        return (first.step if first else 0), (saved[-1].step if saved else None)

    def _note_end(self, record: Record) -> None:
        """Journal, post-mortem and banner of one end."""
        outcome, end = record.outcome, record.end
        self._journal.record(
            "ended",
            by="supervisor",
            attempt=record.attempt,
            code=outcome.code,
            signal=signal_name(outcome.code),
            seconds=round(outcome.seconds, 3),
            step_from=record.steps[0],
            step_to=record.steps[1],
            killed=list(outcome.killed) or None,
            sync=False,
        )
        if outcome.lost_log_bytes:
            text = f"{outcome.lost_log_bytes:,} bytes of output did not reach the log."
            self._screen.say(text, "yellow")
        if not end.is_run and not end.is_crash:
            self._ensure_identity()
        if end.is_crash:
            if not end.is_run and outcome.seconds >= _FOREIGN_S:
                self._ensure_identity()
            self._note_crash(record)

    def _note_crash(self, record: Record) -> None:
        count = sum(each.end.is_crash for each in self._records)
        with suppress(OSError):  # a full disk may be the very reason of the crash
            report.write_crash(self._run_dir, record, self._command)
        self._journal.record(
            "crashed",
            attempt=record.attempt,
            cause=record.cause,
            code=record.outcome.code,
            signal=signal_name(record.outcome.code),
            seconds=round(record.outcome.seconds, 3),
            count=count,
            limit=self._options.max_crashes,
            message=record.tail.exception,
        )
        report.show_crash(self._screen, record, count, self._options.max_crashes)

    def _ensure_identity(self) -> None:
        """Make the directory a run where no `Run` in the child will."""
        if read_identity(self._run_dir) is None:
            identity = new_identity(clock=self._clock, command=self._command)
            write_identity(self._run_dir, identity)

    def _count_down(self, wait_s: float, signals: Signals) -> bool:
        return count_down(wait_s, screen=self._screen, signals=signals, clock=self._clock)

    def _wait_until_gone(self, target: Proc, what: str, signals: Signals) -> bool:
        limit_s = self._options.grace_s + TERMINATE_S + SWEEP_S + _SLACK_S
        self._screen.say(f"Waiting: {what} is stopping (at most {limit_s:g} s).", "yellow")
        return wait_until_gone(
            target, limit_s, screen=self._screen, signals=signals, clock=self._clock
        )

    def _wait_for_predecessor(self, signals: Signals) -> bool:
        """Wait until nothing of an earlier supervisor trains here. Return False to stop.

        Raises:
            LockedError: A trainer that no supervisor of this run started is alive.
        """
        shim = lock.live_owner(self._run_dir.shim_lock)
        if shim is not None:
            target = Proc(shim.pid, shim.start_time)
            what = f"the supervisor before this one was killed; its training (shim pid {shim.pid})"
            if not self._wait_until_gone(target, what, signals):
                return False
        leader = history.stray_leader(self._run_dir)
        if leader is not None:
            what = f"supervisor and shim were killed; the training they left (pid {leader.pid})"
            proc.send(leader, signal.SIGINT)
            if not self._wait_until_gone(leader, what, signals):
                return False
        owner = lock.live_owner(self._run_dir.lock)
        if owner is not None:
            raise LockedError(
                f"{self._shown} is in use by {owner}.",
                "two trainers on one run would overwrite each other's checkpoints.",
                f"Stop it first: evertrain stop {self._shown} (or kill {owner.pid})",
            )
        return True

    def _stop(self, verdict: Stop) -> int:
        """Record the last word, show the table, return the exit code."""
        record = self._records[-1] if self._records else None
        if verdict.kind == "done":
            if record is not None and not record.end.is_run:
                self._journal.record(
                    "finished",
                    by="supervisor",
                    attempt=record.attempt,
                    step=record.steps[1],
                    why="exit code 0",
                    command=self._command,
                )
        elif verdict.kind == "stopped":
            self._journal.record("supervisor_stopped", why=verdict.why)
        else:
            cause = record.cause if record is not None else None
            self._journal.record("gave_up", why=verdict.why, cause=cause)
        self._conclude(verdict)
        return verdict.exit_code

    def _conclude(self, verdict: Stop) -> None:
        color = {"done": "green", "stopped": "yellow"}.get(verdict.kind, "red")
        title = {"done": "Training complete!", "stopped": "Training stopped."}.get(
            verdict.kind, "Gave up."
        )
        lines: list[tuple[str, str | None]] = [(title, color)]
        if verdict.why != "training finished":
            lines.append((verdict.why[0].upper() + verdict.why[1:], None))
        if verdict.kind in {"gave up", "locked"} and self._records:
            path = self._shown / "crashes" / self._run_dir.crash(self._records[-1].attempt).name
            lines.append((f"Last crash: {path}", None))
        report.banner(self._screen, lines)
        if self._records:
            for line in report.table(self._records):
                self._screen.say(line)
