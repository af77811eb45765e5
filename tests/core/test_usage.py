"""`evertrain.core.usage`: what real processes do, as the system tells it."""

import os
import signal
import subprocess
import sys

from evertrain.core import usage
from evertrain.testing.processes import wait_until


def test_work_is_seen() -> None:
    """Processor time grows with work, bytes with writing; one that sleeps does neither."""
    before = usage.usage(os.getpid())
    assert before is not None
    sum(range(3_000_000))
    with open(os.devnull, "wb") as file:  # noqa: PTH123
        file.write(bytes(1 << 20))
    after = usage.usage(os.getpid())
    assert after is not None
    assert after.cpu_s > before.cpu_s
    assert after.io_bytes - before.io_bytes >= 1 << 20


def test_a_process_that_is_gone_is_nothing() -> None:
    """No error, and no signs."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
        assert usage.usage(child.pid) is None
        assert usage.threads(child.pid) == []
        assert usage.catches(child.pid, signal.SIGUSR1) is None
        assert not usage.is_traced(child.pid)
        assert not usage.is_blocked(child.pid)


def test_handlers_of_another_process_are_seen() -> None:
    """Caught, ignored and default are told apart: only the first survives the signal."""
    code = "import signal, time; signal.signal(10, print); signal.signal(12, signal.SIG_IGN);"
    with subprocess.Popen([sys.executable, "-c", code + "time.sleep(100)"]) as child:
        wait_until(lambda: usage.catches(child.pid, signal.SIGUSR1), "the handler")
        assert usage.catches(child.pid, signal.SIGUSR2) is False
        (thread,) = usage.threads(child.pid)
        assert thread.name.startswith("python")
        child.kill()
