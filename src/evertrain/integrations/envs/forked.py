"""A copy of this process that tries something out, and disturbs nobody.

What it does to memory, generators and simulators in this process, it does to copies of
them. Its connections and files lead nowhere, memory that is shared with other processes is
read only, and it may start, signal, connect and write nothing: a simulator in another process
hears nothing of it, and fails the trial. It says what it found, and is gone.

Layer: integrations. Imports its sibling and core.
"""

import ctypes
import fcntl
import gc
import mmap
import os
import pickle
import queue
import resource
import select
import signal
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

from evertrain.core import proc
from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.integrations.envs.idle import Sleep

_CHUNK_BYTES: Final = 1 << 16
_FAREWELL_S: Final = 5.0
_STDERR: Final = 2
_PATIENCE: Final = 4
_SLEEP_S: Final = 10.0
_LOOK_S: Final = 1.0
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Events of Python's audit (PEP 578).
_STARTS: Final = ("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system")
_CHANGES: Final = ("os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink")
_FORBIDDEN: Final = {
    **dict.fromkeys((*_STARTS, "subprocess.Popen", "pty.spawn"), "start no process"),
    **dict.fromkeys(("os.kill", "os.killpg", "signal.pthread_kill"), "signal no process"),
    **dict.fromkeys((*_CHANGES, "os.truncate", "shutil.move", "shutil.rmtree"), "write no file"),
    **dict.fromkeys(("open", "sqlite3.connect"), "write no file"),
    **dict.fromkeys(("socket.bind", "socket.connect"), "connect to nothing"),
    **dict.fromkeys(("socket.sendto", "socket.sendmsg"), "connect to nothing"),
}
_MESSAGE_CHARS: Final = 300
_REFUSED: Final[list[str]] = []  # in the copy: what it tried and may not
# What a call raises whose other end, or whose thread, stayed behind.
_OF_A_COPY: Final = (OSError, EOFError, queue.Empty)
_MEMORY: Final = ("/dev/shm/", "/dev/zero")  # noqa: S108  (as the kernel names it)
_FAULTS: Final = (-signal.SIGSEGV, -signal.SIGBUS)


class TrialError(Exception):
    """The copy did not come to an end.

    Attributes:
        is_cut: Whether that may be because it is a copy: it reached for something outside, or for
            a thread or a device that stayed behind, or waited for an answer. If not, what it did
            is broken, and would be so in the training.
    """

    def __init__(self, what: str, *, is_cut: bool) -> None:
        """Say why."""
        super().__init__(what)
        self.is_cut = is_cut


def try_out(act: Callable[[], Any], *, timeout_s: float = 30.0, clock: Clock = SYSTEM_CLOCK) -> Any:
    """Return what `act` returns in a forked copy of this process.

    Args:
        act: Returns something that can be pickled.
        timeout_s: Seconds of a processor that the copy may use; four times as long by the
            clock, so that a busy machine changes nothing. One that sleeps for ten seconds
            without a moment of a processor waits for what stayed behind, and is given up.
        clock: Source of the time.

    Raises:
        TrialError: It raised, was killed, or took too long; the message says which.
        OSError: This process cannot be copied.
    """
    if sys.platform != "linux":
        raise TrialError(f"it needs Linux, and this is {sys.platform}", is_cut=True)
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = proc.fork()
    if pid == 0:
        _be_the_copy(act, writer, timeout_s)
    os.close(writer)
    data: bytes | None = None
    try:
        data = _read(reader, Sleep(pid, clock), _PATIENCE * timeout_s, clock)
    finally:
        os.close(reader)
        code = proc.bury(pid, 0.0 if data is None else _FAREWELL_S)
    if code == -signal.SIGXCPU:
        raise TrialError(f"it took longer than {timeout_s:.0f} s of a processor", is_cut=True)
    if not data:
        raise TrialError(f"it died ({_how(code)})", is_cut=code in _FAULTS)
    is_fine, found = pickle.loads(data)  # noqa: S301  (this very program wrote it a moment ago)
    if not is_fine:
        raise TrialError(found["what"], is_cut=found["is_cut"])
    return found


