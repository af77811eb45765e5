"""The only module that starts, signals and reaps processes.

A process is named by its pid *and* its start time: pids are reused, pairs are
not. Linux first (pidfd, subreaper); elsewhere psutil does what it can.

Layer: core. Imports core only.
"""

import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import psutil

from evertrain.core.clock import SYSTEM_CLOCK, Clock

_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_PDEATHSIG: Final = 1
_STAT_START_TIME: Final = 19  # field 22 of /proc/PID/stat, counted after the name


@dataclass(frozen=True, slots=True)
class Proc:
    """One process, told apart from a later one with the same pid.

    Attributes:
        pid: Process id.
        start_time: Start, in clock ticks since boot.
    """

    pid: int
    start_time: int

    @property
    def is_alive(self) -> bool:
        """Whether it still runs (a zombie does not)."""
        return is_alive(self.pid, self.start_time)


@cache
def boot_id() -> str:
    """Return a name of this boot of this machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return f"boot-{psutil.boot_time():.0f}"


def host() -> str:
    """Return the machine's name."""
    return socket.gethostname()


def start_time(pid: int) -> int | None:
    """Return when `pid` started, in clock ticks since boot, or None if there is no such process."""
    stat = _stat(pid)
    return int(stat[_STAT_START_TIME]) if stat else None


def is_alive(pid: int, started: int) -> bool:
    """Say whether the process `pid` that started at `started` runs (a zombie does not)."""
    stat = _stat(pid)
    return bool(stat) and int(stat[_STAT_START_TIME]) == started and stat[0] not in {"Z", "X"}


def is_stopped(pid: int) -> bool:
    """Say whether `pid` is stopped, by SIGSTOP, Ctrl+Z or a debugger."""
    stat = _stat(pid)
    return bool(stat) and stat[0] in {"T", "t"}


def become_subreaper() -> bool:
    """Adopt every orphan below this process. Say whether the system can do that."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(number: signal.Signals) -> bool:
    """Ask the kernel to send `number` to this process when its parent thread dies."""
    return _prctl(_PR_SET_PDEATHSIG, number)


def spawn(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdio: tuple[int | None, int | None, int | None] = (None, None, None),
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own.

    Its own session means that the terminal's Ctrl+C reaches only the starter.

    Args:
        command: Program and arguments.
        env: Its environment; None is this process's own.
        cwd: Its working directory; None is this process's own.
        stdio: Descriptors for its stdin, stdout and stderr; None inherits.
        pass_fds: Other descriptors that it inherits.

    Raises:
        OSError: There is no such program, or it cannot be executed.
    """
    stdin, stdout, stderr = stdio
    return subprocess.Popen(  # noqa: S603  (running the user's command is the product)
        list(command),
        env=None if env is None else dict(env),
        cwd=cwd,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        pass_fds=tuple(pass_fds),
    )


def descendants(pid: int) -> list[Proc]:
    """Return every live process below `pid`, parents before children."""
    try:
        below = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    found = ((each.pid, start_time(each.pid)) for each in below)
    return [Proc(each, started) for each, started in found if started is not None]


def send(target: Proc, number: signal.Signals) -> bool:
    """Signal exactly that process. Say whether it was there to be signalled."""
    handle = _pidfd(target)
    if handle is None:
        return False
    try:
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def wait_gone(targets: Sequence[Proc], timeout_s: float, *, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Return True once all `targets` have ended, False after `timeout_s` seconds.

    Children of this process are not reaped; ended ones count as gone.
    """
    deadline_s = clock.monotonic_s() + timeout_s
    for target in targets:
        handle = _pidfd(target)
        if handle is None:
            continue
        try:
            left_s = max(0.0, deadline_s - clock.monotonic_s())
            if not select.select([handle], [], [], left_s)[0]:
                return False
        finally:
            os.close(handle)
    return True


def kill_tree(root: Proc, *, grace_s: float = 0.0, clock: Clock = SYSTEM_CLOCK) -> list[Proc]:
    """End `root` and all below it: SIGTERM, `grace_s` seconds, then SIGCONT and SIGKILL.

    Returns:
        The processes that had to be killed.
    """
    tree = [root, *descendants(root.pid)]
    if grace_s > 0:
        for each in tree:
            send(each, signal.SIGTERM)
        wait_gone(tree, grace_s, clock=clock)
    killed: list[Proc] = []
    for _ in range(20):  # a dying tree can still fork: look again until nothing is left
        left = [each for each in (root, *descendants(root.pid), *tree) if each.is_alive]
        if not left:
            break
        for each in left:
            send(each, signal.SIGKILL)
            send(each, signal.SIGCONT)
        killed += [each for each in left if each not in killed]
        wait_gone(left, 1.0, clock=clock)
    return killed


def kill_and_wait(pid: int, started: int, timeout_s: float = 10.0) -> bool:
    """Kill one process and wait until it is gone. Say whether it is."""
    target = Proc(pid, started)
    send(target, signal.SIGKILL)
    return wait_gone([target], timeout_s)


def reap() -> dict[int, int]:
    """Collect every ended child of this process. Return pid -> wait status."""
    ended: dict[int, int] = {}
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            ended[pid] = status
    return ended


def _pidfd(target: Proc) -> int | None:
    try:
        handle = os.pidfd_open(target.pid)
    except ProcessLookupError:
        return None
    if target.is_alive:
        return handle
    os.close(handle)
    return None


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name, or none."""
    if sys.platform != "linux":
        return _stat_from_psutil(pid)
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()


def _stat_from_psutil(pid: int) -> list[str]:
    try:
        found = psutil.Process(pid)
        state = {psutil.STATUS_ZOMBIE: "Z", psutil.STATUS_STOPPED: "T"}.get(found.status(), "S")
        return [state, *["0"] * (_STAT_START_TIME - 1), str(int(found.create_time() * 100))]
    except psutil.Error:
        return []


def _prctl(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) == 0)
