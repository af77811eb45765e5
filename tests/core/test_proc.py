"""Processes are told apart, signalled exactly, and ended with all they started."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from evertrain.core import proc

TREE = """
import os, subprocess, sys, time
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True)"
one = subprocess.Popen([sys.executable, "-c", child + "; time.sleep(600)"], stdout=subprocess.PIPE)
two = subprocess.Popen([sys.executable, "-c", child + "; time.sleep(600)"], stdout=subprocess.PIPE,
                       start_new_session=True)
one.stdout.readline(); two.stdout.readline()
print(one.pid, two.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def tree() -> Iterator[tuple[proc.Proc, list[int]]]:
    """A process with a child, and a child in a session of its own; both ignore SIGTERM."""
    root = proc.spawn([sys.executable, "-c", TREE], stdio=(None, PIPE, None))
    assert root.stdout is not None
    pids = [int(each) for each in root.stdout.readline().split()]
    yield _named(root), pids
    for pid in [root.pid, *pids]:
        if proc.start_time(pid) is not None:
            os.kill(pid, signal.SIGKILL)
    root.stdout.close()
    root.wait()


def _named(child: "Popen[bytes]") -> proc.Proc:
    started = proc.start_time(child.pid)
    assert started is not None
    return proc.Proc(child.pid, started)


def test_a_reused_pid_is_another_process() -> None:
    """The same pid with another start time is not alive, and never signalled."""
    me = os.getpid()
    started = proc.start_time(me)
    assert started is not None

    assert proc.is_alive(me, started)
    assert not proc.is_alive(me, started + 1)
    assert not proc.send(proc.Proc(me, started + 1), signal.SIGKILL)


@pytest.mark.slow
def test_who_was_started_with_a_word_in_the_environment(tmp_path: Path) -> None:
    """That very entry, whole; and each process has come from somebody."""
    entry = f"EVERTRAIN_TEST_ENTRY={tmp_path}"
    for more, found in (("", 1), ("more", 0)):
        env = {"EVERTRAIN_TEST_ENTRY": f"{tmp_path}{more}"}
        child = proc.spawn(["/bin/sleep", "100"], env=env)
        assert [each.pid for each in proc.started_with(entry)] == [child.pid] * found
        assert proc.ancestors(child.pid)[:2] == [os.getpid(), os.getppid()]
        child.kill()
        child.wait()
        assert proc.started_with(entry) == []


def test_no_such_process() -> None:
    """A pid that nobody has is neither alive nor stopped, and has no children."""
    assert proc.start_time(2**22 + 1) is None
    assert not proc.is_alive(2**22 + 1, 0)
    assert not proc.is_stopped(2**22 + 1)
    assert proc.descendants(2**22 + 1) == []


@pytest.mark.slow
def test_spawn_gives_a_session_of_its_own() -> None:
    """The terminal's Ctrl+C reaches the starter only."""
    child = proc.spawn(
        [sys.executable, "-c", "import os; print(os.getsid(0))"], stdio=(None, PIPE, None)
    )
    out, _ = child.communicate()

    assert int(out) == child.pid != os.getsid(0)


@pytest.mark.slow
def test_a_zombie_is_not_alive() -> None:
    """An ended child that nobody reaped yet counts as gone."""
    child = proc.spawn([sys.executable, "-c", ""])
    target = _named(child)

    assert proc.wait_gone([target], 30)
    assert not target.is_alive
    child.wait()


@pytest.mark.slow
def test_the_whole_tree_ends(tree: tuple[proc.Proc, list[int]]) -> None:
    """Children that ignore SIGTERM, or sit in another session, end with their parent."""
    root, pids = tree

    killed = proc.kill_trees([root], grace_s=0.2)

    assert {each.pid for each in killed} >= set(pids)
    assert not any(proc.is_alive(pid, proc.start_time(pid) or 0) for pid in pids)


@pytest.mark.slow
def test_a_stopped_tree_ends_too(tree: tuple[proc.Proc, list[int]]) -> None:
    """A frozen process is killed like any other."""
    root, pids = tree
    os.kill(pids[0], signal.SIGSTOP)
    while not proc.is_stopped(pids[0]):
        time.sleep(0.001)

    proc.kill_tree(root)

    assert not proc.is_alive(pids[0], proc.start_time(pids[0]) or 0)


@pytest.mark.slow
def test_waiting_has_an_end(tree: tuple[proc.Proc, list[int]]) -> None:
    """Waiting for a process that stays gives up in time."""
    root, _ = tree

    assert not proc.wait_gone([root], 0.01)


@pytest.mark.slow
def test_reap_collects_every_ended_child() -> None:
    """Ended children are collected with their status, whoever waits for them."""
    code = """
import os, sys, time
from evertrain.core import proc
pids = {}
for status in (3, 4):
    pid = os.fork()
    if pid == 0:
        os._exit(status)
    pids[pid] = status
found = {}
while len(found) < 2:
    found |= proc.reap()
assert {pid: os.waitstatus_to_exitcode(each) for pid, each in found.items()} == pids
assert proc.reap() == {}
"""
    child = proc.spawn([sys.executable, "-c", code])

    assert child.wait(30) == 0


@pytest.mark.slow
def test_orphans_come_to_a_subreaper() -> None:
    """Whatever escapes by a double fork is adopted, and can be found and ended."""
    code = """
import os, time
from evertrain.core import proc
assert proc.become_subreaper()
middle = os.fork()
if middle == 0:
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
    os._exit(0)
os.waitpid(middle, 0)
orphans = proc.descendants(os.getpid())
assert len(orphans) == 1, orphans
proc.kill_tree(orphans[0])
assert not orphans[0].is_alive
"""
    child = proc.spawn([sys.executable, "-c", code])

    assert child.wait(30) == 0