def _be_the_copy(act: Callable[[], Any], writer: int, timeout_s: float) -> NoReturn:
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Sent to the whole group: the trainer saves and stops, and the choice stays the same.
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
        # It outlives nobody, whatever happens to its parent.
        signal.alarm(int(_PATIENCE * timeout_s) + 1)
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        spent_s = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        resource.setrlimit(resource.RLIMIT_CPU, (int(spent_s + timeout_s) + 1, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        gc.disable()  # nothing here may be closed or removed by a finalizer
        _cut_off(writer)
        _protect_shared_memory()
        sys.addaudithook(_forbid)
        vars(os).pop("pidfd_open", None)  # the way to a process that no hook sees
        torch = sys.modules.get("torch")
        if torch is not None:
            torch.set_num_threads(1)  # its other threads stayed behind
        _tell(writer, act)
        code = 0
    finally:
        os._exit(code)


def _tell(writer: int, act: Callable[[], Any]) -> None:
    try:
        answer = (True, act())
        data = pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001  (foreign code; whatever it raises is the answer)
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        if _REFUSED:
            what = f"a copy may {_REFUSED[0]}"  # whatever the environment made of that
        found = {"what": what[:_MESSAGE_CHARS], "is_cut": bool(_REFUSED) or _is_cut(error)}
        data = pickle.dumps((False, found))
    with suppress(BrokenPipeError):
        while data:
            data = data[os.write(writer, data) :]


def _is_cut(error: BaseException | None) -> bool:
    """Say whether an error came of what stayed behind: connections, threads, graphics cards."""
    if error is None:
        return False
    torch = sys.modules.get("torch")
    has_card = torch is not None and torch.cuda.is_initialized()  # which no copy can use
    kinds = (*_OF_A_COPY, RuntimeError) if has_card else _OF_A_COPY
    return isinstance(error, kinds) or _is_cut(error.__cause__) or _is_cut(error.__context__)


def _cut_off(keep: int) -> None:
    """Let all connections and files of this process lead nowhere, and its reading be its own.

    What is written is lost, and reading is an error: an end of the stream could be taken for data.
    """
    null = os.open(os.devnull, os.O_WRONLY)
    for entry in list(Path("/proc/self/fd").iterdir()):
        handle = int(entry.name)
        if handle in {keep, null}:
            continue
        with suppress(OSError):  # the one of the listing itself
            mode = os.fstat(handle).st_mode
            is_read_only = fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
            if stat.S_ISREG(mode) and is_read_only:
                _read_alone(handle)
            elif handle <= _STDERR or not (stat.S_ISCHR(mode) or stat.S_ISDIR(mode)):
                os.dup2(null, handle)  # epoll and its like are shared with the parent as well


def _protect_shared_memory() -> None:
    """Let writing into memory that other processes see end this one.

    Devices are left alone: their drivers write there, also to be given up.
    """
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int)
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, rights, _, _, _, *path = line.split(None, 5)
        is_device = bool(path) and path[0].startswith("/dev/") and not path[0].startswith(_MEMORY)
        if rights[1] != "w" or rights[3] != "s" or is_device:
            continue
        start, end = (int(each, 16) for each in span.split("-"))
        if protect(start, end - start, mmap.PROT_READ):
            raise OSError(ctypes.get_errno(), f"shared memory cannot be protected: {line}")


def _forbid(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what would be seen outside."""
    if event == "open":
        path, _, flags = arguments
        is_device = isinstance(path, int) or str(path).startswith("/dev/")
        if is_device or not (flags or 0) & _WRITES:
            return
    if event in _FORBIDDEN:
        _REFUSED.append(_FORBIDDEN[event])
        raise PermissionError(f"a copy may {_FORBIDDEN[event]}: {event} {arguments[:1]!r:.200}")


def _read_alone(handle: int) -> None:
    """Give a file that is only read a position of its own."""
    position = os.lseek(handle, 0, os.SEEK_CUR)
    own = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY)
    os.lseek(own, position, os.SEEK_SET)
    os.dup2(own, handle)
    os.close(own)


def _read(reader: int, sleep: Sleep, limit_s: float, clock: Clock) -> bytes:
    """Return everything up to the end.

    Raises:
        TrialError: That does not come in time.
    """
    poller = select.poll()
    poller.register(reader, select.POLLIN)
    until_s = clock.monotonic_s() + limit_s
    found = b""
    while True:
        left_s = until_s - clock.monotonic_s()
        if left_s <= 0:
            raise TrialError(f"it took longer than {limit_s:.0f} s by the clock", is_cut=True)
        if poller.poll(1000 * min(left_s, _LOOK_S)):
            chunk = os.read(reader, _CHUNK_BYTES)
            if not chunk:
                return found
            found += chunk
        elif sleep.seconds() > _SLEEP_S:
            what = f"it slept for {_SLEEP_S:.0f} s: it waits for what a copy does not have"
            raise TrialError(f"{what}, such as a thread", is_cut=True)


def _how(code: int) -> str:
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return (
        f"{how}: it wrote into memory that is shared, or C code failed" if code in _FAULTS else how
    )
