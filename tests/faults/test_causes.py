"""Real deaths, and what the supervisor makes of them."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evertrain.cli.main import cli
from supervise.play import Play, Stage

PYTHON = sys.executable
Mount = Callable[..., Path]
pytestmark = pytest.mark.slow


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A folder for scripts and runs."""
    found = Stage(tmp_path)
    yield found
    found.clear()


TRAIN = """
import faulthandler, os, random, signal, sys
from evertrain import Run, every, keep_all

def step_of(step):
    if step == 4 and run.attempt == 1:
        run.wait()
        {death}

often = {"save": every(steps=1), "keep": keep_all()}
with Run("elsewhere", total=6, seed=0, config={config}, **often) as run:
    for step in run:
        step_of(step)
"""


def train(stage: Stage, death: str, *words: str, config: str = "None") -> Play:
    """Train six steps; the first attempt dies in its fourth."""
    stage.script(TRAIN.replace("{death}", death).replace("{config}", config))
    play = stage.run("--delay", "0", *words, "--", PYTHON, "train.py")
    assert play.end(120) == 0, play.text
    return play


def crash_of(play: Play, attempt: int = 1) -> dict[str, Any]:
    """Return a post-mortem; nothing else is left beside it."""
    names = sorted(path.name for path in play.run_dir.crashes.iterdir())
    assert names == [f"attempt-{attempt:04d}.json"]
    found: dict[str, Any] = json.loads(play.run_dir.crash(attempt).read_text())
    return found


def test_a_segfault_is_told_by_the_program_itself(stage: Stage) -> None:
    """Frame and step are known, the stack is in the post-mortem and in the log."""
    body = "print(end='50%', flush=True); os.close(2); faulthandler._sigsegv()"
    play = train(stage, body, config="{'timewarp': 40}")
    found = crash_of(play)
    assert (found["kind"], found["cause"]) == ("native crash", "SIGSEGV")
    assert found["summary"] == "SIGSEGV in train.py:8 in step_of: crashed below Python"
    assert found["fingerprint"] == "native crash | SIGSEGV | train.py:8 in step_of | step 3"
    assert "lower timewarp (40)" in found["advice"][-1]
    assert found["exception"] == "Fatal Python error: Segmentation fault"
    assert f"50%\n{found['exception']}\n" in play.run_dir.log(1).read_text()
    assert "Advice: if it is a simulator's: lower timewarp (40)" in play.text


def test_an_exception_needs_no_log(stage: Stage) -> None:
    """Where the program has closed its output, the hook still tells what left it."""
    play = train(stage, "os.close(2); raise RuntimeError('the simulator is gone')")
    found = crash_of(play)
    assert found["kind"] == "exception"
    assert found["exception"] == "RuntimeError: the simulator is gone"
    assert "line 8, in step_of" in found["traceback"]
    assert "simulator is gone" not in play.run_dir.log(1).read_text()
    assert found["fingerprint"] == "exception | RuntimeError | train.py:8 in step_of | step 3"
    (row,) = play.events("crashed")
    assert (row["kind"], row["message"], row["progress"]) == ("exception", found["exception"], True)


def test_an_exception_of_the_set_up_needs_no_log(stage: Stage) -> None:
    """Nobody catches it before the block begins, and the hook has it too."""
    stage.script(
        """
        import os
        from evertrain import Run
        run = Run("elsewhere", total=2)
        if run.attempt == 1:
            os.close(2)
            raise MemoryError
        for _ in run:
            pass
        """
    )
    play = stage.run("--delay", "0", "--", PYTHON, "train.py")
    assert play.end(120) == 0
    assert crash_of(play)["kind"] == "memory error"


def test_sigkill_by_hand_is_not_the_kernels(stage: Stage) -> None:
    """No counter moved."""
    found = crash_of(train(stage, "os.kill(os.getpid(), signal.SIGKILL)"))
    assert found["kind"] == "signal"
    assert found["summary"] == "killed by SIGKILL, and not by the kernel's out-of-memory killer"
    assert found["peak_bytes"] > 10_000_000


def test_a_full_disk_is_named(stage: Stage, mount: Mount) -> None:
    """A program's own file fills a tiny disk."""
    disk = mount("size=64k")
    death = f"open({str(disk / 'model.pt')!r}, 'wb').write(bytes(10**6))"
    found = crash_of(train(stage, death))
    assert found["kind"] == "disk full"
    assert "[Errno 28] No space left on device" in found["summary"]
    assert "evertrain prune" in found["advice"][-1]


def test_a_strangers_sigterm_is_an_interruption(stage: Stage) -> None:
    """The run saves and stops; it goes on, and no crash is counted."""
    play = train(stage, "os.kill(os.getpid(), signal.SIGTERM)", "--max-crashes", "1")
    (row,) = play.events("preempted")
    assert (row["attempt"], row["code"]) == (1, 75)
    assert play.events("crashed") == []
    assert "Training interrupted from outside" in play.text
    assert crash_of(play)["kind"] == "preemption"


