"""Hangs of real processes, with a short limit: found, explained, ended, and gone on from."""

import json
import signal
import sys
from datetime import datetime
from typing import Any

import pytest

from evertrain.core.journal import Row
from supervise.play import Play, Stage

PYTHON = sys.executable
pytestmark = pytest.mark.slow
WORDS = ("--hang-timeout", "1", "--delay", "0", "--", PYTHON, "train.py")

TRAIN = """
    import os, time
    from evertrain import Run, every
    is_first = os.environ["EVERTRAIN_ATTEMPT"] == "1"
    def train(misfortune):
        with Run("runs/here", total=30, save=every(steps=5)) as run:
            for step in run:
                time.sleep(0.01)
                if is_first and step == 12:
                    misfortune()
"""
GIL = """
    import re
    def hold_the_interpreter():
        re.match(r"(a+)+$", "a" * 60 + "b")
    train(hold_the_interpreter)
"""
LIVELOCK = """
    def spin():
        while True:
            pass
    train(spin)
"""
WORKER = """
    import multiprocessing, signal
    def wait_for_a_frozen_worker():
        mine, theirs = multiprocessing.Pipe()
        worker = multiprocessing.get_context("fork").Process(target=theirs.recv)
        worker.start()
        os.kill(worker.pid, signal.SIGSTOP)
        mine.recv()
    train(wait_for_a_frozen_worker)
"""
SAVE = """
    import threading
    from evertrain.core.fs import LocalFs
    def break_the_disk():
        LocalFs.sync_file = lambda self, path: threading.Event().wait()
    train(break_the_disk)
"""
# With the journal in its hands, in which the hang is to be written down.
JOURNAL = """
    import threading
    from evertrain.core.fs import LocalFs
    def break_the_disk():
        sync = LocalFs.sync_file
        def hang(self, path):
            if path.name == "journal.jsonl":
                threading.Event().wait()
            sync(self, path)
        LocalFs.sync_file = hang
    train(break_the_disk)
"""


def crash_of(play: Play, attempt: int = 1) -> dict[str, Any]:
    """Return the post-mortem of an attempt."""
    found: dict[str, Any] = json.loads(play.run_dir.crash(attempt).read_text())
    return found


def one_hang(play: Play) -> Row:
    """Return the one hang of a play that went on to the end, without a trace."""
    assert play.end(60) == 0, play.text
    assert play.orphans() == {}
    (row,) = play.events("hang")
    return row


@pytest.mark.parametrize(
    ("body", "phase", "function", "kept"),
    [
        (GIL, "step", "hold_the_interpreter", {5, 10}),
        (WORKER, "step", "wait_for_a_frozen_worker", {5, 10}),
        (SAVE, "save", "settle", {5, 10}),
        (JOURNAL, "save", "settle", {10, 15}),  # a save is whole before the journal tells of it
    ],
    ids=["gil", "worker", "save", "journal"],
)
def test_a_hang_is_ended_and_gone_on_from(
    stage: Stage, body: str, phase: str, function: str, kept: set[int]
) -> None:
    """Two dumps of the stacks name the place; the next attempt goes on from a checkpoint."""
    stage.script(TRAIN, body)
    play = stage.run(*WORDS)
    row = one_hang(play)
    assert (row["kind"], row["phase"], row["attempt"]) == ("hang", phase, 1)
    crash = crash_of(play)
    assert crash["cause"].startswith("hang: no sign of life for ")
    assert len(crash["hang"]["stacks"]) == 2
    assert all(f"in {function}\n" in stacks for stacks in crash["hang"]["stacks"])
    assert any("did not move" in line for line in crash["hang"]["moved"])
    assert crash["hang"]["processes"]
    assert function in (play.run_dir.path / row["stacks"]).read_text()
    assert crash["step_to"] >= 11
    resumed = [each["step"] for each in play.events("resumed")]
    assert resumed[1] in kept


def test_a_stopped_trainer_is_woken_and_may_save(stage: Stage) -> None:
    """SIGCONT follows SIGTERM: it stops cleanly, and is started again, for nobody wanted that."""
    stage.script(
        TRAIN,
        """
        import signal
        train(lambda: os.kill(os.getpid(), signal.SIGSTOP))
        """,
    )
    play = stage.run(*WORDS)
    assert one_hang(play)["evidence"] == "stopped"
    assert crash_of(play)["code"] == 75
    assert [row["step"] for row in play.events("resumed")] == [0, 12]


def test_an_exit_hang_of_a_finished_training_is_no_crash(stage: Stage) -> None:
    """A thread keeps the process; the training is complete all the same, and not repeated."""
    stage.script(
        TRAIN,
        """
        import threading
        train(None) if not is_first else None
        is_first = False
        train(None)
        threading.Thread(target=threading.Event().wait).start()
        """,
    )
    play = stage.run(*WORDS)
    assert one_hang(play)["kind"] == "exit_hang"
    assert "Training complete!" in play.text
    assert play.events("crashed") == []


