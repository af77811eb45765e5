"""What real processes show: who beats, who is dead, stopped, at work or idle."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evertrain.core import proc
from evertrain.core.clock import SYSTEM_CLOCK
from evertrain.core.heartbeat import Heart
from evertrain.supervise.hang.signs import Eyes
from evertrain.supervise.hang.silence import Activity
from evertrain.testing.processes import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    """A child that sleeps."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"]) as found:
        yield found
        found.kill()


def test_a_trainer_of_our_own_is_known(tmp_path: Path, child: "subprocess.Popen[bytes]") -> None:
    """Alive, stopped, dead."""
    eyes = Eyes(tmp_path / "heartbeat", clock=SYSTEM_CLOCK)
    assert eyes.look(0, is_close=True).beat is None
    with Heart(tmp_path / "heartbeat", child.pid) as heart:
        heart.beat(1, "step")
        signs = eyes.look(5, is_close=True)
        assert (signs.has_trainer, signs.is_stopped, signs.output_bytes) == (True, False, 5)
        assert eyes.trainer == proc.Proc(child.pid, proc.start_time(child.pid) or 0)
        child.send_signal(signal.SIGSTOP)
        wait_until(lambda: eyes.look(5, is_close=True).is_stopped, "the stop")
        assert any(f"(pid {child.pid})" in line for line in eyes.tree())
        child.kill()
        child.wait()
        assert not eyes.look(5, is_close=True).has_trainer


def test_a_stranger_is_no_trainer_of_ours(tmp_path: Path) -> None:
    """Of a number that is not in our tree nobody is signalled; its beats count if they go on."""
    eyes = Eyes(tmp_path / "heartbeat", clock=SYSTEM_CLOCK)
    with Heart(tmp_path / "heartbeat", os.getppid()) as heart:
        heart.beat(1, "step")
        assert not eyes.look(0, is_close=False).has_trainer
        heart.beat(2, "step")
        assert eyes.look(0, is_close=False).has_trainer
        assert eyes.trainer is None


def test_activity_is_that_of_the_tree(tmp_path: Path, child: "subprocess.Popen[bytes]") -> None:
    """A sleeping child is idle; new processes, work and bytes are none of it."""
    eyes = Eyes(tmp_path / "heartbeat", clock=SYSTEM_CLOCK)
    wait_until(lambda: proc.executable(child.pid).startswith("python"), "the exec")
    found = eyes.look(0, is_close=True).activity
    assert found is not None
    assert child.pid in found.pids
    assert eyes.look(0, is_close=False).activity is None


@pytest.mark.parametrize(
    ("later", "is_idle"),
    [
        (Activity(10.0, 5.1, 99_000, frozenset({1, 2})), True),
        (Activity(10.0, 5.3, 0, frozenset({1, 2})), False),
        (Activity(10.0, 5.0, 200_000, frozenset({1, 2})), False),
        (Activity(10.0, 5.0, 0, frozenset({1, 3})), False),
        (Activity(10.0, 4.0, 0, frozenset({1})), False),
    ],
)
def test_what_is_idle(later: Activity, *, is_idle: bool) -> None:
    """Two per cent of a processor or ten kilobytes a second are work; so are new processes."""
    assert later.is_idle_since(Activity(0.0, 5.0, 0, frozenset({1, 2}))) == is_idle


@pytest.mark.parametrize(
    ("seconds", "io_bytes", "is_idle"), [(0.1, 1500, True), (0.1, 6000, False), (5, 60_000, False)]
)
def test_what_the_pulse_reads_is_no_work(seconds: float, io_bytes: int, *, is_idle: bool) -> None:
    """However short the time between two looks: its file comes in one piece."""
    before = Activity(at_s=50.0, cpu_s=2.0, io_bytes=900, pids=frozenset({7}))
    now = replace(before, at_s=50.0 + seconds, io_bytes=900 + io_bytes)
    assert now.is_idle_since(before) is is_idle