def test_the_kernel_is_believed(stage: Stage) -> None:
    """In a control group that is too small, its own counter says who did it."""
    top = Path("/sys/fs/cgroup/memory")
    group = top / f"evertrain-{stage.mark}"
    if os.geteuid() != 0 or not (top / "memory.limit_in_bytes").exists():
        pytest.skip("NOT TESTED with the kernel's own killer: needs root and memory groups (v1)")
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text("400000000")
        stage.script(TRAIN.replace("{death}", "bytearray(10**9)").replace("{config}", "None"))
        play = stage.run("--delay", "0", "--", PYTHON, "train.py")
        (group / "cgroup.procs").write_text(str(play.process.pid))  # before it starts anything
        assert play.end(120) == 0, play.text
        found = crash_of(play)
        assert found["kind"] == "kernel OOM", found
        assert (
            found["evidence"][0] == f"{group}/memory.oom_control: oom_kill 0 -> 1 (limit 400.0 MB)"
        )
        assert found["advice"][0].startswith("kernel OOM killer at ")
    finally:
        stage.clear()
        stage.plays.clear()
        group.rmdir()


SAME_STEP = """
import random
from evertrain import Run, every, keep_all
random.seed(0)
fatal = [random.random() for _ in range(8)][-1]
with Run("elsewhere", total=9, save=every(steps=2), keep=keep_all(), seed=0) as run:
    for step in run:
        drawn = random.random()
        if drawn == fatal:
            run.wait()
            raise ValueError("a state that kills")
"""


def test_a_step_that_kills_is_left_by_other_random_numbers(stage: Stage) -> None:
    """Three deaths, one from an older checkpoint, then other numbers, and it is done."""
    stage.script(SAME_STEP)
    play = stage.run("--delay", "0", "--reseed", "--", PYTHON, "train.py")
    assert play.end(120) == 0, play.text
    resumed = [row["step"] for row in play.events("resumed")]
    assert resumed == [0, 6, 6, 4, 6]
    assert [row.get("move") for row in play.events("backoff")] == [None, None, "older", "reseed"]
    assert [row["step"] for row in play.events("reseeded")] == [6]
    assert "Crashed 3 times in the same way at the same step: going back" in play.text


def test_a_step_that_always_kills_ends_with_the_diagnosis(
    stage: Stage,
) -> None:
    """Without leave to reseed, after the older checkpoint; status says why."""
    stage.script(SAME_STEP)
    play = stage.run("--delay", "0", "--", PYTHON, "train.py")
    assert play.end(120) == 20
    assert "Crashed 4 times at step 7 in the same way, also from an older checkpoint" in play.text
    (row,) = play.events("gave_up")
    assert (row["kind"], row["summary"]) == ("exception", "ValueError: a state that kills")
    shown = CliRunner().invoke(cli, ["status", str(play.run_dir.path)]).output
    assert "4 crashes in the last hour, 6 left; the last 3 without" in shown


def test_a_foreign_command_is_sent_back_through_its_checkpoints(stage: Stage) -> None:
    """It dies with its newest one; the older one leads past that."""
    stage.script(
        """
        import sys
        from pathlib import Path
        first = int(sys.argv[1]) if sys.argv[1:] else 0
        print("began at", first)
        if first == 0:
            for step in (10, 20):
                Path(f"ep{step}.bin").write_text("x")
        if first != 10:
            raise ValueError("a state that kills")
        """
    )
    words = ["--delay", "0", "--checkpoints", "ep*.bin", "--resume-arg", "{step}"]
    play = stage.run(*words, "--", PYTHON, "train.py")
    assert play.end(120) == 0, play.text
    began = [line for line in play.text.splitlines() if line.startswith("began at")]
    assert began == ["began at 0", "began at 20", "began at 20", "began at 10"]


def test_the_count_survives_the_supervisor(stage: Stage) -> None:
    """Killed after one crash, its successor finds one left of two."""
    stage.script(
        """
        import os, time
        if os.environ["EVERTRAIN_ATTEMPT"] == "2":
            print("waiting")
            time.sleep(60)
        raise SystemExit(3)
        """
    )
    words = ("--max-crashes", "2", "--delay", "0", "--grace", "1", "--", PYTHON, "train.py")
    first = stage.run(*words)
    first.wait_for("waiting")
    first.send(signal.SIGKILL)
    first.end()
    second = stage.run(*words)
    assert second.end(60) == 20
    assert "Crash count: 2 / 2" in second.text
    third = stage.run(*words)
    assert third.end(60) == 20
    assert "Crash count: 1 / 2" in third.text
