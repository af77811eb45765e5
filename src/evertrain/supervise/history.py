"""What the journal tells about attempts.

Layer: supervise. Imports monitor and core.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from evertrain.core import lock, proc
from evertrain.core.heartbeat import read_beat
from evertrain.core.journal import Journal, Reader, Row
from evertrain.core.kinds import MAX_COUNT, is_attempt
from evertrain.core.proc import Proc
from evertrain.core.rundir import RunDir, parse_step
from evertrain.monitor.attempt import is_commit, unix_s
from evertrain.monitor.poison import deadly
from evertrain.supervise.policy.past import that_count


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What one attempt said about itself.

    Attributes:
        is_run: Whether it said anything at all: a `Run` does, a foreign command does not.
        is_finished: Whether it finished the training.
        is_stopped: Whether it stopped on request.
        step_from: Step at which it began, or None if unknown.
        step_to: Last step known of it, or None.
        resumed_from: Name of the checkpoint it restored, or None.
        stopped_by: Who asked it to stop, as it says: "SIGTERM"; None if it did not stop.
        died_restoring: Whether it restored a checkpoint, and no step ended behind that.
        saved: Newest step that it committed, or None.
        useful_s: Seconds from its first step to its last save, or None if it began none.
    """

    is_run: bool = False
    is_finished: bool = False
    is_stopped: bool = False
    step_from: int | None = None
    step_to: int | None = None
    resumed_from: str | None = None
    stopped_by: str | None = None
    died_restoring: bool = False
    saved: int | None = None
    useful_s: float | None = None


@cache
def _reader(path: Path) -> Reader:
    return Reader(path)


def events(run_dir: RunDir, *names: str) -> tuple[Row, ...]:
    """Return the journal's events, as `Journal.events`; asked often, about a long one.

    A restart asks six times, and must not take the longer the longer a run has been.
    """
    return _reader(run_dir.journal).events(*names)


def next_attempt(run_dir: RunDir) -> int:
    """Return the number of the next attempt: one more than any on record."""
    rows = events(run_dir)
    numbers = [row["attempt"] for row in rows if is_attempt(row.get("attempt"))]
    owners = (lock.read_owner(run_dir.lock), lock.read_owner(run_dir.shim_lock))
    numbers += [owner.attempt for owner in owners if owner is not None]
    return max(numbers, default=0) + 1


def read_story(run_dir: RunDir, attempt: int) -> Story:
    """Return what the journal and the heartbeat tell about `attempt`."""
    rows = events(run_dir)
    # A Run may have had to take a higher number than it was given, never a lower one.
    mine = [row for row in rows if (_number(row, "attempt") or 0) >= attempt]
    mine = [row for row in mine if row.get("by") not in {"supervisor", "shim"}]
    names = {row["event"] for row in mine}
    if "attempt_started" not in names:
        return Story()
    # One that dies of what it restores has not got any further.
    restoring = next((row for row in mine if row["event"] == "restoring"), {})
    resumed = next((row for row in mine if row["event"] == "resumed"), restoring)
    source = resumed.get("from") or restoring.get("path")
    stopped = next((row for row in mine if row["event"] == "stopped"), {})
    saves = [row for row in mine if is_commit(row)]
    return Story(
        is_run=True,
        is_finished="finished" in names,
        is_stopped="stopped" in names,
        step_from=_number(resumed, "step"),
        step_to=_last_step(run_dir, mine),
        resumed_from=source if isinstance(source, str) else None,
        stopped_by=str(stopped["why"]) if "why" in stopped else None,
        died_restoring="restoring" in names and "stepped" not in names and not saves,
        saved=max((_number(row, "step") or 0 for row in saves), default=None),
        useful_s=_between(resumed, saves[-1] if saves else resumed),
    )


def _between(first: Row, last: Row) -> float | None:
    """Return the seconds between two rows, 0 or more; None if one of them has no time."""
    times = (unix_s(first.get("time")), unix_s(last.get("time")))
    return None if times[0] is None or times[1] is None else max(0.0, times[1] - times[0])


