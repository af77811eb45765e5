"""What an end means: exit status, journal, lock, log and kernel, put together.

Layer: supervise. Imports monitor and core.
"""

from dataclasses import dataclass

from evertrain.core import lock
from evertrain.supervise import foreign, history
from evertrain.supervise.attempt import Outcome
from evertrain.supervise.cause import read_tail
from evertrain.supervise.diagnosis.classify import diagnose, fatal, last_exception
from evertrain.supervise.diagnosis.collect import collect
from evertrain.supervise.diagnosis.memory import Counter, compare, read_counters
from evertrain.supervise.end import End, Gain, Move
from evertrain.supervise.foreign import Found, Split, all_count
from evertrain.supervise.history import Story
from evertrain.supervise.progress.trail import Trail
from evertrain.supervise.report import Record
from evertrain.supervise.task import Task
from evertrain.supervise.wire import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """How things stood when an attempt began.

    Attributes:
        at_s: Unix time, seconds.
        kills: What the kernel had killed by then.
        found: Foreign checkpoint that it began with, or None.
        move: How it was begun, if otherwise than usual.
    """

    at_s: float
    kills: tuple[Counter, ...] = ()
    found: Found | None = None
    move: Move | None = None


def judge(  # noqa: PLR0913  (all that there is to know)
    task: Task,
    order: Order,
    beginning: Beginning,
    outcome: Outcome,
    *,
    now_s: float,
    split: Split = all_count,
    is_asked: bool,
) -> Record:
    """Return all that is known about an attempt after its end.

    Args:
        task: What is supervised.
        order: What the attempt was.
        beginning: How things stood when it began.
        outcome: How it ended.
        now_s: Unix time of its end, seconds.
        split: Which foreign checkpoints count.
        is_asked: Whether a request to stop waits in the inbox: it died before it saw that.
    """
    story = history.read_story(task.run_dir, order.attempt)
    tail = read_tail(task.run_dir.log(order.attempt))
    is_owned = lock.live_owner(task.run_dir.lock) is not None
    is_well = story.is_finished or outcome.code == 0
    saved = _newest(task, story, split)
    steps = _steps(task, story, outcome.trail, beginning.found, saved)
    facts = collect(
        task.run_dir,
        order.attempt,
        outcome,
        story=story,
        tail=tail,
        kills=compare(beginning.kills, read_counters()),
        step=steps[1],
        command=order.command,
        now_s=now_s,
    )
    end = End(
        code=outcome.code,
        is_run=story.is_run,
        is_finished=story.is_finished,
        is_stopped=story.is_stopped,
        stop_requested=outcome.stop_requested or outcome.is_moved or (story.is_run and is_asked),
        is_forced=outcome.is_forced,
        is_locked=is_owned and not story.is_run,
        fatal=None if is_well else fatal(facts),
        diagnosis=diagnose(facts),
        gain=Gain(
            at_s=now_s,
            seconds=outcome.seconds,
            progress=_progress(task, order, story, outcome, beginning.found, saved),
            useful_s=_useful_s(story, beginning, saved, outcome.seconds),
            died_restoring=story.died_restoring,
            move=beginning.move,
        ),
    )
    return Record(
        attempt=order.attempt,
        began_at_s=beginning.at_s,
        outcome=outcome,
        end=end,
        steps=steps,
        safe_at_s=None if saved is None else saved.changed_at_s,
        resumed_from=story.resumed_from or order.resumed_from,
        tail=tail,
        raised=last_exception(facts),
        fault=facts.fault,
    )


def _newest(task: Task, story: Story, split: Split) -> Found | None:
    """Return the newest whole checkpoint of a foreign command, or None."""
    pattern, template = task.options.checkpoints, task.options.resume_arg
    if story.is_run or pattern is None:
        return None
    return foreign.choose(pattern, split=split, template=template).found


def _steps(
    task: Task, story: Story, trail: Trail | None, began: Found | None, saved: Found | None
) -> tuple[int | None, int | None]:
    if story.is_run:
        return story.step_from, story.step_to
    if task.options.checkpoints is None:
        return (trail.first, None if trail.is_behind else trail.last) if trail else (None, None)
    return (began.step if began else 0), (saved.step if saved else None)


def _progress(  # noqa: PLR0913, PLR0917  (whoever may know)
    task: Task,
    order: Order,
    story: Story,
    outcome: Outcome,
    began: Found | None,
    saved: Found | None,
) -> bool | None:
    """Say whether it committed a newer checkpoint than any before; None if that is not known.

    Of a command whose checkpoints nobody knows, whether it got further than any before.
    """
    if outcome.unstarted is not None:
        return None
    trail = outcome.trail
    if task.options.checkpoints is not None and not story.is_run:
        return saved is not None and saved != began
    if trail is not None and not story.is_run:
        return trail.is_progress(history.furthest(task.run_dir, order.attempt))
    reached = history.reached(task.run_dir, order.attempt)
    return None if reached is None else (story.saved or 0) > reached


def _useful_s(
    story: Story, beginning: Beginning, saved: Found | None, seconds: float
) -> float | None:
    """Return how much of its time a checkpoint holds; the clock may have jumped meanwhile."""
    useful_s = story.useful_s
    if saved is not None:
        is_new = saved != beginning.found
        useful_s = saved.changed_at_s - beginning.at_s if is_new else 0.0
    return None if useful_s is None else round(min(max(0.0, useful_s), seconds), 3)
