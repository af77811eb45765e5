"""When somebody executes a program, seen from outside.

A clock inside of the program would count its own start too, and an interpreter takes longer
to read the clock than the restart that is measured. So the program is a file of its own,
and the kernel tells when it is opened for execution (inotify): the first thing of `execve`.
"""

import ctypes
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

_IN_OPEN = 0x20


class Program:
    """A copy of an executable, of which every execution is noticed.

    Args:
        original: What to copy.
        path: Where.
    """

    def __init__(self, original: Path, path: Path) -> None:
        """Copy it, and watch the copy."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(original.resolve(), path)
        libc = ctypes.CDLL(None, use_errno=True)
        self._handle = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if libc.inotify_add_watch(self._handle, os.fsencode(path), _IN_OPEN) < 0:
            raise OSError(ctypes.get_errno(), "inotify refuses", str(path))

    def forget(self) -> None:
        """Forget the executions so far."""
        while select.select([self._handle], [], [], 0)[0]:
            os.read(self._handle, 4096)

    def wait_executed(self, limit_s: float) -> float:
        """Return when it was executed next, in seconds of `time.perf_counter`.

        Raises:
            TimeoutError: Nobody executed it within `limit_s` seconds.
        """
        if not select.select([self._handle], [], [], limit_s)[0]:
            raise TimeoutError(f"{self.path.name} was not started within {limit_s:g} s")
        at_s = time.perf_counter()
        self.forget()
        return at_s

    def pid(self, limit_s: float = 5.0) -> int:
        """Return the process that executes it; there is one, or will be within `limit_s`."""
        until_s = time.perf_counter() + limit_s
        while time.perf_counter() < until_s:
            found = [pid for pid in _pids() if _executable(pid) == str(self.path)]
            if found:
                return found[-1]
            time.sleep(0.001)
        raise TimeoutError(f"nobody executes {self.path.name}")


def python_copy(place: Path) -> Program:
    """Return this interpreter, with its packages, as a program of its own."""
    base = Path(sys.executable).resolve()
    place.mkdir(parents=True)
    (place / "pyvenv.cfg").write_text(f"home = {base.parent}\n")
    (place / "lib").symlink_to(Path(sys.prefix) / "lib")
    return Program(base, place / "bin" / "python")


def kill(pid: int) -> float:
    """Kill a process, and return when it was dead, in seconds of `time.perf_counter`."""
    handle = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        select.select([handle], [], [])
        return time.perf_counter()
    finally:
        os.close(handle)


def _pids() -> list[int]:
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()]


def _executable(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        return ""
