"""Leases: one live owner, and a dead one never stands in the way."""

import errno
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from evertrain.core import lock, proc
from evertrain.core.errors import FencedError, LockedError
from evertrain.core.flock import guarded
from evertrain.core.fs import Bytes, LocalFs

HOLD = """
import sys, time
from contextlib import suppress
from pathlib import Path
from evertrain.core import lock
lease = lock.take(Path(sys.argv[1]))
print(lease.owner.attempt, flush=True)
{then}
time.sleep(600)
"""

Holder = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Holder]:
    """Start processes that hold the lease; kill them afterwards."""
    started: list[subprocess.Popen[str]] = []

    def start(then: str = "") -> "subprocess.Popen[str]":
        script = HOLD.format(then=then)
        command = [sys.executable, "-c", script, str(tmp_path / "lock")]
        holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline().strip()
        return holder

    yield start
    for holder in started:
        holder.kill()
        holder.communicate()


def test_attempts_only_grow(tmp_path: Path) -> None:
    """Each lease gets a higher number, at least the one asked for."""
    numbers = []
    for wanted in (0, 0, 7, 3):
        with lock.take(tmp_path / "lock", attempt=wanted) as lease:
            numbers.append(lease.owner.attempt)

    assert numbers == [1, 2, 7, 8]


def test_whoever_the_owner_started_is_not_told_to_kill_it(tmp_path: Path) -> None:
    """An evaluation with a `Run` of its own, below a supervised training."""
    with lock.take(tmp_path / "lock") as lease:
        script = "import sys; from pathlib import Path; from evertrain.core import lock\n"
        script += "lock.take(Path(sys.argv[1]))"
        command = [sys.executable, "-c", script, str(tmp_path / "lock")]
        found = subprocess.run(command, capture_output=True, text=True, check=False)

    assert f"is in use by pid {lease.owner.pid}" in found.stderr
    assert "env -u EVERTRAIN_RUN" in found.stderr
    assert f"kill {lease.owner.pid}" not in found.stderr


def test_a_released_lease_has_no_owner(tmp_path: Path) -> None:
    """A process that lives on after its run does not look like the run's owner."""
    with lock.take(tmp_path / "lock") as lease:
        assert lock.live_owner(tmp_path / "lock") == lease.owner

    assert lock.live_owner(tmp_path / "lock") is None


def test_a_lease_that_was_taken_away_is_fenced(tmp_path: Path) -> None:
    """A process whose lock file was replaced knows that it owns nothing."""
    with lock.take(tmp_path / "lock") as lease:
        lease.check()
        (tmp_path / "lock").rename(tmp_path / "elsewhere")

        with pytest.raises(FencedError, match="the run was moved or removed"):
            lease.check()
        (tmp_path / "lock").write_bytes((tmp_path / "elsewhere").read_bytes())
        with pytest.raises(FencedError, match="it says: pid"):
            lease.check()


@pytest.mark.slow
def test_a_second_trainer_is_refused_by_name(tmp_path: Path, hold: Holder) -> None:
    """The refusal names pid and host of the owner, and has exit code 11."""
    holder = hold()

    with pytest.raises(LockedError, match=f"pid {holder.pid} on {proc.host()}") as caught:
        lock.take(tmp_path / "lock")

    assert caught.value.exit_code == 11


@pytest.mark.slow
def test_a_killed_owner_is_succeeded(tmp_path: Path, hold: Holder) -> None:
    """SIGKILL frees the lease at once, and the next attempt has the next number."""
    holder = hold()
    holder.kill()
    holder.wait()

    with lock.take(tmp_path / "lock") as lease:
        assert lease.owner.attempt == 2
        assert lease.previous is not None
        assert lease.previous.pid == holder.pid


@pytest.mark.slow
def test_forked_workers_of_a_dead_owner_do_not_hold_it(tmp_path: Path, hold: Holder) -> None:
    """A worker that outlives its trainer keeps no descriptor of the lease."""
    worker = "import os\npid = os.fork()\nif pid: print(pid, flush=True)"
    holder = hold(worker)
    assert holder.stdout is not None
    pid = int(holder.stdout.readline())
    try:
        holder.kill()
        holder.wait()
        assert proc.start_time(pid) is not None

        with lock.take(tmp_path / "lock") as lease:
            assert lease.owner.attempt == 2
    finally:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_leaked_descriptor_of_a_dead_owner_does_not_hold_it(tmp_path: Path, hold: Holder) -> None:
    """Even where a stranger still holds the flock, a dead owner is succeeded."""
    leak = (
        "import os, subprocess, sys\n"
        "os.set_inheritable(lease._handle, True)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'],"
        " pass_fds=[lease._handle])\n"
        "print(child.pid, flush=True)"
    )
    holder = hold(leak)
    assert holder.stdout is not None
    pid = int(holder.stdout.readline())
    try:
        holder.kill()
        holder.wait()

        with lock.take(tmp_path / "lock") as lease:
            assert lease.owner.attempt == 2
            lease.check()
    finally:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_stopped_owner_is_named_and_can_be_replaced(tmp_path: Path, hold: Holder) -> None:
    """A frozen owner still owns the run; taking over kills it first."""
    holder = hold()
    os.kill(holder.pid, signal.SIGSTOP)
    while not proc.is_stopped(holder.pid):
        time.sleep(0.001)

    with pytest.raises(LockedError, match="is stopped"):
        lock.take(tmp_path / "lock")
    with lock.take(tmp_path / "lock", take_over=True) as lease:
        assert lease.owner.attempt == 2

    assert holder.wait(10) == -signal.SIGKILL


