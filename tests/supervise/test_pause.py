"""`evertrain.supervise.pause`: countdowns and waits that people can end."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from evertrain.core import proc
from evertrain.core.clock import SYSTEM_CLOCK
from evertrain.core.proc import Proc
from evertrain.supervise.pause import count_down, wait_until_gone
from evertrain.supervise.reserve import Reserve
from evertrain.supervise.screen import Screen
from evertrain.supervise.signals import Signals
from evertrain.supervise.task import World


@pytest.fixture
def world() -> Iterator[World]:
    """A screen on a pipe, real signals, real time."""
    read, write = os.pipe()
    with Signals() as signals:
        screen = Screen(write)
        yield World(screen=screen, signals=signals, clock=SYSTEM_CLOCK, reserve=Reserve(screen))
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("wait_s", [3600.0, 0.0])
def test_a_signal_ends_the_countdown(world: World, number: signal.Signals, wait_s: float) -> None:
    """An hour to go, and over at once; without a pause, nothing more is started either."""
    os.kill(os.getpid(), number)
    assert not count_down(wait_s, world)


def test_a_new_window_size_does_not_end_it(world: World) -> None:
    """SIGWINCH is no wish to stop."""
    os.kill(os.getpid(), signal.SIGWINCH)
    assert count_down(0.01, world)


def test_no_delay_is_no_countdown(world: World) -> None:
    """With --delay 0 nothing is waited for."""
    assert count_down(0.0, world)


def test_handlers_are_given_back() -> None:
    """After the supervision, Ctrl+C means to the host program what it meant before."""
    before = [signal.getsignal(number) for number in (2, 15, 1, 28)]
    with Signals() as signals:
        assert signal.getsignal(2) is not before[0]
        assert signals.take() == []
    assert [signal.getsignal(number) for number in (2, 15, 1, 28)] == before


def test_nohup_is_respected() -> None:
    """Where SIGHUP is ignored, it stays so."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signals.take() == []
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
def test_what_does_not_end_is_killed(world: World) -> None:
    """A deaf process is waited for as long as was said, and no longer."""
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code]) as child:
        target = Proc(child.pid, proc.start_time(child.pid) or 0)
        assert wait_until_gone(target, 0.2, world)
        assert not target.is_alive
        assert child.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_a_wait_can_be_given_up(world: World) -> None:
    """Ctrl+C while waiting for a predecessor leaves that alone."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        target = Proc(child.pid, proc.start_time(child.pid) or 0)
        os.kill(os.getpid(), signal.SIGINT)
        assert not wait_until_gone(target, 60.0, world)
        assert target.is_alive
        child.kill()
