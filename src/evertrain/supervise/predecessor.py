"""What an earlier supervisor may have left alive, and how to wait for its end.

Layer: supervise. Imports core only.
"""

import os
import signal
from typing import Final

from evertrain.core import lock, proc
from evertrain.core.errors import LockedError
from evertrain.core.proc import Proc
from evertrain.supervise import history
from evertrain.supervise.pause import wait_until_gone
from evertrain.supervise.shim import SWEEP_S, TERMINATE_S
from evertrain.supervise.task import Task, World

# A shim flushes its log and its screen, too, seconds.
_SLACK_S: Final = 5.0


def wait_for_predecessor(task: Task, world: World) -> bool:
    """Wait until nothing of an earlier supervisor trains in the run.

    Returns:
        False as soon as somebody wants to stop.

    Raises:
        LockedError: A trainer that no supervisor of this run started is alive.
    """
    shim = lock.live_owner(task.run_dir.shim_lock)
    if shim is not None:
        what = f"the supervisor before this one was killed; its training (shim pid {shim.pid})"
        if not _wait(Proc(shim.pid, shim.start_time), what, task, world):
            return False
    leader = history.stray_leader(task.run_dir)
    if leader is not None:
        what = f"supervisor and shim were killed; the training they left (pid {leader.pid})"
        proc.send(leader, signal.SIGINT)
        if not _wait(leader, what, task, world):
            return False
    if not _end_strays(task, world):
        return False
    owner = lock.live_owner(task.run_dir.lock)
    if owner is None:
        return True
    raise LockedError(
        f"{task.shown} is in use by {owner}.",
        "two trainers on one run would overwrite each other's checkpoints.",
        f"Stop it first: evertrain stop {task.shown} (or kill {owner.pid})",
    )


def _end_strays(task: Task, world: World) -> bool:
    """End what an attempt has left whose leader, shim and supervisor were all killed.

    Such as by `pkill -9 python`: a simulator of another name lives on then, and holds its port.
    """
    attempt = history.lost_attempt(task.run_dir)
    if attempt is None:
        return True
    owner = lock.live_owner(task.run_dir.lock)
    trainer = None if owner is None else Proc(owner.pid, owner.start_time)
    strays = _strays(task, attempt)
    if trainer is not None and trainer in strays:
        what = f"attempt {attempt} lost whoever held it; its training (pid {trainer.pid})"
        proc.send(trainer, signal.SIGINT)
        if not _wait(trainer, what, task, world):
            return False
        strays = _strays(task, attempt)
    if strays:
        names = ", ".join(f"{proc.executable(each.pid)} (pid {each.pid})" for each in strays)
        world.screen.say(f"Ending what attempt {attempt} has left: {names}.", "yellow")
        proc.kill_trees(strays, grace_s=SWEEP_S, clock=world.clock)
    return True


def _strays(task: Task, attempt: int) -> list[Proc]:
    """Return what belongs to an attempt, but for whoever started this very process."""
    ours = {os.getpid(), *proc.ancestors(os.getpid())}
    return [each for each in proc.started_with(task.mark(attempt)) if each.pid not in ours]


def _wait(target: Proc, what: str, task: Task, world: World) -> bool:
    limit_s = task.options.grace_s + TERMINATE_S + SWEEP_S + _SLACK_S
    world.screen.say(f"Waiting: {what} is stopping (at most {limit_s:g} s).", "yellow")
    return wait_until_gone(target, limit_s, world)
