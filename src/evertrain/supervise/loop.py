"""Start a command, and start it again until it is done.

Layer: supervise. Imports core only.
"""

import os
import random
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from evertrain.core import lock, proc
from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.errors import EXIT_OK, EXIT_STOPPED, EvertrainError, LockedError
from evertrain.core.fs import make_dir
from evertrain.core.heartbeat import forget_beat
from evertrain.core.journal import Journal
from evertrain.core.request import is_waiting, pending
from evertrain.core.rundir import claim_run_dir
from evertrain.supervise import history, report
from evertrain.supervise.attempt import Later, run_attempt
from evertrain.supervise.command import check_command, default_run_dir
from evertrain.supervise.decide import RESUMABLE, Restart, Stop, decide
from evertrain.supervise.diagnosis import witness
from evertrain.supervise.diagnosis.memory import read_counters
from evertrain.supervise.end import End
from evertrain.supervise.handover import Handover
from evertrain.supervise.judge import Beginning, judge
from evertrain.supervise.ladder.guide import Guide, guide_for
from evertrain.supervise.notes import Notes
from evertrain.supervise.notify.courier import Subscription, notifying
from evertrain.supervise.options import GOES_ON, SuperviseOptions
from evertrain.supervise.pause import count_down
from evertrain.supervise.policy.ledger import crash_count
from evertrain.supervise.policy.past import ends_of, pending_move
from evertrain.supervise.policy.retreat import Chances
from evertrain.supervise.predecessor import wait_for_predecessor
from evertrain.supervise.report import Record
from evertrain.supervise.reserve import Reserve
from evertrain.supervise.screen import Screen
from evertrain.supervise.signals import Signals
from evertrain.supervise.systemd.service import Service
from evertrain.supervise.task import Task, World
from evertrain.supervise.wire import Order

if TYPE_CHECKING:
    from evertrain.supervise.ladder.policy import Policy

# Whatever is still a foreign command after this long will hardly become a Run, seconds.
_FOREIGN_S: Final = 60.0


