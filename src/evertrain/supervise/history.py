"""What the journal tells about attempts.

Layer: supervise. Imports monitor and core.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evertrain.core import lock, proc
from evertrain.core.heartbeat import read_beat
from evertrain.core.journal import Journal, Row
from evertrain.core.kinds import MAX_COUNT, is_attempt
from evertrain.core.proc import Proc
from evertrain.core.rundir import RunDir, parse_step
from evertrain.monitor.poison import deadly
from evertrain.supervise.options import SuperviseOptions


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
    """

    is_run: bool = False
    is_finished: bool = False
    is_stopped: bool = False
    step_from: int | None = None
    step_to: int | None = None
    resumed_from: str | None = None


def next_attempt(run_dir: RunDir) -> int:
    """Return the number of the next attempt: one more than any on record."""
    rows = Journal(run_dir.journal).events()
    numbers = [row["attempt"] for row in rows if is_attempt(row.get("attempt"))]
    owners = (lock.read_owner(run_dir.lock), lock.read_owner(run_dir.shim_lock))
    numbers += [owner.attempt for owner in owners if owner is not None]
    return max(numbers, default=0) + 1


def read_story(run_dir: RunDir, attempt: int) -> Story:
    """Return what the journal and the heartbeat tell about `attempt`."""
    rows = Journal(run_dir.journal).events()
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
    return Story(
        is_run=True,
        is_finished="finished" in names,
        is_stopped="stopped" in names,
        step_from=_number(resumed, "step"),
        step_to=_last_step(run_dir, mine),
        resumed_from=source if isinstance(source, str) else None,
    )


def next_checkpoint(run_dir: RunDir, resume: str) -> str | None:
    """Return the name of the checkpoint that a `Run` will try first, or None.

    As far as names and the journal tell: it may turn out to be damaged.

    Args:
        run_dir: The run.
        resume: "auto", "must" or "latest", which takes it even if it kills.
    """
    passed_over = {} if resume == "latest" else deadly(Journal(run_dir.journal).events())
    try:
        names = [name for name in os.listdir(run_dir.checkpoints) if parse_step(name) is not None]  # noqa: PTH208
    except OSError:
        return None
    left = [name for name in names if name not in passed_over]
    return max(left or names, key=int, default=None)


def stray_leader(run_dir: RunDir) -> Proc | None:
    """Return a launched process that lives on although supervisor and shim were killed."""
    last = Journal(run_dir.journal).last("launched")
    if last is None or last.get("boot_id") != proc.boot_id():
        return None
    leader = Proc(_number(last, "pid") or 0, _number(last, "start_time") or 0)
    return leader if leader.pid > 0 and leader.is_alive else None


def remembered_options(run_dir: RunDir, options: SuperviseOptions) -> SuperviseOptions:
    """Return `options` with the checkpoints of the last start where they name none.

    For `evertrain resume`: the command is remembered, and so is where it saves.
    """
    last = Journal(run_dir.journal).last("supervisor_started")
    known = last.get("options") if last is not None else None
    if options.checkpoints is not None or not isinstance(known, dict):
        return options
    checkpoints, resume_arg = known.get("checkpoints"), known.get("resume_arg")
    if not isinstance(checkpoints, str):
        return options
    template = resume_arg if isinstance(resume_arg, str) else None
    return replace(options, checkpoints=checkpoints, resume_arg=template)


def has_resumed(run_dir: RunDir, attempts: Sequence[int]) -> bool:
    """Say whether one of `attempts` got as far as its first step.

    Until then, where to begin is still an open request: a rewind that crashed
    while importing has not happened.
    """
    return any(row.get("attempt") in attempts for row in Journal(run_dir.journal).events("resumed"))


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
