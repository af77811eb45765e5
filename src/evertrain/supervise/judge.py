"""What an end means: exit status, journal, lock and log, put together.

Layer: supervise. Imports core only.
"""

from evertrain.core import lock
from evertrain.supervise import foreign, history
from evertrain.supervise.attempt import Outcome
from evertrain.supervise.cause import read_tail, why_fatal
from evertrain.supervise.decide import End
from evertrain.supervise.foreign import Found, Split, all_count
from evertrain.supervise.history import Story
from evertrain.supervise.report import Record
from evertrain.supervise.task import Task
from evertrain.supervise.wire import Order


def judge(  # noqa: PLR0913  (all that there is to know)
    task: Task,
    order: Order,
    began_at_s: float,
    outcome: Outcome,
    found: Found | None,
    *,
    split: Split = all_count,
    is_asked: bool,
) -> Record:
    """Return all that is known about an attempt after its end.

    Args:
        task: What is supervised.
        order: What the attempt was.
        began_at_s: Unix time of its start, seconds.
        outcome: How it ended.
        found: Foreign checkpoint that it began with, or None.
        split: Which foreign checkpoints count.
        is_asked: Whether a request to stop waits in the inbox: it died before it saw that.
    """
    story = history.read_story(task.run_dir, order.attempt)
    tail = read_tail(task.run_dir.log(order.attempt))
    is_owned = lock.live_owner(task.run_dir.lock) is not None
    is_well = story.is_finished or outcome.code == 0
    end = End(
        code=outcome.code,
        is_run=story.is_run,
        is_finished=story.is_finished,
        is_stopped=story.is_stopped,
        stop_requested=outcome.stop_requested or (story.is_run and is_asked),
        is_forced=outcome.is_forced,
        is_locked=is_owned and not story.is_run,
        fatal=None if is_well else why_fatal(outcome.code, tail, outcome.seconds),
    )
    steps, safe_at_s = _steps(task, story, found, split)
    return Record(
        attempt=order.attempt,
        began_at_s=began_at_s,
        outcome=outcome,
        end=end,
        steps=steps,
        safe_at_s=safe_at_s,
        resumed_from=story.resumed_from or order.resumed_from,
        tail=tail,
    )


def _steps(
    task: Task, story: Story, found: Found | None, split: Split
) -> tuple[tuple[int | None, int | None], float | None]:
    """Return the first and the last step, and when the newest foreign checkpoint was written."""
    pattern = task.options.checkpoints
    if story.is_run or pattern is None:
        return (story.step_from, story.step_to), None
    saved, _ = split(foreign.list_found(pattern))
    newest = saved[-1] if saved else None
    first = found.step if found else 0
    return (first, newest.step if newest else None), newest.changed_at_s if newest else None
