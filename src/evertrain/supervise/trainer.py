"""Which process of the tree is the one to ask for a graceful stop.

A signal to everyone would kill the data workers first, and the trainer dies waiting for
them. So one process gets it: the owner of the run's lock if it is ours, else the leader,
or what a shell script runs at the moment.

Layer: supervise. Imports core only.
"""

import os
from collections.abc import Callable, Sequence
from typing import Final

from evertrain.core import lock, proc
from evertrain.core.proc import Proc
from evertrain.core.rundir import RunDir

# They wait for what they run, and do not pass a signal on.
SHELLS: Final = frozenset(
    {"sh", "bash", "dash", "zsh", "ash", "ksh", "mksh", "busybox", "fish", "time"}
)
# The far side of `python train.py | tee log`: it ends when its input does.
FILTERS: Final = frozenset(
    {"tee", "cat", "grep", "sed", "awk", "gawk", "mawk", "ts", "head", "tail", "logger", "tr"}
)
# What `xvfb-run` and its like start beside the command, and end behind it.
SCREENS: Final = frozenset({"Xvfb", "Xvnc", "Xorg", "Xephyr"})


def find_trainer(leader: Proc, run_dir: RunDir) -> Proc:
    """Return the process that gets the graceful signal, looking below this process."""
    owner = lock.live_owner(run_dir.lock)
    if owner is not None:
        trainer = Proc(owner.pid, owner.start_time)
        if trainer in proc.descendants(os.getpid()):
            return trainer
    return descend(leader)


def descend(
    leader: Proc,
    *,
    children: Callable[[int], Sequence[Proc]] = proc.children,
    executable: Callable[[int], str] = proc.executable,
) -> Proc:
    """Return what `leader` runs if it is a shell with one command in front, else `leader`."""
    aside, found = FILTERS | SCREENS, leader
    while executable(found.pid) in SHELLS:
        below = [each for each in children(found.pid) if executable(each.pid) not in aside]
        if len(below) != 1:
            break
        found = below[0]
    return found
