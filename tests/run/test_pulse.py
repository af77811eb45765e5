"""`evertrain.run.pulse` and `stacks`: what the thread beside the loop shows, and who may ask."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

import pytest

from evertrain import Stage, every
from evertrain.core.fs import Bytes, LocalFs
from evertrain.core.heartbeat import WARM, Beat, Heart, read_beat
from evertrain.run.pulse import SILENT_S, Pulse
from evertrain.testing.clock import FakeClock
from support import OpenRun


@pytest.fixture
def clock() -> FakeClock:
    """A clock that is turned by hand."""
    return FakeClock()


@pytest.fixture
def heart(tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Heart:
    """A heart whose process offers no stacks: no handler is left in the test's own."""
    monkeypatch.setattr("evertrain.run.stacks.install", lambda: None)
    found = Heart(tmp_path / "heartbeat", os.getpid(), clock=clock)
    found.beat(1, "step")
    return found


def beat_in(folder: Path) -> Beat:
    """Return the newest beat."""
    found = read_beat(folder / "heartbeat")
    assert found is not None
    return found


def look_deep(pulse: Pulse, depth: int) -> None:
    """Look from `depth` functions below."""
    if depth:
        look_deep(pulse, depth - 1)
    else:
        pulse.look()


def test_a_silent_loop_is_looked_at(tmp_path: Path, heart: Heart, clock: FakeClock) -> None:
    """In other functions than before is a move; the same ones, and a first look, are none."""
    pulse = Pulse(heart, clock=clock)
    for depth, moves in ((0, 0), (0, 0), (1, 0), (0, 0)):  # not yet silent
        look_deep(pulse, depth)
        assert beat_in(tmp_path).moves == moves
    clock.advance(SILENT_S)
    for depth, moves in ((0, 0), (0, 0), (1, 1), (1, 1), (0, 2)):
        look_deep(pulse, depth)
        assert beat_in(tmp_path).moves == moves
    heart.beat(2, "step")
    clock.advance(SILENT_S)
    look_deep(pulse, 3)
    assert beat_in(tmp_path).moves == 2, "another silence begins with a first look"


def test_each_look_is_a_pulse(tmp_path: Path, heart: Heart, clock: FakeClock) -> None:
    """Its time is that of the look; main is there."""
    pulse = Pulse(heart, clock=clock)
    clock.advance(3)
    pulse.look()
    beat = beat_in(tmp_path)
    assert (beat.pulse_s, beat.is_leaving) == (clock.monotonic_s(), False)


