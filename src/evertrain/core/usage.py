"""What a process does, as far as the system tells: processor, files, where it waits.

Linux only; elsewhere nothing is known, and None says so.

Layer: core. Imports nothing from evertrain.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

_USER: Final = 11  # field 14 of /proc/PID/stat, after the name: utime, stime, cutime, cstime
_IO: Final = frozenset({"rchar", "wchar"})
_MAX_THREADS: Final = 16


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used until now.

    Attributes:
        state: One letter: R runs, S sleeps, D waits for a disk, T stopped, t traced, Z dead.
        cpu_s: Processor time, with that of ended children, seconds.
        io_bytes: What it has read and written.
    """

    state: str
    cpu_s: float
    io_bytes: int


def usage(pid: int) -> Usage | None:
    """Return what `pid` has used until now, or None if it is gone or not told."""
    fields = _stat(f"/proc/{pid}/stat")
    if len(fields) < _USER + 4:
        return None
    ticks = sum(int(each) for each in fields[_USER : _USER + 4])
    return Usage(fields[0], ticks / os.sysconf("SC_CLK_TCK"), _io_bytes(pid))


def catches(pid: int, number: int) -> bool | None:
    """Say whether `pid` has a handler for a signal; None if it is gone or not told.

    Also of libraries, of which Python does not know.
    """
    text = _status(pid, "SigCgt")
    return None if text is None else bool(int(text, 16) >> (number - 1) & 1)


def is_traced(pid: int) -> bool:
    """Say whether a debugger is attached to `pid`."""
    return (_status(pid, "TracerPid") or "0") != "0"


def is_blocked(pid: int) -> bool:
    """Say whether a thread of `pid` waits for a disk, so that not even a kill would end it."""
    return any(fields[:1] == ["D"] for _, fields in _tasks(pid))


@dataclass(frozen=True, slots=True)
class Thread:
    """One thread of a process.

    Attributes:
        name: What the system calls it.
        state: As in `Usage`.
        waits_in: Function of the kernel in which it sleeps, "" if it does not.
    """

    name: str
    state: str
    waits_in: str


def threads(pid: int) -> list[Thread]:
    """Return the first threads of `pid`; none if it is gone."""
    return [
        Thread(_read(f"{place}/comm").strip(), fields[0], _read(f"{place}/wchan").strip("0\n"))
        for place, fields in islice(_tasks(pid), _MAX_THREADS)
        if fields
    ]


def _tasks(pid: int) -> Iterator[tuple[str, list[str]]]:
    """Yield each thread's directory, and the fields of its status behind the name."""
    try:
        names = sorted(os.listdir(f"/proc/{pid}/task"), key=int)  # noqa: PTH208
    except OSError:
        return
    for name in names:
        yield f"/proc/{pid}/task/{name}", _stat(f"/proc/{pid}/task/{name}/stat")


def _io_bytes(pid: int) -> int:
    rows = (line.partition(": ") for line in _read(f"/proc/{pid}/io").splitlines())
    return sum(int(value) for name, _, value in rows if name in _IO)


def _status(pid: int, name: str) -> str | None:
    for line in _read(f"/proc/{pid}/status").splitlines():
        if line.startswith(f"{name}:"):
            return line.partition(":")[2].strip()
    return None


def _stat(path: str) -> list[str]:
    text = _read(path)
    return text[text.rindex(")") + 2 :].split() if ")" in text else []


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", errors="replace")
    except OSError:  # gone, somebody else's, or no Linux
        return ""