def next_checkpoint(run_dir: RunDir, resume: str) -> str | None:
    """Return the name of the checkpoint that a `Run` will try first, or None.

    As far as names and the journal tell: it may turn out to be damaged.

    Args:
        run_dir: The run.
        resume: "auto", "must" or "latest", which takes it even if it kills.
    """
    passed_over = {} if resume == "latest" else deadly(events(run_dir))
    try:
        names = [name for name in os.listdir(run_dir.checkpoints) if parse_step(name) is not None]  # noqa: PTH208
    except OSError:
        return None
    left = [name for name in names if name not in passed_over]
    return max(left or names, key=int, default=None)


def reached(run_dir: RunDir, attempt: int) -> int | None:
    """Return the newest step that a `Run` had committed before `attempt`; None without one.

    An attempt that is sent back makes no progress before it gets beyond that. What was
    before somebody last looked at the run does not count: perhaps it was sent back by hand.
    """
    rows = events(run_dir)
    if not any(row["event"] == "attempt_started" for row in rows):
        return None
    began = [row for row in that_count(rows) if row["event"] in {"resumed", "restoring"}]
    saved = [row for row in that_count(rows) if is_commit(row)]
    saved = [row for row in saved if (_number(row, "attempt") or 0) < attempt]
    return max((_number(row, "step") or 0 for row in (*began, *saved)), default=0)


def furthest(run_dir: RunDir, attempt: int) -> int | None:
    """Return the furthest step that a foreign command was seen at before `attempt`, or None.

    What was before somebody last looked at the run does not count.
    """
    rows = that_count(events(run_dir))
    ended = [row for row in rows if row["event"] == "ended"]
    before = [row for row in ended if (_number(row, "attempt") or 0) < attempt]
    steps = [step for row in before if (step := _number(row, "step_to")) is not None]
    return max(steps, default=None)


def second_newest(run_dir: RunDir) -> str | None:
    """Return the step of the checkpoint of a `Run` before the newest, or None."""
    try:
        names = os.listdir(run_dir.checkpoints)  # noqa: PTH208
    except OSError:
        return None
    steps = sorted(step for step in map(parse_step, names) if step is not None)
    return str(steps[-2]) if len(steps) > 1 else None


def stray_leader(run_dir: RunDir) -> Proc | None:
    """Return a launched process that lives on although supervisor and shim were killed."""
    last = Journal(run_dir.journal).last("launched")
    if last is None or last.get("boot_id") != proc.boot_id():
        return None
    leader = Proc(_number(last, "pid") or 0, _number(last, "start_time") or 0)
    return leader if leader.pid > 0 and leader.is_alive else None


def lost_attempt(run_dir: RunDir) -> int | None:
    """Return the attempt that was launched last on this boot, if nobody told of its end."""
    last = Journal(run_dir.journal).last("launched", "ended")
    if last is None or last["event"] == "ended" or last.get("boot_id") != proc.boot_id():
        return None
    return _number(last, "attempt")


def has_resumed(run_dir: RunDir, attempts: Sequence[int]) -> bool:
    """Say whether one of `attempts` got as far as its first step.

    Until then, where to begin is still an open request: a rewind that crashed
    while importing has not happened.
    """
    return any(row.get("attempt") in attempts for row in events(run_dir, "resumed"))


def is_complete(run_dir: RunDir, command: Sequence[str]) -> bool:
    """Say whether the foreign `command` has already finished here."""
    last = Journal(run_dir.journal).last("launched", "attempt_started", "finished")
    if last is None or last["event"] != "finished" or last.get("by") != "supervisor":
        return False
    return last.get("command") == list(command)


def _last_step(run_dir: RunDir, rows: Sequence[Row]) -> int | None:
    told = [_number(row, "step") for row in rows]
    steps = [step for step in told if step is not None]
    beat = read_beat(run_dir.heartbeat)
    if beat is not None:
        steps.append(beat.step)
    return max(steps) if steps else None


def _number(row: Row, key: str) -> int | None:
    value = row.get(key)
    return value if type(value) is int and abs(value) < MAX_COUNT else None
