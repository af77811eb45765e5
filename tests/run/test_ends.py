"""How a process ends: stop requests, exceptions, and what each leaves behind."""

import os
import signal
import sys
import textwrap
import threading
import time
from pathlib import Path
from subprocess import PIPE, Popen
from subprocess import run as call

import pytest

from evertrain import Run, Stopped, every
from evertrain.core.journal import Journal
from evertrain.core.request import pending, post
from evertrain.run import calm
from evertrain.run.stop import StopSignals
from evertrain.testing import FakeClock
from support import OpenRun, walk


def test_a_requested_stop_ends_the_loop_behind_the_step(open_run: OpenRun) -> None:
    """The step is finished and saved, then the loop ends, and the run is not finished."""
    run = open_run(save=every(steps=100))
    for step in run:
        if step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    assert run.is_stopped
    assert run.store.list()[-1].step == 4
    journal = Journal(run.path / "journal.jsonl")
    assert journal.events("finished") == ()
    stopped = journal.last("stopped")
    assert stopped is not None
    assert (stopped["step"], stopped["why"]) == (4, "SIGTERM")
    assert walk(open_run())[0] == 5


def test_a_stop_leaves_the_loop_by_an_exit(open_run: OpenRun) -> None:
    """By default nothing after the loop can mistake a stop for completion."""
    run = open_run(on_stop="exit")
    after = []

    with pytest.raises(Stopped) as caught, run:
        for step in run:
            if step == 2:
                os.kill(os.getpid(), signal.SIGINT)
        after.append("reached")

    assert caught.value.code == 75
    assert after == []
    assert not any((run.store.path / "emergency").glob("*")), "a stop is no emergency"


def test_a_stop_at_the_last_step_is_a_finish(open_run: OpenRun) -> None:
    """A training that is complete anyway is not called stopped."""
    run = open_run(total=3)
    for step in run:
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    assert not run.is_stopped
    assert Journal(run.path / "journal.jsonl").last("finished") is not None