def supervise(  # noqa: PLR0913  (what, where and how; for whom and by whose time)
    command: Sequence[str],
    run_dir: Path | str | None = None,
    options: SuperviseOptions | None = None,
    *,
    subscription: Subscription | None = None,
    screen: Screen | None = None,
    clock: Clock = SYSTEM_CLOCK,
    policy: "Policy | None" = None,
) -> int:
    """Run `command` until it is done, starting it again when it crashes.

    Takes SIGINT, SIGTERM and SIGHUP while it runs: the first one stops the training at its
    next safe point, a second Ctrl+C forces that, a third kills.

    Args:
        command: Program and arguments.
        run_dir: Run directory, new or old; None is `runs/NAME`, see `default_run_dir`.
        options: Limits and pace.
        subscription: Who is told elsewhere what happens; None is nobody.
        screen: Where people look; None is standard output.
        clock: Source of the time.
        policy: Who chooses among the rungs of `options.ladder`; None is the training's rule.

    Returns:
        Exit code: 0 done, 1 the command failed after the training was finished, 11 another
        trainer owns the run, 20 gave up, 75 stopped on request, 130 that was forced.

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
    service = Service(heartbeat=place.heartbeat, clock=clock)
    service.ready()
    if options.resume in GOES_ON and history.is_complete(place, words):
        screen.say(f"{shown} is already complete. Train it again with: --resume never", "green")
        screen.flush()
        return EXIT_OK
    with ExitStack() as stack:
        stack.callback(screen.flush)
        task = Task(command=words, run_dir=place, shown=shown, options=options, cwd=Path.cwd())
        reserve = stack.enter_context(Reserve(screen, is_early=options.is_hasty))
        world = World(screen=screen, signals=Signals(service), clock=clock, reserve=reserve)
        notes = Notes(task, screen=screen, clock=clock)
        job = _Job(task, world, notes, guide_for(task, world, notes, policy))
        make_dir(place.logs)
        stack.enter_context(lock.take(place.supervisor_lock, clock=clock))
        stack.enter_context(world.signals)
        if subscription is not None:
            told = notifying(subscription, place, place.path.name, screen=screen, clock=clock)
            notes.on_refusal = stack.enter_context(told)
        return job.run()


class _Job:
    """One supervised command, from the first attempt to the last."""

    def __init__(self, task: Task, world: World, notes: Notes, guide: Guide) -> None:
        """Refuse a checkpoint that cannot be handed over, while nothing is touched yet."""
        self._task, self._world = task, world
        self._screen = world.screen
        self._notes, self._guide = notes, guide
        self._records: list[Record] = []
        self._past: list[End] = []
        self._next = Restart(0.0)
        # Not by their times: the clock may have been set since.
        self._old_requests = frozenset(each.id for each in pending(task.run_dir))
        self._handover = Handover(task, notes)

    def run(self) -> int:
        """Attempt after attempt, until there is a reason to stop. Return the exit code."""
        proc.become_subreaper()
        self._notes.began(os.getpid())
        report.introduce(self._screen, self._task)
        if not wait_for_predecessor(self._task, self._world):
            return self._stop(Stop("stopped", "stopped before it began", EXIT_STOPPED))
        self._guide.introduce()
        try:
            return self._go_on()
        except LockedError:  # the training goes on, elsewhere
            raise
        except EvertrainError as error:
            self._notes.broken_off(error)
            raise

    def _go_on(self) -> int:
        self._handover.begin(self._task.options.resume)
        self._remember()
        while not self._is_asked_to_stop():
            verdict = self._attempt()
            if isinstance(verdict, Stop):
                return self._stop(verdict)
            self._notes.backed_off(verdict)
            report.show_change(self._screen, verdict)
            self._world.signals.service.say(f"restarting in {verdict.wait_s:g} s")
            self._world.reserve.prepare()
            if not count_down(verdict.wait_s, self._world):
                return self._stop(Stop("stopped", RESUMABLE, EXIT_STOPPED))
            self._handover.go_on(verdict.from_)
            self._next = verdict
        return self._stop(Stop("stopped", RESUMABLE, EXIT_STOPPED))

    def _is_asked_to_stop(self) -> bool:
        """Whether a trainer was asked to stop, and ended before it saw that."""
        return is_waiting(self._task.run_dir, "stop", besides=self._old_requests)

    def _attempt(self) -> Restart | Stop:
        task, options = self._task, self._task.options
        attempt = history.next_attempt(task.run_dir)
        has_begun = history.has_resumed(task.run_dir, [each.attempt for each in self._records])
        resume = "auto" if has_begun else options.resume_at(len(self._records))
        if self._next.from_ is not None and options.checkpoints is None:
            resume = self._next.from_
        choice = self._handover.choice
        setting = self._guide.begin(attempt, choice.found)
        if setting is None:
            return Stop("stopped", "the rungs of the ladder are measured", EXIT_OK)
        report.announce(self._screen, task, attempt, choice, resume=resume)
        if setting:
            self._screen.say(setting, "blue")
        self._world.signals.service.say(f"attempt {attempt}")
        if options.checkpoints is not None:
            self._notes.ensure_identity()
        forget_beat(task.run_dir.heartbeat)
        move = self._next.move
        beginning = Beginning(
            at_s=self._world.clock.now_s(), kills=read_counters(), found=choice.found, move=move
        )
        told = resume if has_begun or resume != "auto" else None
        env = task.environment(attempt, resume=told, is_reseeded=move == "reseed")
        order = self._order(attempt, self._guide.environment(env))
        later = Later(_FOREIGN_S, lambda: self._settle(attempt), self._guide.review())
        outcome = run_attempt(order, self._world, later)
        record = judge(
            task,
            order,
            beginning,
            outcome,
            now_s=self._world.clock.now_s(),
            split=self._handover.split,
            is_asked=self._is_asked_to_stop(),
        )
        self._note(record)
        luck = random.SystemRandom().random()  # the program's own generators stay as they are
        self._guide.ended(record)
        verdict = decide(self._ends(), options, self._chances(), luck=luck)
        return self._guide.overrule(record, verdict)

    def _remember(self) -> None:
        """Go on counting where a supervisor that died had come to."""
        rows = Journal(self._task.run_dir.journal).events()
        self._past = ends_of(rows)
        move, from_ = pending_move(rows)
        if move is not None and self._task.options.resume == "auto":  # a person knows better
            self._next = Restart(0.0, move=move, from_=from_)
            self._handover.go_on(from_)

    def _ends(self) -> list[End]:
        """Return how all attempts ended that count."""
        return [*self._past, *(each.end for each in self._records)]

    def _chances(self) -> Chances:
        """Return what could be tried instead of the same again."""
        options, older = self._task.options, None
        if options.checkpoints is None:
            older = history.second_newest(self._task.run_dir)
        elif not options.counts_only:
            # Its steps are those of its files: a guess that may cost what lies between them.
            older = self._handover.older()
        return Chances(older=older, may_reseed=options.reseed)

    def _order(self, attempt: int, env: dict[str, str]) -> Order:
        options, found = self._task.options, self._handover.choice.found
        more = self._handover.arguments()
        return Order(
            command=[*self._guide.command(self._task.command), *more],
            env=env,
            run=str(self._task.run_dir.path),
            attempt=attempt,
            grace_s=options.grace_s,
            size=self._screen.size() if self._screen.is_terminal else None,
            resumed_from=str(found.path) if found is not None and more else None,
            hang=options.hang,
            hang_timeout_s=options.hang_timeout_s,
            progress=options.progress,
            progress_file=options.progress_file,
        )

    def _settle(self, attempt: int) -> None:
        """Take a command for a foreign one when it has long said nothing to the journal."""
        if not history.read_story(self._task.run_dir, attempt).is_run:
            self._notes.ensure_identity()

    def _note(self, record: Record) -> None:
        """Remember, record and show one end."""
        if self._records:  # there may be thousands of them
            self._records[-1] = self._records[-1].condensed()
        self._records.append(record)
        self._notes.ended(record)
        report.show_lost_output(self._screen, record)
        if record.end.is_crash:
            options = self._task.options
            count = crash_count(self._ends(), options, record.end.gain.at_s)
            self._notes.crashed(record, count)
            report.show_crash(self._screen, record, count, options.limit)
        elif record.end.is_preempted:
            self._notes.preempted(record)
            report.show_preemption(self._screen, record)
        else:
            witness.clear(self._task.run_dir, record.attempt)
            if not record.end.is_run:
                self._notes.ensure_identity()

    def _stop(self, verdict: Stop) -> int:
        """Record the last word, show the table, return the exit code."""
        self._world.signals.service.stopping()
        self._notes.last_word(verdict, self._records[-1] if self._records else None)
        report.conclude(self._screen, self._task, verdict, self._records)
        self._guide.conclude()
        return verdict.exit_code
