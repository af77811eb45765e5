"""Stacks: asked for only where that is safe, and compared thread by thread."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from evertrain.core import proc, usage
from evertrain.core.heartbeat import STACKS, Beat
from evertrain.core.proc import Proc
from evertrain.supervise.hang.stacks import Stacks, difference
from evertrain.testing.processes import wait_until

FIRST = """Thread 0x0000000000000001 (most recent call first):
  File "/a/queue.py", line 171 in get
  File "/a/train.py", line 9 in <module>

Thread 0x0000000000000002 (most recent call first):
  File "/a/env.py", line 5 in step

Current thread 0x0000000000000003 (most recent call first):
  <no Python frame>
"""
SECOND = """Thread 0x0000000000000001 (most recent call first):
  File "/a/queue.py", line 171 in get
  File "/a/train.py", line 9 in <module>

Thread 0x0000000000000002 (most recent call first):
  File "/a/env.py", line 6 in reset

Thread 0x0000000000000004 (most recent call first):
  File "/a/pool.py", line 1 in work
"""


def test_the_difference_names_each_thread() -> None:
    """Those that stood still, that moved, that are new, and that ended."""
    assert difference(FIRST, SECOND) == [
        "thread 0x0000000000000001: did not move, in get (queue.py:171)",
        "thread 0x0000000000000002: moved, from step (env.py:5) to reset (env.py:6)",
        "thread 0x0000000000000004: new, in work (pool.py:1)",
        "thread 0x0000000000000003: ended",
    ]


@pytest.mark.parametrize("garbage", ["", "Thread", "x" * 1000, "Thread 0x1 (most\n  File"])
def test_a_torn_dump_is_no_error(garbage: str) -> None:
    """What does not parse is left out."""
    difference(garbage, SECOND)
    difference(FIRST, garbage)


CODE = f"""
import faulthandler, os, sys, time
handle = os.memfd_create({STACKS!r})
if sys.argv[1] == "handler":
    faulthandler.register(10, file=handle)
def wait_here():
    print(handle, flush=True)
    time.sleep(100)
wait_here()
"""


@pytest.fixture(params=["handler", "none"])
def asked(request: pytest.FixtureRequest) -> Iterator[tuple[str, Stacks, Proc]]:
    """A process with or without the handler that its heartbeat promises."""
    command = [sys.executable, "-c", CODE, request.param]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        handle = int(child.stdout.readline())
        who = Proc(child.pid, proc.start_time(child.pid) or 0)
        stacks = (int(signal.SIGUSR1), handle)
        beat = Beat(pid=who.pid, step=1, phase="step", at_s=1.0, stacks=stacks)
        yield request.param, Stacks(beat, who), who
        child.kill()


@pytest.mark.slow
def test_only_who_has_a_handler_is_asked(asked: tuple[str, Stacks, Proc]) -> None:
    """The heartbeat is not believed alone: an exec takes handlers away. Nobody dies of it."""
    kind, stacks, who = asked
    assert stacks.ask() == (kind == "handler")
    if kind == "handler":
        found: list[str] = []

        def has_come() -> bool:
            found.append(stacks.read())
            return "wait_here" in "".join(found)

        wait_until(has_come, "the dump")
        assert stacks.read() == ""
    assert who.is_alive
    assert usage.usage(who.pid) is not None


@pytest.mark.parametrize("stacks", [None, (10, 0), (99, 5), (0, 5)])
def test_an_odd_heartbeat_gets_nobody_signalled(stacks: tuple[int, int] | None) -> None:
    """Files may hold anything, also a signal that does not exist."""
    beat = Beat(pid=1, step=1, phase="step", at_s=1.0, stacks=stacks)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"]) as child:
        who = Proc(child.pid, proc.start_time(child.pid) or 0)
        assert not Stacks(beat, who).ask()
        assert child.poll() is None
        child.kill()