def test_a_request_between_save_and_boundary_waits_for_a_step_that_saves(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal that arrives too late for this step's save stops behind the next one, saved."""
    monkeypatch.setattr(calm, "LONGEST_S", 0.0)  # each step has its end
    run = open_run(save=every(steps=100))
    beat, beats = run._beat, []

    def late(phase: str) -> None:
        beats.append(phase)
        beat(phase)
        if run.step == 4 and phase == "first":
            run._signals.ask("SIGTERM")

    monkeypatch.setattr(run, "_beat", late)
    walk(run)

    assert run.is_stopped
    assert (run.step, run.store.list()[-1].step) == (5, 5)


def test_signals_are_given_back(open_run: OpenRun) -> None:
    """After the run, Ctrl+C means again what it meant before."""
    before = signal.getsignal(signal.SIGINT)
    run = open_run()
    walk(run)
    run.close()

    assert signal.getsignal(signal.SIGINT) is before


def test_an_exception_leaves_a_wreck_and_passes_unmasked(open_run: OpenRun) -> None:
    """The program's own error arrives; the state is kept aside, and not resumed from."""
    with pytest.raises(ZeroDivisionError), open_run() as run:
        for step in run:
            if step == 3:
                step / 0

    wrecks = [each.name for each in (run.store.path / "emergency").iterdir()]
    assert wrecks == ["000000002-ERROR"]
    failed = Journal(run.path / "journal.jsonl").last("failed")
    assert failed is not None
    assert failed["error"] == "ZeroDivisionError: division by zero"
    assert walk(open_run())[0] == 3


class Mute(Exception):  # noqa: N818
    """An exception that fails when it is asked what it is."""

    def __str__(self) -> str:
        """Fail."""
        raise KeyError("the message needs what is gone")


def _refuse(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_what_breaks_behind_an_exception_does_not_mask_it(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a message that cannot be had, nor a machine that has no thread left."""
    with pytest.raises(Mute), open_run() as run:
        for step in run:
            if step == 3:
                monkeypatch.setattr(threading.Thread, "start", _refuse)
                raise Mute
    monkeypatch.undo()

    failed = Journal(run.path / "journal.jsonl").last("failed")
    assert failed is not None
    assert failed["error"] == "Mute"


def test_insisting_ends_a_process_that_gets_no_thread() -> None:
    """There is nobody who could save; whoever insists is not left alone with that."""
    program = """
import signal, threading, time
from evertrain.run.stop import StopSignals
signals = StopSignals(lambda: None)
signals.install()
def refuse(_): raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
signal.raise_signal(signal.SIGTERM)
signal.raise_signal(signal.SIGTERM)
time.sleep(60)
"""
    done = call([sys.executable, "-c", program], capture_output=True, timeout=50, check=False)
    assert done.returncode == 130


def test_wrecks_are_bounded(open_run: OpenRun) -> None:
    """A program that crashes all night keeps the two newest wrecks."""
    for crash in range(2, 7):
        with pytest.raises(RuntimeError), open_run() as run:
            for step in run:
                if step == crash:
                    raise RuntimeError

    names = sorted(each.name for each in (run.store.path / "emergency").iterdir())
    assert names == ["000000004-ERROR", "000000005-ERROR"]


def test_an_error_before_the_first_step_leaves_no_wreck(open_run: OpenRun) -> None:
    """State that was never restored is not worth keeping."""
    with pytest.raises(RuntimeError), open_run() as run:
        raise RuntimeError

    assert not (run.store.path / "emergency").exists() or not any(
        (run.store.path / "emergency").iterdir()
    )


def test_requests_in_the_inbox_are_carried_out(open_run: OpenRun) -> None:
    """A save, a pin and a stop from outside are done at the next boundary and acknowledged."""
    clock = FakeClock()
    run = open_run(save=every(steps=100), clock=clock)
    for step in run:
        clock.advance(1.0)
        if step == 2:
            post(run._dir, "save")
        if step == 4:
            run.wait()
            post(run._dir, "pin", step=2)
            post(run._dir, "pin", step=3)
            post(run._dir, "stop")

    steps = {info.step: info.is_pinned for info in run.store.list()}
    assert steps == {1: False, 2: True, 4: False}
    assert run.is_stopped
    assert list(run._dir.inbox.iterdir()) == []
    assert len(Journal(run.path / "journal.jsonl").events("pin_requested")) == 2
    assert len(Journal(run.path / "journal.jsonl").events("pinned")) == 1


def test_garbage_in_the_inbox_is_left_alone(open_run: OpenRun) -> None:
    """A file that is no request is neither obeyed nor deleted."""
    run = open_run()
    run._dir.inbox.mkdir()
    for name, text in {"a.json": "{", "b.json": '{"verb": "format"}', "c.json": "[]"}.items():
        (run._dir.inbox / name).write_text(text)
    walk(run)

    assert len(list(run._dir.inbox.iterdir())) == 3


SLOW_STEP = """
import sys, time
from evertrain import Run, every
with Run(sys.argv[1], total=100, save=every(steps=1)) as run:
    run.attach(seen=[])
    for step in run:
        if step == 3:
            print("in step 3", flush=True)
            {wait}
"""


def _start(tmp_path: Path, wait: str, *, start_new_session: bool = False) -> "Popen[str]":
    script = textwrap.dedent(SLOW_STEP).format(wait=wait)
    command = [sys.executable, "-c", script, str(tmp_path / "run")]
    child = Popen(command, stdout=PIPE, stderr=PIPE, text=True, start_new_session=start_new_session)
    assert child.stdout is not None
    for line in child.stdout:
        if "in step 3" in line:
            break
    return child


@pytest.mark.slow
def test_ctrl_c_once_exits_75(tmp_path: Path) -> None:
    """The running step is finished, the state saved, and the exit code says resumable."""
    child = _start(tmp_path, "time.sleep(0.5)")
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=60)

    assert child.returncode == 75
    assert "Stopped after step 3 (SIGINT)" in out
    assert (tmp_path / "run" / "checkpoints" / "000000003").is_dir()


def _insist(child: "Popen[str]") -> None:
    """Press Ctrl+C until the process ends: two that are pending at once count as one."""
    deadline = time.monotonic() + 60
    while child.poll() is None and time.monotonic() < deadline:
        child.send_signal(signal.SIGINT)
        time.sleep(0.05)
    child.communicate(timeout=60)


@pytest.mark.slow
def test_ctrl_c_twice_exits_130_with_an_emergency_checkpoint(tmp_path: Path) -> None:
    """A step that does not end is not waited for; what there is, is kept aside."""
    child = _start(tmp_path, "time.sleep(600)")
    _insist(child)

    assert child.returncode == 130
    emergency = tmp_path / "run" / "checkpoints" / "emergency"
    assert [each.name for each in emergency.iterdir()] == ["000000002-INTERRUPTED"]


@pytest.mark.slow
def test_two_signals_at_once_are_one_request(tmp_path: Path) -> None:
    """A process manager that sends SIGINT and SIGTERM together means one graceful stop."""
    child = _start(tmp_path, "time.sleep(1.5)")
    child.send_signal(signal.SIGINT)
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=60)

    assert child.returncode == 75


@pytest.mark.slow
def test_forked_workers_get_their_own_handlers(tmp_path: Path) -> None:
    """A worker that is told to end, ends: it does not inherit the trainer's patience."""
    code = (
        "import os, signal\n"
        "            pid = os.fork()\n"
        "            if pid == 0:\n"
        "                time.sleep(600)\n"
        "            os.kill(pid, signal.SIGTERM)\n"
        "            status = os.waitpid(pid, 0)[1]\n"
        "            print('status', os.waitstatus_to_exitcode(status), flush=True)\n"
        "            run.finish()"
    )
    child = _start(tmp_path, code)
    out, err = child.communicate(timeout=60)

    assert "status -15" in out, err


@pytest.mark.slow
def test_ctrl_c_leaves_forked_workers_to_the_trainer(tmp_path: Path) -> None:
    """A terminal's Ctrl+C reaches the data workers too; the step that needs them is finished."""
    code = (
        "import os\n"
        "            pid = os.fork()\n"
        "            if pid == 0:\n"
        "                time.sleep(0.5)\n"
        "                os._exit(7)\n"
        "            print('forked', flush=True)\n"
        "            status = os.waitpid(pid, 0)[1]\n"
        "            print('status', os.waitstatus_to_exitcode(status), flush=True)"
    )
    child = _start(tmp_path, code, start_new_session=True)
    assert child.stdout is not None
    assert "forked" in child.stdout.readline()
    os.killpg(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=60)

    assert child.returncode == 75, err
    assert "status 7" in out


@pytest.mark.slow
def test_force_is_heard_while_the_main_thread_is_deep_in_a_library(tmp_path: Path) -> None:
    """The second signal works although no Python handler can run."""
    blocked = "import ctypes; ctypes.CDLL(None).sleep(600); ctypes.CDLL(None).sleep(600)"
    child = _start(tmp_path, f"{blocked}; " * 20)
    _insist(child)

    assert child.returncode == 130


def test_signals_go_back_to_their_owner_from_any_thread() -> None:
    """Handlers given back off the main thread pass the next signal on, and are gone then."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        forced: list[str] = []
        signals = StopSignals(lambda: forced.append("forced"))
        assert signals.install()
        thread = threading.Thread(target=signals.uninstall)
        thread.start()
        thread.join()
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)

        assert heard == [signal.SIGTERM] * 3
        assert signals.requested_by is None
        assert forced == []
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_next_run_takes_over_what_a_thread_could_not_give_back() -> None:
    """A run that was closed in a thread does not keep the wakeup from the next one."""
    original = signal.getsignal(signal.SIGTERM)
    first, second = StopSignals(lambda: None), StopSignals(lambda: None)
    assert first.install()
    thread = threading.Thread(target=first.uninstall)
    thread.start()
    thread.join()
    assert second.install()
    second.uninstall()

    assert signal.getsignal(signal.SIGTERM) is original
    assert signal.set_wakeup_fd(-1) == -1


def test_all_runs_of_a_process_hear_a_signal() -> None:
    """Whichever began last; and each that is left goes on hearing when another one is closed."""
    original = signal.getsignal(signal.SIGTERM)
    first, second, third = (StopSignals(lambda: None) for _ in range(3))
    for each in (first, second, third):
        assert each.install()
    first.uninstall()
    signal.raise_signal(signal.SIGTERM)

    assert [each.requested_by for each in (first, second, third)] == [None, "SIGTERM", "SIGTERM"]
    third.uninstall()
    assert signal.getsignal(signal.SIGTERM) == second._note
    second.uninstall()
    assert signal.getsignal(signal.SIGTERM) is original
    assert signal.set_wakeup_fd(-1) == -1


def test_a_run_that_a_thread_has_closed_hears_and_saves_nothing() -> None:
    """It has given its directory back, though its handlers wait for the next signal."""
    saved: list[str] = []
    closed, live = StopSignals(lambda: saved.append("closed")), StopSignals(lambda: None)
    assert closed.install()
    assert live.install()
    thread = threading.Thread(target=closed.uninstall)
    thread.start()
    thread.join()
    signal.raise_signal(signal.SIGTERM)
    closed.save_last()
    live.uninstall()
    closed.uninstall()

    assert (closed.requested_by, live.requested_by) == (None, "SIGTERM")
    assert saved == []


def test_insisting_lets_all_runs_of_a_process_save() -> None:
    """The one that is ready first does not end the process under the others."""
    program = """
import signal, time
from evertrain.run.stop import StopSignals
def save(name, seconds):
    time.sleep(seconds)
    print(name, flush=True)
for name, seconds in {"slow": 0.5, "quick": 0.0}.items():
    StopSignals(lambda name=name, seconds=seconds: save(name, seconds)).install()
signal.raise_signal(signal.SIGTERM)
signal.raise_signal(signal.SIGTERM)
time.sleep(60)
"""
    done = call([sys.executable, "-c", program], capture_output=True, timeout=50, check=False)
    assert done.returncode == 130
    assert done.stdout.split() == [b"quick", b"slow"]


def test_an_event_loops_wakeup_descriptor_is_left_alone(open_run: OpenRun) -> None:
    """A program that runs an event loop keeps what that needs, during the run and after it."""
    reader, writer = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(writer)
    try:
        run = open_run(total=3)
        for step in run:
            if step == 2:
                os.kill(os.getpid(), signal.SIGTERM)
        run.close()

        assert run.is_stopped
        assert signal.set_wakeup_fd(-1) == writer
    finally:
        signal.set_wakeup_fd(-1)
        os.close(reader)
        os.close(writer)


def test_a_watcher_that_starts_late_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a run may be over before the thread has looked at anything."""
    late: list[threading.Thread] = []

    def start(thread: threading.Thread) -> None:
        late.append(thread)

    signals = StopSignals(lambda: None)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        assert signals.install()
    assert signals._pipe is not None
    reader, writer = signals._pipe
    signals.uninstall()

    [watcher] = late
    watcher.start()
    watcher.join(60.0)

    assert not watcher.is_alive()
    for handle in (reader, writer):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(handle)


def test_a_stop_is_heard_before_anything_is_restored(tmp_path: Path) -> None:
    """In a wait of the program's own; a save that waits, too, has nothing to save."""
    with Run(tmp_path, total=5) as run:
        run.restore()
        for _ in run:
            pass
    went_on = False
    with pytest.raises(Stopped) as caught, Run(tmp_path, total=9, resume="latest") as run:
        assert not run.stop_if_asked()
        post(run._dir, "save")
        assert not run.stop_if_asked()
        post(run._dir, "stop")
        run.stop_if_asked()
        went_on = True
    assert (caught.value.code, caught.value.step, went_on) == (75, 5, False)
    stopped = run._journal.last("stopped")
    assert stopped is not None
    assert stopped["step"] == 5
    assert list(pending(run._dir)) == []


def test_a_stop_behind_the_first_step_is_the_loops(tmp_path: Path) -> None:
    """There it can save."""
    clock = FakeClock(now_s=time.time())
    rule = every(steps=9)
    with pytest.raises(Stopped), Run(tmp_path, total=9, save=rule, clock=clock) as run:
        for step in run:
            clock.advance(1.0)
            if step == 3:
                post(run._dir, "stop")
                assert not run.stop_if_asked()
    assert run.store.list()[-1].step == 3


def test_whoever_returns_is_told_of_the_stop(tmp_path: Path) -> None:
    """`on_stop="return"`: nothing is trained behind it."""
    with Run(tmp_path, total=9, on_stop="return") as run:
        post(run._dir, "stop")
        assert run.stop_if_asked()
        assert list(run) == []
    assert run.is_stopped
