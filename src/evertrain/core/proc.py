"""The only module that starts, signals and reaps processes.

A process is named by its pid *and* its start time: pids are reused, pairs are
not. Linux first (pidfd, subreaper, /proc); elsewhere psutil does what it can, and only there
is it imported: the shim of a supervisor has to start fast.

Layer: core. Imports core only.
"""

import ctypes
import os
import select
import signal
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from evertrain.core.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    import subprocess

    # A started process, as `spawn` returns it.
    Child = subprocess.Popen[bytes]

_PR_SET_CHILD_SUBREAPER: Final = 36
_STAT_PARENT: Final = 1  # field 4 of /proc/PID/stat, counted after the name
_STAT_START_TIME: Final = 19  # field 22
_DEFAULT_SIGNALS: Final = (
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
)


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
        import psutil

        return f"boot-{psutil.boot_time():.0f}"


def host() -> str:
    """Return the machine's name."""
    return os.uname().nodename


def pid_space() -> str:
    """Return a name of the pid namespace of this process, "" if the system does not tell."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


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


def spawn(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdio: tuple[int | None, int | None, int | None] = (None, None, None),
    pass_fds: Sequence[int] = (),
) -> "Child":
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
    import subprocess

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


def launch(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    output: int | None = None,
    terminal: str | None = None,
) -> Proc:
    """Start `command` as the leader of a new session that the caller has to reap.

    Signals are back to their defaults, even those that the caller ignores: a program started
    by `nohup` or in the background of a script could otherwise never be stopped gracefully.
    Its input is empty.

    Args:
        command: Program (looked up in PATH) and arguments.
        env: Its environment.
        output: Descriptor for its stdout and stderr, if `terminal` is None.
        terminal: Path of a terminal that becomes its stdout, stderr and controlling terminal.

    Raises:
        OSError: There is no such program, or it cannot be executed.
    """
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]]
    actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
    if terminal is not None:  # the first terminal that a session leader opens is its own
        actions.append((os.POSIX_SPAWN_OPEN, 1, terminal, os.O_RDWR, 0))
    elif output is not None:
        actions.append((os.POSIX_SPAWN_DUP2, output, 1))
    actions.append((os.POSIX_SPAWN_DUP2, 1, 2))
    pid = os.posix_spawnp(
        command[0],
        list(command),
        dict(env),
        file_actions=actions,
        setsid=True,
        setsigmask=(),
        setsigdef=_DEFAULT_SIGNALS,
    )
    return Proc(pid, start_time(pid) or 0)


def fork() -> int:
    """Return 0 in a new copy of this process, and its pid here. Not for one that has threads."""
    with warnings.catch_warnings():  # a library's idle threads, which Python takes for trouble
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def exit_of(status: int) -> int:
    """Return a wait status as an exit code; the negated number of a signal that killed it."""
    return os.waitstatus_to_exitcode(status)


def executable(pid: int) -> str:
    """Return the file name of the program that `pid` runs, "" if it cannot be told."""
    try:
        return Path(f"/proc/{pid}/exe").readlink().name.removesuffix(" (deleted)")
    except OSError:
        return "" if sys.platform == "linux" else _executable_from_psutil(pid)


def descendants(pid: int) -> list[Proc]:
    """Return every process below `pid`, zombies included, parents before children."""
    if pid == os.getpid() and not _has_children():
        return []  # the usual end of a training: nobody need look through all processes
    below = _children_by_parent()
    found: list[Proc] = []
    level = [pid]
    while level:
        children = [each for parent in level for each in below.get(parent, ())]
        found += children
        level = [each.pid for each in children]
    return found


def children(pid: int) -> list[Proc]:
    """Return the live children of `pid`, oldest first."""
    found = [each for each in _children_by_parent().get(pid, ()) if each.is_alive]
    return sorted(found, key=lambda each: each.start_time)


def ancestors(pid: int) -> list[int]:
    """Return who started `pid`, who started that one, and so on, as far as it can be seen."""
    found: list[int] = []
    while pid > 1 and (stat := _stat(pid)):
        pid = int(stat[_STAT_PARENT])
        found.append(pid)
    return found


def started_with(entry: str) -> list[Proc]:
    """Return the processes that were started with `entry`, "NAME=value", in their environment.

    Linux only. Those of other users are not seen, nor those that have written over it.
    """
    if sys.platform != "linux":
        return []
    found: list[Proc] = []
    for name in os.listdir("/proc"):  # noqa: PTH208  (names only, hundreds of them)
        started = start_time(int(name)) if name.isdecimal() else None
        with suppress(OSError):
            if started is not None:
                entries = Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
                found += [Proc(int(name), started)] if os.fsencode(entry) in entries else []
    return [each for each in found if each.is_alive]


def _has_children() -> bool:
    """Say whether this process has any child, ended ones included."""
    if sys.platform != "linux":
        return True
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _children_by_parent() -> dict[int, list[Proc]]:
    if sys.platform != "linux":
        return _children_from_psutil()
    found: dict[int, list[Proc]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208  (names only, hundreds of them)
        stat = _stat(int(name)) if name.isdecimal() else []
        if stat:
            each = Proc(int(name), int(stat[_STAT_START_TIME]))
            found.setdefault(int(stat[_STAT_PARENT]), []).append(each)
    return found


def _children_from_psutil() -> dict[int, list[Proc]]:
    import psutil

    found: dict[int, list[Proc]] = {}
    for each in psutil.process_iter(["pid", "ppid"]):
        started = start_time(each.pid)
        if started is not None:
            found.setdefault(each.info["ppid"], []).append(Proc(each.pid, started))
    return found


def _executable_from_psutil(pid: int) -> str:
    import psutil

    try:
        return Path(psutil.Process(pid).exe()).name
    except psutil.Error:
        return ""


def send(target: Proc, number: signal.Signals) -> bool:
    """Signal exactly that process. Say whether it was there to be signalled."""
    handle = watch(target)
    if handle is None:
        return False
    try:
        signal.pidfd_send_signal(handle, number)
    except (ProcessLookupError, PermissionError):  # gone, or run by another user (sudo)
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
        handle = watch(target)
        if handle is None:
            continue
        try:
            left_s = max(0.0, deadline_s - clock.monotonic_s())
            if not select.select([handle], [], [], left_s)[0]:
                return False
        finally:
            os.close(handle)
    return True


def kill_tree(root: Proc, *, clock: Clock = SYSTEM_CLOCK) -> list[Proc]:
    """End `root` and all below it, see `kill_trees`."""
    return kill_trees([root], clock=clock)


def kill_trees(
    roots: Sequence[Proc], *, grace_s: float = 0.0, clock: Clock = SYSTEM_CLOCK
) -> list[Proc]:
    """End `roots` and all below them: SIGTERM, `grace_s` seconds, then SIGKILL and SIGCONT.

    Returns:
        The processes that had to be killed.
    """
    tree = _trees(roots)
    if grace_s > 0:
        for each in tree:
            send(each, signal.SIGTERM)
            send(each, signal.SIGCONT)  # a stopped process cannot act on SIGTERM
        wait_gone(tree, grace_s, clock=clock)
    killed: list[Proc] = []
    for _ in range(20):  # a dying tree can still fork: look again until nothing is left
        tree = list(dict.fromkeys([*_trees(roots), *tree]))
        left = [each for each in tree if each.is_alive]
        if not left:
            break
        for each in left:
            send(each, signal.SIGKILL)
            send(each, signal.SIGCONT)
        killed += [each for each in left if each not in killed]
        wait_gone(left, 1.0, clock=clock)
    return killed


def _trees(roots: Sequence[Proc]) -> list[Proc]:
    """Return `roots` and all below them. What lies below a reused pid is somebody else's."""
    below = [each for root in roots if root.is_alive for each in descendants(root.pid)]
    return [*roots, *below]