PROGRAM = """
    import os, signal, sys, time
    from pathlib import Path
    from evertrain import Run
    from evertrain.core.heartbeat import read_beat
    from evertrain.testing.processes import wait_until
    os.environ["EVERTRAIN_SUPERVISED"] = "1"
    def stacks():
        return read_beat(Path("run/heartbeat")).stacks
    def moved(to):
        wait_until(lambda: stacks() == to, str(to), 10)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        # The stacks are written where the heartbeat says, and the program goes on.
        """
        run = Run("run", total=2)
        number, handle = stacks()
        assert number == signal.SIGUSR1
        os.kill(os.getpid(), number)
        text = os.pread(handle, 1 << 16, 0).decode()
        assert "in <module>" in text and "pulse.py" in text, text
        """,
        # A handler of the program is left alone, be it there before or set later.
        """
        signal.signal(signal.SIGUSR1, own := lambda *_: None)
        run = Run("run", total=2)
        assert stacks()[0] == signal.SIGUSR2
        assert signal.getsignal(signal.SIGUSR1) is own
        signal.signal(signal.SIGUSR2, own)
        moved(None)
        """,
        # Nor is one of a library, of which Python knows nothing.
        """
        import faulthandler
        faulthandler.register(signal.SIGUSR1, file=open("library", "w"))
        run = Run("run", total=2)
        assert stacks()[0] == signal.SIGUSR2
        """,
        # Where both are taken, nobody may ask.
        """
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        run = Run("run", total=2)
        assert stacks() is None
        """,
        # Without a supervisor nothing is installed, and the heart is closed with the run.
        """
        del os.environ["EVERTRAIN_SUPERVISED"]
        with Run("run", total=2) as run:
            for step in run:
                assert stacks() is None
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
        assert read_beat(Path("run/heartbeat")).phase == "finished"
        """,
        # A second run in the process takes over, and a child that opens one hurts nobody.
        """
        for _ in range(3):
            with Run("run", total=2) as run:
                list(run)
        if (pid := os.fork()) == 0:
            with Run("run", total=4) as run:
                list(run)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        time.sleep(1.5)
        """,
    ],
    ids=["asked", "own", "library", "both", "alone", "again"],
)
def test_programs(tmp_path: Path, body: str) -> None:
    """Each program checks itself; none dies of a signal."""
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM) + textwrap.dedent(body))
    env = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, env=env, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, (signal.Signals, done.returncode, done.stderr)


@pytest.mark.slow
def test_the_end_of_main_is_seen(tmp_path: Path) -> None:
    """A thread keeps the process; the pulse goes on, and says that main has left."""
    (tmp_path / "program.py").write_text(
        textwrap.dedent(PROGRAM)
        + textwrap.dedent(
            """
            import threading
            run = Run("run", total=2)
            run.restore()
            def last():
                wait_until(lambda: read_beat(Path("run/heartbeat")).is_leaving, "left", 10)
                os._exit(7)
            threading.Thread(target=last).start()
            """
        )
    )
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, check=False, timeout=60)
    assert done.returncode == 7


def test_a_run_says_what_it_does(open_run: OpenRun) -> None:
    """From its set-up to its end: five first steps, ordinary ones, saves, phases in phases."""
    clock = FakeClock()
    run = open_run(total=8, save=every(steps=3), clock=clock)
    phases: list[str] = []

    def look() -> None:
        phases.append(beat_in(run.path).phase)

    look()
    with run:
        for step in run:
            clock.advance(1)
            look()
            if step == 7:
                with run.phase("eval"):
                    with run.phase("draw"):
                        look()
                    look()
                look()
    assert phases == ["setup", *["first"] * 5, "step", "step", "draw", "eval", "step", "step"]
    beat = beat_in(run.path)
    assert (beat.phase, beat.step) == ("finished", 8)
    assert {"restore", "first", WARM, "step", "save", "eval", "draw"} <= beat.longest_s.keys()


def test_how_a_run_ended_is_told(open_run: OpenRun) -> None:
    """By an exception, and by a request to stop."""
    failing = open_run(total=8)
    with pytest.raises(ZeroDivisionError), failing:
        for _ in failing:
            raise ZeroDivisionError
    assert beat_in(failing.path).phase == "failed"
    stopping = open_run(total=8, on_stop="return")
    with stopping:
        for _ in stopping:
            stopping._signals.ask("SIGTERM")
    assert beat_in(stopping.path).phase == "stopped"


def test_the_first_steps_of_a_stage_are_told(open_run: OpenRun) -> None:
    """What a stage changes may have to be compiled again."""
    clock = FakeClock()
    run = open_run(clock=clock)
    phases = []
    for stage in run.stages([Stage("a", steps=7), Stage("b", steps=7)]):
        for _ in stage:
            clock.advance(1)
            phases.append(beat_in(run.path).phase)
    assert phases == [*["first"] * 5, "step", "step"] * 2


def test_fast_steps_are_told_one_by_one(open_run: OpenRun) -> None:
    """A post-mortem knows the last step, however fast they were."""
    run = open_run(total=None, save=every(steps=10_000))
    for step in run:
        if step > 2000:
            break
    assert beat_in(run.path).step == 2000


class TightDisk(LocalFs):
    """Has no room for a heartbeat as long as it is full."""

    is_full = True

    def write(self, path: Path, chunks: Iterable[Bytes]) -> int:
        """Refuse a heartbeat."""
        if self.is_full and path.name == "heartbeat":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return super().write(path, chunks)


def test_a_heart_that_found_no_room_is_tried_again_at_each_save(open_run: OpenRun) -> None:
    """The training goes on without it meanwhile, and is seen as soon as there is room."""
    disk = TightDisk()
    run = open_run(total=10, save=every(steps=2), fs=disk)
    with run:
        for step in run:
            if step == 4:
                assert read_beat(run.path / "heartbeat") is None
                disk.is_full = False
            if step == 8:
                with run.phase("eval"):
                    assert beat_in(run.path).phase == "eval"
                beat = beat_in(run.path)
                assert (beat.step, beat.phase) == (7, "step")
    assert beat_in(run.path).phase == "finished"
