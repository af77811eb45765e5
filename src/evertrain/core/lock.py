"""Leases: who owns a run, decided by the kernel and readable by people.

The flock decides who lives. The record in the file tells people and later attempts
who that is. The attempt is the fencing token: it only grows.

Layer: core. Imports core only.
"""

import fcntl
import json
import os
import weakref
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final, Self

from evertrain.core import proc
from evertrain.core.clock import SYSTEM_CLOCK, Clock, iso_utc
from evertrain.core.document import NOTE_BYTES, parse_json
from evertrain.core.errors import FencedError, LockedError
from evertrain.core.flock import guarded, try_lock
from evertrain.core.fs import LOCAL_FS, Fs
from evertrain.core.kinds import is_count, is_name, misfit
from evertrain.core.regular import read_regular


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The record inside a lease.

    Attributes:
        pid: Process that holds or held the lease.
        start_time: Its start, in clock ticks since boot: pids are reused, pairs are not.
        boot_id: Boot of the machine it ran on.
        host: Name of that machine.
        pid_space: In which pids mean what they say: a container has its own. "" is not known.
        attempt: Fencing token.
        since: RFC 3339 time at which it took the lease.
    """

    pid: int
    start_time: int
    boot_id: str
    host: str
    attempt: int
    since: str
    pid_space: str = ""

    @property
    def is_here(self) -> bool:
        """Whether it runs or ran on this boot of this machine, where its pid can be seen."""
        is_visible = self.pid_space in {"", proc.pid_space()}
        return is_visible and self.boot_id == proc.boot_id() and self.host == proc.host()

    @property
    def is_alive(self) -> bool:
        """Whether that very process still lives here (a zombie does not)."""
        return self.is_here and proc.is_alive(self.pid, self.start_time)

    def __str__(self) -> str:
        """Return "pid 123 on host (attempt 2, since ...)"."""
        return f"pid {self.pid} on {self.host} (attempt {self.attempt}, since {self.since})"


def _is_pid(value: object) -> bool:
    return isinstance(value, int) and is_count(value) and value < _MAX_PID


_MAX_PID: Final = 2**31
_KINDS: Final = {
    "pid": _is_pid,
    "start_time": is_count,
    "boot_id": is_name,
    "host": is_name,
    "attempt": is_count,
    "since": is_name,
    "pid_space": is_name,
}


class Lease:
    """A lease held by this process until `release`, or until it dies.

    Attributes:
        owner: What this process wrote into it.
        previous: What the file said before, or None.
    """

    def __init__(
        self, path: Path, handle: int, owner: Owner, previous: Owner | None, fs: Fs
    ) -> None:
        """Do not call: `take` makes leases."""
        self.path = path
        self._fs = fs
        self.owner = owner
        self.previous = previous
        self._handle = handle
        _HELD.add(self)

    def is_held(self) -> bool:
        """Say whether this process still owns the run."""
        try:
            there = self.path.stat()
            mine = os.fstat(self._handle)
            said = os.pread(self._handle, NOTE_BYTES, 0)  # it may be out of descriptors
        except OSError:
            return False
        return os.path.samestat(there, mine) and said == _encode(self.owner)

    def check(self) -> None:
        """Return if the lease is still held.

        Raises:
            FencedError: A later attempt took the run, or the lock file is gone.
        """
        if self.is_held():
            return
        now = read_owner(self.path)
        raise FencedError(
            f"{self.path} is no longer held by pid {self.owner.pid}.",
            f"{f'it says: {now}' if now else 'the run was moved or removed'}; its saves are void.",
            f"Let this process end; {'the newer one' if now else 'a run that was moved'} goes on.",
        )

    def write(self, owner: Owner) -> None:
        """Write the record into the file that this process has locked."""
        self._fs.write(self.path, (_encode(owner),))
        self._fs.sync_file(self.path)

    def release(self) -> None:
        """Give the lease back. The attempt stays on record, for the next one's number.

        On a full disk that record is lost; the lease is given back all the same.
        """
        if self._handle >= 0 and self.is_held():
            with suppress(OSError):
                self.write(replace(self.owner, pid=0, start_time=0))
        self.forget()

    def forget(self) -> None:
        """Close the descriptor and leave the file alone, as a forked child must."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        _HELD.discard(self)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release."""
        self.release()


_HELD: Final[weakref.WeakSet[Lease]] = weakref.WeakSet()


def _forget_all() -> None:
    """Run in each forked child: a worker that outlives its trainer must hold nothing."""
    for lease in list(_HELD):
        lease.forget()