def test_an_owner_on_another_machine_is_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the flock is held and the owner is elsewhere, only the user can know."""
    with lock.take(tmp_path / "lock"), monkeypatch.context() as patch:
        patch.setattr(proc, "host", lambda: "elsewhere")
        with pytest.raises(LockedError, match="in use by"):
            lock.take(tmp_path / "lock")


def test_an_owner_in_another_container_is_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pid means somebody else here, or nobody: it is not dead because it is not seen."""
    holder = lock.take(tmp_path / "lock")
    text = (tmp_path / "lock").read_text()
    (tmp_path / "lock").write_text(text.replace(f'"pid": {os.getpid()}', '"pid": 4194000'))
    monkeypatch.setattr(proc, "pid_space", lambda: "pid:[1]")

    with pytest.raises(LockedError, match="in use by pid 4194000"):
        lock.take(tmp_path / "lock")
    holder.release()


def test_a_record_of_an_earlier_version_names_no_pid_space(tmp_path: Path) -> None:
    """It is read as one of here."""
    with lock.take(tmp_path / "lock") as lease:
        record = json.loads((tmp_path / "lock").read_text())
        del record["pid_space"]
        (tmp_path / "lock").write_text(json.dumps(record))
        found = lock.read_owner(tmp_path / "lock")

        assert found is not None
        assert found.is_alive
        assert found.attempt == lease.owner.attempt


def test_an_unreadable_record_is_no_owner(tmp_path: Path) -> None:
    """Garbage in the lock file is overwritten by the next owner."""
    (tmp_path / "lock").write_bytes(b"\xff{")

    with lock.take(tmp_path / "lock") as lease:
        assert lease.owner.attempt == 1


def test_a_forked_child_does_not_hold_the_guard(tmp_path: Path) -> None:
    """A worker that was forked while the lease was taken does not keep the next owner out."""
    path = tmp_path / "lock"
    with guarded(path):
        child = os.fork()
        if child == 0:
            signal.pause()
    try:
        with (tmp_path / ".lock.guard").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


OWNER = {"pid": os.getpid(), "start_time": 1, "boot_id": "b", "host": "h", "attempt": 7}
OWNER |= {"since": "now", "pid_space": "p"}
ODD: list[object] = [None, [], {}, "x", -1, 2.5, True, 2**70]


@pytest.mark.parametrize("name", list(OWNER))
@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_a_record_of_odd_types_is_no_owner(tmp_path: Path, name: str, odd: object) -> None:
    """A lock file that somebody has edited is taken like an empty one."""
    path = tmp_path / "lock"
    if isinstance(OWNER[name], str) and isinstance(odd, str):
        odd = 5
    path.write_text(json.dumps(OWNER | {name: odd}))

    assert lock.read_owner(path) is None
    with lock.take(path) as lease:
        assert lease.owner.attempt == 1


@pytest.mark.parametrize("text", ["[]", "3", "null", '"x"', "[" * 100_000])
def test_a_record_that_is_no_object_is_no_owner(tmp_path: Path, text: str) -> None:
    """Whatever JSON the file holds, it is taken."""
    path = tmp_path / "lock"
    path.write_text(text)

    with lock.take(path) as lease:
        assert lease.previous is None


class Full(LocalFs):
    """A disk without room for bytes."""

    def write(self, path: Path, chunks: Iterable[Bytes]) -> int:
        """Leave it empty."""
        super().write(path, [b"" for _ in chunks])
        raise OSError(errno.ENOSPC, "no space left on device", str(path))


def test_a_lease_that_could_not_be_written_is_not_held(tmp_path: Path) -> None:
    """On a full disk a process must not lock itself out: with room it takes the run."""
    with pytest.raises(OSError, match="no space"):
        lock.take(tmp_path / "lock", fs=Full())

    with lock.take(tmp_path / "lock") as lease:
        assert lease.is_held()


def test_a_lease_is_held_by_a_process_that_is_out_of_descriptors(tmp_path: Path) -> None:
    """Its save fails for that, and may pass later; it has not lost the run."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    with lock.take(tmp_path / "lock") as lease:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        try:
            with suppress(OSError):
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            assert lock.read_owner(lease.path) is None
            lease.check()
        finally:
            for each in taken:
                os.close(each)
            resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_lease_is_given_back_on_a_full_disk(tmp_path: Path) -> None:
    """What cannot be written down is still true: the next one gets the run."""
    path = tmp_path / "lock"
    held = lock.take(path)
    full = lock.Lease(path, os.dup(held._handle), held.owner, None, Full())
    held.forget()
    full.release()

    with lock.take(path) as lease:
        assert lease.is_held()
