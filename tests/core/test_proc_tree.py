"""`evertrain.core.proc`: leaders, whole trees, and what fled from them."""

import os
import signal
import sys
from pathlib import Path

import pytest

from evertrain.core import proc

pytestmark = pytest.mark.slow

NAP = "import time; time.sleep(60)"


def _launch(code: str, output: int) -> proc.Proc:
    return proc.launch([sys.executable, "-c", code], env=os.environ, output=output)


def test_a_leader_has_a_session_an_empty_input_and_default_signals(tmp_path: Path) -> None:
    """Whatever the starter ignores, the program it starts can be interrupted."""
    read, write = os.pipe()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        leader = _launch(
            "import os, signal, sys; "
            "print(os.getsid(0) == os.getpid(), repr(sys.stdin.read()), "
            "signal.getsignal(2) is signal.default_int_handler)",
            write,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    os.close(write)
    assert proc.wait_gone([leader], 20.0)
    assert os.read(read, 1000) == b"True '' True\n"
    os.close(read)
    assert proc.exit_of(proc.reap()[leader.pid]) == 0


def test_a_terminal_becomes_the_controlling_one() -> None:
    """A leader started on a terminal owns it, and gets its hang-up."""
    mine, theirs = os.openpty()
    leader = proc.launch(
        [sys.executable, "-c", "import os, time; print(os.isatty(2), flush=True); time.sleep(60)"],
        env=os.environ,
        terminal=os.ttyname(theirs),
    )
    seen = b""
    while not seen.endswith(b"\n"):
        seen += os.read(mine, 100)
    assert seen == b"True\r\n"
    os.close(theirs)
    os.close(mine)
    assert proc.wait_gone([leader], 20.0)
    assert proc.exit_of(proc.reap()[leader.pid]) == -signal.SIGHUP


def test_a_program_that_is_not_there_is_an_os_error() -> None:
    """The caller hears of it, not only the child."""
    with pytest.raises(FileNotFoundError):
        proc.launch(["/no/such/program"], env=os.environ)


def test_a_sweep_ends_what_fled_and_spares_what_it_is_told() -> None:
    """A double fork into another session is adopted and ended; a spared tree lives on."""
    assert proc.become_subreaper()
    read, write = os.pipe()
    before = proc.children(os.getpid())
    spared = _launch(NAP, write)
    spare = [*before, spared]
    flee = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {NAP!r}], "
    leader = _launch(flee + "start_new_session=True)", write)
    assert proc.wait_gone([leader], 20.0)
    fled = [each for each in proc.children(os.getpid()) if each not in spare]
    assert len(fled) == 1
    assert proc.executable(fled[0].pid).startswith("python")
    os.kill(fled[0].pid, signal.SIGSTOP)
    assert proc.sweep(spare, grace_s=5.0) == [], "a stopped process is continued to hear SIGTERM"
    assert not fled[0].is_alive
    assert spared.is_alive
    assert proc.sweep(before) == [spared]
    ended = proc.reap()
    assert proc.exit_of(ended[fled[0].pid]) == -signal.SIGTERM
    assert proc.exit_of(ended[spared.pid]) == -signal.SIGKILL
    os.close(read)
    os.close(write)