def sweep(
    spare: Sequence[Proc] = (), *, grace_s: float = 0.0, clock: Clock = SYSTEM_CLOCK
) -> list[Proc]:
    """End every process below this one: SIGTERM, `grace_s` seconds, then SIGCONT and SIGKILL.

    For a subreaper (`become_subreaper`) that is everything it ever started, whatever session
    it fled to. Ended children stay to be reaped.

    Args:
        spare: Processes to leave alone, with all below them.
        grace_s: Seconds between SIGTERM and SIGKILL; 0 kills at once.
        clock: Source of the time.

    Returns:
        The processes that had to be killed.
    """
    if grace_s > 0:
        left = _below_me(spare)
        for each in left:
            send(each, signal.SIGTERM)
            send(each, signal.SIGCONT)  # a stopped process cannot act on SIGTERM
        wait_gone(left, grace_s, clock=clock)
    killed: list[Proc] = []
    for _ in range(20):  # a dying tree can still fork: look again until nothing is left
        left = _below_me(spare)
        if not left:
            break
        reached = [each for each in left if send(each, signal.SIGKILL)]
        for each in reached:
            send(each, signal.SIGCONT)
        if not reached:  # run by another user (sudo): waiting would not help
            break
        killed += [each for each in reached if each not in killed]
        wait_gone(left, 1.0, clock=clock)
    return killed


def _below_me(spare: Sequence[Proc]) -> list[Proc]:
    spared = {each for top in spare for each in (top, *descendants(top.pid))}
    return [each for each in descendants(os.getpid()) if each.is_alive and each not in spared]


def kill_and_wait(pid: int, started: int, timeout_s: float = 10.0) -> bool:
    """Kill one process and wait until it is gone. Say whether it is: another user's is not."""
    target = Proc(pid, started)
    may_take_s = timeout_s if send(target, signal.SIGKILL) else 0.0
    return wait_gone([target], may_take_s)


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


def bury(pid: int, grace_s: float) -> int:
    """Wait for a child of this process, and kill it if it does not end in time.

    Args:
        pid: Its process id.
        grace_s: Seconds until it is killed.

    Returns:
        Its exit code, the negated number of a signal that killed it; 0 if somebody else has it.
    """
    child = Proc(pid, start_time(pid) or 0)
    if not wait_gone([child], grace_s):
        send(child, signal.SIGKILL)
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        return 0
    return exit_of(status)


def peak_bytes() -> int | None:
    """Return the largest resident set of one child that was reaped, or of one below it."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak * 1024 if sys.platform == "linux" and peak > 0 else None


def watch(target: Proc) -> int | None:
    """Return a descriptor of exactly that process, or None if it is gone. Linux only.

    It becomes readable when the process ends. The caller closes it.
    """
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
    import psutil

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