def test_an_exit_hang_in_atexit_of_a_failed_training_is_tried_again(stage: Stage) -> None:
    """The exception is told, the process never ends by itself."""
    stage.script(
        TRAIN,
        """
        import atexit, threading
        atexit.register(threading.Event().wait if is_first else int)
        def fail():
            raise RuntimeError("the simulator is gone")
        train(fail)
        """,
    )
    play = stage.run(*WORDS)
    assert (one_hang(play)["kind"], one_hang(play)["phase"]) == ("exit_hang", "failed")
    assert crash_of(play)["exception"] == "RuntimeError: the simulator is gone"


def test_a_handler_of_the_program_is_never_called(stage: Stage) -> None:
    """It takes SIGUSR1 after the fact: nobody may ask for the stacks any more, and nobody does."""
    stage.script(
        TRAIN,
        """
        import signal
        def hang():
            signal.signal(signal.SIGUSR1, lambda *_: open("stolen", "w"))
            while is_first:
                time.sleep(0.01)
        train(hang)
        """,
    )
    play = stage.run(*WORDS)
    one_hang(play)
    assert not (stage.folder / "stolen").exists()
    assert crash_of(play)["hang"]["stacks"] == []


def test_who_only_observes_ends_nobody(stage: Stage) -> None:
    """The hang is told with its stacks, and the training goes on when it can."""
    stage.script(TRAIN, "train(lambda: time.sleep(4))")
    play = stage.run("--hang", "observe", *WORDS)
    assert play.end(60) == 0
    assert "only observed" in play.text
    (row,) = play.events("hang_observed")
    assert (row["phase"], row["step"]) == ("step", 11)
    assert "did not move" in (play.run_dir.path / row["stacks"]).read_text()
    assert play.events("hang", "crashed") == []


def test_a_hang_at_import_of_a_deaf_tree_is_ended(stage: Stage) -> None:
    """Nothing is printed, nothing done; SIGTERM is ignored, and a daemon has fled: all end."""
    stage.script(
        """
        import os, signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.environ["EVERTRAIN_ATTEMPT"] == "1":
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"],
                             start_new_session=True)
            time.sleep(100)
        """
    )
    play = stage.run(*WORDS)
    row = one_hang(play)
    assert (row["phase"], row["evidence"]) == ("silence", "idle")
    assert crash_of(play)["hang"]["stacks"] == []
    assert crash_of(play)["signal"] == "SIGKILL"


def test_ctrl_c_while_it_is_ended_stops(stage: Stage) -> None:
    """Whoever presses Ctrl+C on a hang wants no restart."""
    stage.script(
        """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("TRAINING")
        time.sleep(100)
        """
    )
    play = stage.run("--delay", "60", "--hang-timeout", "1", *WORDS[4:])
    play.wait_for("TRAINING")
    play.wait_for("hang: nothing was heard")
    play.send(signal.SIGTERM)
    assert play.end() == 75
    assert "run #2" not in play.text


def test_a_full_disk_takes_no_sign_of_life(stage: Stage) -> None:
    """The heartbeat of the attempt before needs no room; what that one beat is forgotten."""
    stage.script(
        """
        import errno, os
        from pathlib import Path
        from evertrain import Run
        from evertrain.core.fs import LocalFs
        from evertrain.core.heartbeat import read_beat
        place = Path(os.environ["EVERTRAIN_HEARTBEAT"])
        write = LocalFs.write
        def refuse(self, path, chunks):
            if path.name == place.name:
                raise OSError(errno.ENOSPC, "full", str(path))
            return write(self, path, chunks)
        if os.environ["EVERTRAIN_ATTEMPT"] == "2":
            assert read_beat(place) is None
            LocalFs.write = refuse
        with Run("runs/here", total=4) as run:
            for step in run:
                assert read_beat(place).pid == os.getpid()
                if run.attempt == 1:
                    os._exit(3)
        """
    )
    play = stage.run("--delay", "0", "--", PYTHON, "train.py")
    assert play.end(60) == 0, play.text
    assert [row["attempt"] for row in play.events("crashed")] == [1]


@pytest.mark.soak
def test_detect_to_restart_with_the_default_limits(stage: Stage) -> None:
    """Nothing is told to the supervisor: a hang is over, and the next attempt begins, in 90 s."""
    stage.script(TRAIN, LIVELOCK)
    play = stage.run("--", PYTHON, "train.py")
    assert play.end(200) == 0
    last_save, restart = play.events("saved")[2], play.events("launched")[1]
    assert last_save["step"] == 10
    took = datetime.fromisoformat(restart["time"]) - datetime.fromisoformat(last_save["time"])
    assert 60 <= took.total_seconds() <= 90