os.register_at_fork(after_in_child=_forget_all)


def take(
    path: Path,
    *,
    attempt: int = 0,
    take_over: bool = False,
    fs: Fs = LOCAL_FS,
    clock: Clock = SYSTEM_CLOCK,
) -> Lease:
    """Take the lease at `path` for this process.

    A dead owner's lease is taken over even while processes that it left
    behind still hold its descriptor: the file is then replaced.

    Args:
        path: The lock file; created if missing.
        attempt: Smallest attempt number wanted. The lease gets this or one more
            than the last one, whichever is greater.
        take_over: Kill a live owner on this machine and take its place; on
            another machine, trust the caller that it is dead.
        fs: Disk to write to.
        clock: Source of the time in the record.

    Raises:
        LockedError: A live process owns it. The message names pid and host.
        OSError: The disk refused. The lease is not held.
    """
    with guarded(path):
        handle = _open(path, fs)
        if not try_lock(handle):
            os.close(handle)
            _displace(path, take_over=take_over, fs=fs)
            handle = _open(path, fs)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        previous = read_owner(path)
        owner = _self(max(attempt, previous.attempt + 1 if previous else 1), clock)
        lease = Lease(path, handle, owner, previous, fs)
        try:
            lease.write(owner)
        except OSError:
            lease.forget()  # else this very process would lock itself out
            raise
        return lease


def read_owner(path: Path) -> Owner | None:
    """Return the record of the lease at `path`, or None if it holds none."""
    try:
        found = parse_json(read_regular(path, NOTE_BYTES))
        known = {name: found[name] for name in _KINDS if name in found}
        return None if misfit(known, _KINDS) is not None else Owner(**known)
    except (OSError, ValueError, TypeError):  # TypeError: no object, or one is missing
        return None


def live_owner(path: Path) -> Owner | None:
    """Return the live process that owns the lease, or None. Changes nothing."""
    owner = read_owner(path)
    return owner if owner is not None and owner.is_alive else None


def owner_of(path: Path) -> Owner | None:
    """Return the process that owns the lease, here or, for all we know, elsewhere. Or None."""
    owner = read_owner(path)
    is_elsewhere = owner is not None and owner.pid > 0 and owner.host != proc.host()
    return owner if owner is not None and (owner.is_alive or is_elsewhere) else None


def _open(path: Path, fs: Fs) -> int:
    if not path.exists():
        fs.append(path, b"")
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)


def _displace(path: Path, *, take_over: bool, fs: Fs) -> None:
    """Make room where the flock is taken, or refuse.

    Raises:
        LockedError: The owner lives, or nothing proves that it is dead.
    """
    owner = read_owner(path)
    if owner is None:
        raise LockedError(
            f"{path} is locked by another process.",
            "it has not said who it is yet; two trainers on one run would ruin it.",
            "Wait a moment and try again, or find it with: fuser -v " + str(path),
        )
    if owner.is_alive or not owner.is_here:
        # It may be another user's, and live on.
        may = take_over and (not owner.is_alive or proc.kill_and_wait(owner.pid, owner.start_time))
        if not may:
            raise LockedError(
                f"{path.parent} is in use by {owner}{_stopped_note(owner)}.",
                "two trainers on one run would overwrite each other's checkpoints.",
                _way_out(path, owner),
            )
    # The flock is held by what a dead owner left behind: a new file, a new lock.
    fresh = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    fs.write(fresh, (_encode(owner),))
    fs.replace(fresh, path)


def _encode(owner: Owner) -> bytes:
    return (json.dumps(asdict(owner)) + "\n").encode()


def _way_out(path: Path, owner: Owner) -> str:
    if owner.pid in {os.getpid(), *proc.ancestors(os.getpid())}:  # a cell that was run again
        return "This process or a parent holds it: run.close() there, or env -u EVERTRAIN_RUN here."
    return f"Stop it first: evertrain stop {path.parent} (or kill {owner.pid})"


def _stopped_note(owner: Owner) -> str:
    return ", which is stopped (SIGSTOP or Ctrl+Z)" if proc.is_stopped(owner.pid) else ""


def _self(attempt: int, clock: Clock) -> Owner:
    return Owner(
        pid=os.getpid(),
        start_time=proc.start_time(os.getpid()) or 0,
        boot_id=proc.boot_id(),
        host=proc.host(),
        attempt=attempt,
        since=iso_utc(clock.now_s()),
        pid_space=proc.pid_space(),
    )
