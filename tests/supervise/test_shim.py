"""`evertrain.supervise.shim`: the kill matrix. Whoever dies, nothing of the tree is left."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evertrain.core import proc
from evertrain.core.errors import EXIT_STOPPED
from evertrain.core.journal import Row, encode_line
from evertrain.core.rundir import RunDir
from evertrain.supervise.wire import Order, Wire, encode_order
from evertrain.testing.processes import wait_until
from supervise.play import Play, Stage

PYTHON = sys.executable
pytestmark = pytest.mark.slow

# Three ways to escape: a plain child, one in another session by a double fork, a frozen one.
FAMILY = """
    import os, signal, subprocess, sys, time
    nap = "import time; time.sleep(100)"
    def start(code, **more):
        return subprocess.Popen([sys.executable, "-c", code], **more)
    start(nap)
    start(f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {nap!r}], "
          "start_new_session=True)", start_new_session=True).wait()
    os.kill(start(nap).pid, signal.SIGSTOP)
    time.sleep(0.3)
    print("family complete", flush=True)
"""
DEAF_CHILD = """
    deaf = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]; "
    start(deaf + "print('deaf', flush=True); time.sleep(100)", start_new_session=True)
    time.sleep(0.3)
"""
# Counts its SIGINTs in a file, and stops at the first safe point like a `Run`.
GRACEFUL = """
    import os, signal, sys, time
    asked = []
    signal.signal(signal.SIGINT, lambda *_: asked.append(1))
    limit = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    print("TRAINING", flush=True)
    while len(asked) < limit:
        time.sleep(0.02)
    open("saved", "w").write(f"{len(asked)} SIGINT")
    sys.exit(75)
"""
DEAF = """
    import signal, time
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    print("TRAINING", flush=True)
    time.sleep(100)
"""


@pytest.mark.parametrize(
    ("death", "code"),
    [
        (DEAF_CHILD + "    sys.exit(1)", 1),
        ("os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    ],
)
def test_nothing_survives_the_death_of_the_leader(stage: Stage, death: str, code: int) -> None:
    """However the leader dies, its whole family is gone afterwards, and the cause is named."""
    stage.script(FAMILY, death)
    play = stage.run("--max-crashes", "1", "--", PYTHON, "train.py")
    assert play.end() == 20
    assert "family complete" in play.text
    assert play.orphans() == {}
    crash = json.loads(play.run_dir.crash(1).read_text())
    assert crash["code"] == code
    assert crash["signal"] == (signal.Signals(-code).name if code < 0 else None)
    assert len(crash["killed"]) == ("deaf" in death), "only the deaf one had to be killed"
    if code < 0:
        assert f"Training crashed! ({signal.Signals(-code).name})" in play.text


def test_a_segmentation_fault_shows_where(stage: Stage) -> None:
    """A crash below Python leaves the Python stack in the post-mortem."""
    stage.script("import faulthandler\ndef simulate():\n    faulthandler._sigsegv()\nsimulate()")
    play = stage.run("--max-crashes", "1", "--", PYTHON, "train.py")
    assert play.end() == 20
    crash = json.loads(play.run_dir.crash(1).read_text())
    assert crash["exception"] == "Fatal Python error: Segmentation fault"
    assert "in simulate" in crash["traceback"]


def test_a_killed_supervisor_leaves_no_training_behind(stage: Stage) -> None:
    """SIGKILL of the supervisor: the trainer saves and ends, its tree is gone, it is recorded."""
    stage.script(FAMILY, GRACEFUL)
    play = stage.run("--", PYTHON, "train.py")
    play.wait_for("TRAINING")
    play.send(signal.SIGKILL)
    play.end()
    stage.wait_until(lambda: not play.orphans(), f"the tree to be gone: {play.orphans()}")
    assert (stage.folder / "saved").read_text() == "1 SIGINT"
    (ended,) = play.events("ended")
    assert (ended["by"], ended["code"]) == ("shim", EXIT_STOPPED)
    assert play.events("supervisor_lost")
    assert "evertrain: the supervisor is gone; stopping the training" in play.text


def test_a_successor_waits_for_the_old_training(stage: Stage) -> None:
    """A new supervisor never starts a second copy while the old shim lives, and says so."""
    stage.script(
        """
        import os, signal, sys, time
        from pathlib import Path
        alone = not Path("here").exists()
        Path("here").touch()
        print("TRAINING", os.environ["EVERTRAIN_ATTEMPT"], "alone" if alone else "CROWDED")
        if os.environ["EVERTRAIN_ATTEMPT"] == "1":
            asked = []
            signal.signal(signal.SIGINT, lambda *_: asked.append(1))
            while not asked:
                time.sleep(0.02)
            while not Path("seen").exists():
                time.sleep(0.02)
        Path("here").unlink()
        """
    )
    first = stage.run("--", PYTHON, "train.py")
    first.wait_for("TRAINING 1")
    first.send(signal.SIGKILL)
    second = stage.run("--", PYTHON, "train.py")
    second.wait_for("Waiting: the supervisor before this one was killed")
    (stage.folder / "seen").touch()
    assert second.end() == 0
    assert "TRAINING 2 alone" in second.text


def test_a_frozen_shim_is_continued(stage: Stage) -> None:
    """Supervisor killed, shim stopped by SIGSTOP: the successor wakes it, and it cleans up."""
    stage.script(GRACEFUL)
    first = stage.run("--", PYTHON, "train.py")
    first.wait_for("TRAINING")
    os.kill(first.shim, signal.SIGSTOP)
    first.send(signal.SIGKILL)
    first.end()
    stage.script("print('second training')")
    second = stage.run("--", PYTHON, "train.py")
    assert second.end() == 0
    assert (stage.folder / "saved").read_text() == "1 SIGINT"
    assert "second training" in second.text


def test_a_killed_shim_is_a_crash(stage: Stage) -> None:
    """SIGKILL of the shim: the supervisor adopts and ends the family, and restarts."""
    stage.script(FAMILY, "if os.environ['EVERTRAIN_ATTEMPT'] == '1': time.sleep(100)")
    play = stage.run("--delay", "0", "--", PYTHON, "train.py")
    play.wait_for("family complete")
    os.kill(play.shim, signal.SIGKILL)
    assert play.end() == 0
    assert "Training crashed! (the shim that held it was killed)" in play.text
    assert play.orphans() == {}


def test_a_trainer_that_lost_supervisor_and_shim_is_found(stage: Stage) -> None:
    """Both were killed: the successor stops the training that is left before it starts one."""
    stage.script(GRACEFUL)
    first = stage.run("--", PYTHON, "train.py", "1")
    first.wait_for("TRAINING")
    trainer = first.pid_of("train.py")
    shim = first.shim
    os.kill(shim, signal.SIGSTOP)  # so that it cannot act between the two
    first.send(signal.SIGKILL)
    os.kill(shim, signal.SIGKILL)
    assert first.end() == -signal.SIGKILL
    stage.script("print('second training')")
    second = stage.run("--", PYTHON, "train.py", "1")
    assert second.end() == 0
    assert "supervisor and shim were killed" in second.text
    assert (stage.folder / "saved").read_text() == "1 SIGINT"
    assert not proc.is_alive(trainer, proc.start_time(trainer) or 0)


def test_what_outlived_everybody_is_ended_by_the_next(stage: Stage) -> None:
    """`pkill -9 python`: supervisor, shim and trainer are gone, the simulator holds its port."""
    stage.script(
        """
        import os, subprocess, time
        subprocess.Popen(["sleep", "1000"], start_new_session=True)
        print("TRAINING")
        time.sleep(1000)
        """
    )
    first = stage.run("--", PYTHON, "train.py")
    first.wait_for("TRAINING")
    simulator = first.pid_of("sleep 1000")
    held = [first.pid_of("supervise.shim"), first.process.pid, first.pid_of("train.py")]
    os.kill(held[0], signal.SIGSTOP)  # so that it cannot act between the two
    for pid in reversed(held):
        os.kill(pid, signal.SIGKILL)
    first.end()
    stage.wait_until(lambda: list(first.orphans()) == [simulator], "it to be alone")

    stage.script("print('second training')")
    second = stage.run("--", PYTHON, "train.py")
    assert second.end() == 0
    assert second.orphans() == {}
    before, _, _ = second.text.partition("second training")
    assert "Ending what attempt 1 has left: " in before
    assert f"(pid {simulator})" in before


def test_one_ctrl_c_stops_gracefully(stage: Stage) -> None:
    """The trainer alone gets one SIGINT, its workers get none; the end is 75."""
    stage.script(
        """
        import subprocess, sys
        worker = "import signal, time; signal.signal(2, lambda *_: open('worker', 'w')); "
        subprocess.Popen([sys.executable, "-c", worker + "time.sleep(100)"])
        """,
        "import time; time.sleep(0.3)",
        GRACEFUL,
    )
    play = stage.run("--", PYTHON, "train.py", on_terminal=True)
    play.wait_for("TRAINING")
    play.press_ctrl_c()
    assert play.end() == 75
    assert "stopping at the next safe point (at most 120 s)" in play.text
    assert "Training stopped." in play.text
    assert (stage.folder / "saved").read_text() == "1 SIGINT"
    assert not (stage.folder / "worker").exists()
    assert play.orphans() == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_to_the_supervisor_stop_gracefully(stage: Stage, number: signal.Signals) -> None:
    """SIGTERM, SIGHUP and SIGINT mean the same, and schedulers that repeat them do not force."""
    stage.script(GRACEFUL)
    play = stage.run("--", PYTHON, "train.py")
    play.wait_for("TRAINING")
    play.send(number)
    if number is not signal.SIGINT:
        play.send(number)
        play.send(number)
    assert play.end() == 75
    assert (stage.folder / "saved").read_text() == "1 SIGINT"


def test_ctrl_c_works_where_the_starter_ignores_it(stage: Stage) -> None:
    """In the background of a script SIGINT is ignored, and children inherit that; not here."""
    stage.script("import time; print('TRAINING'); time.sleep(100)")
    play = stage.run("--", PYTHON, "train.py", ignores_sigint=True)
    play.wait_for("TRAINING")
    play.send(signal.SIGINT)
    assert play.end(10.0) == 75
    assert "KeyboardInterrupt" in play.text


def test_ctrl_c_twice_asks_the_trainer_again(stage: Stage) -> None:
    """The second one reaches the trainer too; one that then ends with 75 has stopped cleanly."""
    stage.script(GRACEFUL)
    play = stage.run("--", PYTHON, "train.py", "2", on_terminal=True)
    play.wait_for("TRAINING")
    play.press_ctrl_c()
    play.wait_for("Sent SIGINT")
    play.press_ctrl_c()
    assert play.end() == 75
    assert "Forcing: one last save" in play.text
    assert (stage.folder / "saved").read_text() == "2 SIGINT"


def test_a_run_that_was_forced_ends_with_130(stage: Stage) -> None:
    """It leaves an emergency checkpoint, and nobody takes its end for a clean stop."""
    stage.script(
        """
        import time
        from evertrain import Run
        with Run("runs/here", total=2) as run:
            for step in run:
                if step == 2:
                    print("TRAINING", flush=True)
                    time.sleep(100)
        """
    )
    play = stage.run("--", PYTHON, "train.py", on_terminal=True)
    play.wait_for("TRAINING")
    play.press_ctrl_c()
    play.wait_for("Sent SIGINT")
    play.press_ctrl_c()
    assert play.end() == 130
    assert "Emergency checkpoint saved" in play.text
    assert play.events("supervisor_stopped")[-1]["why"].startswith("forced")


def test_ctrl_c_three_times_kills_at_once(stage: Stage) -> None:
    """A trainer that is deaf to everything is gone in moments, with its family; the end is 130."""
    stage.script(FAMILY, DEAF)
    play = stage.run("--", PYTHON, "train.py", on_terminal=True)
    play.wait_for("TRAINING")
    began_s = time.monotonic()
    for text in ("stopping at the next", "Forcing", "Killing everything now"):
        play.press_ctrl_c()
        play.wait_for(text)
    assert play.end() == 130
    assert "Forced by a second signal" in play.text
    assert time.monotonic() - began_s < 3.0
    assert play.orphans() == {}


def test_the_grace_ends(stage: Stage) -> None:
    """A trainer that ignores SIGINT gets SIGTERM after the grace."""
    stage.script(
        """
        import signal, time
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: exit(print("terminated")))
        print("TRAINING")
        time.sleep(100)
        """
    )
    play = stage.run("--grace", "0.5", "--", PYTHON, "train.py")
    play.wait_for("TRAINING")
    play.send(signal.SIGTERM)
    assert play.end() == 75
    assert "terminated" in play.text


@pytest.mark.parametrize(
    "line", ["{python} train.py", "{python} train.py | tee out", "{python} train.py; echo after"]
)
def test_a_script_passes_the_request_on(stage: Stage, line: str) -> None:
    """`bash train.sh` waits for its child; the graceful signal goes to the child."""
    stage.script(GRACEFUL)
    stage.script("set -o pipefail\n" + line.format(python=PYTHON) + "\nexit $?\n", name="train.sh")
    play = stage.run("--", "bash", "train.sh")
    play.wait_for("TRAINING")
    play.send(signal.SIGTERM)
    assert play.end() == 75
    assert (stage.folder / "saved").read_text() == "1 SIGINT"
    assert play.orphans() == {}


def test_the_owner_of_the_lock_gets_the_request(stage: Stage) -> None:
    """Behind a launcher the trainer is whoever holds the run's lock, wherever it hangs."""
    stage.script(
        """
        import os
        from pathlib import Path
        from evertrain.core import lock
        lease = lock.take(Path(os.environ["EVERTRAIN_RUN"]) / "lock")
        """,
        GRACEFUL,
    )
    stage.script(
        "import subprocess, sys; sys.exit(subprocess.call([sys.executable, 'train.py']))",
        name="launch.py",
    )
    play = stage.run("--", PYTHON, "launch.py")
    play.wait_for("TRAINING")
    play.send(signal.SIGTERM)
    assert play.end() == 75
    assert (stage.folder / "saved").read_text() == "1 SIGINT"


@pytest.mark.parametrize("on_terminal", [True, False])
def test_a_stop_in_the_countdown_ends_at_once(stage: Stage, *, on_terminal: bool) -> None:
    """Between two attempts there is nothing to wait for: exit 75, with the countdown on screen."""
    stage.script("import sys; sys.exit(1)")
    play = stage.run("--delay", "60", "--", PYTHON, "train.py", on_terminal=on_terminal)
    play.wait_for("Restarting in 60 seconds... (Press Ctrl+C now to stop)")
    if on_terminal:
        play.wait_for("\r\x1b[KRestarting in 59 seconds")
        play.press_ctrl_c()
    else:
        play.send(signal.SIGINT)
    began_s = time.monotonic()
    assert play.end() == 75
    assert time.monotonic() - began_s < 1.5
    assert play.text.count("Restarting in") == (2 if on_terminal else 1)
    assert "Restarting now!" not in play.text


def test_the_training_has_a_terminal_where_we_have_one(stage: Stage) -> None:
    """It sees a terminal of our size, hears of a new one, and its bars pass through unchanged."""
    stage.script(
        """
        import os, signal, sys, time
        print("tty", sys.stdout.isatty(), sys.stderr.isatty(), sys.stdin.isatty())
        print("size", *os.get_terminal_size())
        sizes = []
        signal.signal(signal.SIGWINCH, lambda *_: sizes.append(os.get_terminal_size()))
        sys.stderr.write("\\r 50%|#####     |\\r100%|##########|\\n")
        print("ready", flush=True)
        while not sizes:
            time.sleep(0.02)
        print("resized", *sizes[-1])
        """
    )
    play = stage.run("--", PYTHON, "train.py", on_terminal=True)
    play.wait_for("ready")
    play.resize(44, 99)
    assert play.end() == 0
    assert "tty True True False\n" in play.text
    assert "size 111 33\n" in play.text
    assert "resized 99 44\n" in play.text
    log = play.run_dir.log(1).read_bytes()
    assert b"\n100%|##########|\nready\n" in log, "of a bar, its last state"
    assert "\r 50%|#####     |\r100%|##########|\n" in play.text
    assert "\x1b[32m" in play.text, "colors on a terminal"


def test_no_color_is_honored(stage: Stage) -> None:
    """NO_COLOR means not one color, on a terminal too."""
    stage.script("print('TRAINING')")
    play = stage.run("--", PYTHON, "train.py", on_terminal=True, env={"NO_COLOR": "1"})
    assert play.end() == 0
    assert "\x1b[3" not in play.text


def test_a_pipe_stays_a_pipe(stage: Stage) -> None:
    """Without a terminal the training has none, and every byte arrives on screen and in the log."""
    stage.script(
        """
        import os, sys
        print("tty", sys.stdout.isatty())
        sys.stdout.flush()
        os.write(1, bytes(range(32, 256)) * 4096)
        os.write(2, b"last words")
        """
    )
    play = stage.run("--", PYTHON, "train.py")
    assert play.end() == 0
    raw = b"tty False\n" + bytes(range(32, 256)) * 4096 + b"last words"
    assert play.run_dir.log(1).read_bytes() == raw
    assert raw in bytes(play.output)


def _flood(stage: Stage, *, on_terminal: bool) -> Play:
    stage.script(
        """
        line = "x" * 99 + "\\n"
        for _ in range(50_000):
            print(line, end="")
        """
    )
    return stage.run("--", PYTHON, "train.py", on_terminal=on_terminal, is_read=False)


@pytest.mark.parametrize("on_terminal", [True, False])
def test_a_blocked_terminal_blocks_nobody(stage: Stage, *, on_terminal: bool) -> None:
    """Nobody reads the screen: training and supervisor end all the same, and the log is whole."""
    play = _flood(stage, on_terminal=on_terminal)
    stage.wait_until((stage.folder / "runs").exists, "the run")
    stage.wait_until(lambda: play.process.poll() is not None, "the end")
    assert play.end() == 0
    assert play.run_dir.log(1).stat().st_size == 5_000_000


def test_a_screen_that_went_away_changes_nothing(stage: Stage) -> None:
    """`evertrain run | head -1`: the reader leaves, the training ends."""
    stage.script("for i in range(20000): print(i)")
    play = stage.run("--", PYTHON, "train.py", is_read=False)
    read, _ = os.pipe()
    os.dup2(read, play.handle)  # the last reader of the pipe is gone
    os.close(read)
    assert play.end() == 0
    assert play.run_dir.log(1).read_text().endswith("19999\n")


def test_output_after_the_leader_is_not_lost(stage: Stage) -> None:
    """The last bytes before a sudden death are in the log, on a terminal too."""
    stage.script("import os; os.write(1, b'y' * 3000 + b'end'); os._exit(9)")
    play = stage.run("--max-crashes", "1", "--", PYTHON, "train.py", on_terminal=True)
    assert play.end() == 20
    assert play.run_dir.log(1).read_bytes() == b"y" * 3000 + b"end"


def test_the_descriptors_of_the_shim_stay_its_own(stage: Stage, tmp_path: Path) -> None:
    """A training inherits three descriptors: neither locks nor wires nor pipes of ours."""
    stage.script("import os; print('descriptors', sorted(os.listdir('/proc/self/fd')))")
    play = stage.run("--", PYTHON, "train.py")
    assert play.end() == 0
    assert "descriptors ['0', '1', '2', '3']" in play.text, "3 is the listing"


def test_a_lease_that_cannot_be_written_does_not_stop_the_training(tmp_path: Path) -> None:
    """On a full disk the shim starts the training all the same: the supervisor holds a lease."""
    code = """
import sys
from evertrain.core import lock
def take(*_, **__):
    raise OSError(28, "No space left on device")
lock.take = take
from evertrain.supervise.shim import main
sys.exit(main())
"""
    mine, theirs = socket.socketpair()
    near = Wire(mine)
    order = Order(
        command=["true"],
        env=dict(os.environ),
        run=str(tmp_path),
        attempt=1,
        grace_s=1.0,
        size=None,
    )
    handle = theirs.fileno()
    with subprocess.Popen([PYTHON, "-c", code, str(handle)], pass_fds=[handle]) as shim:
        theirs.close()
        near.tell(encode_order(order))
        rows: list[Row] = []
        while (heard := near.hear()) is not None:
            rows += heard
        assert shim.wait() == 0
    near.close()
    assert [row["event"] for row in rows] == ["started", "ended"]
    assert rows[-1]["code"] == 0


def test_whoever_presses_twice_at_once_forces(tmp_path: Path) -> None:
    """Stop and force in one breath: the trainer still gets two SIGINTs, not one."""
    count = """
import signal, time
seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append(1))
print("READY", flush=True)
until_s = time.monotonic() + 20
while len(seen) < 2 and time.monotonic() < until_s:
    time.sleep(0.01)
raise SystemExit(40 + len(seen))
"""
    mine, theirs = socket.socketpair()
    run_dir = RunDir(tmp_path)
    run_dir.logs.mkdir()
    order = Order(
        command=[PYTHON, "-c", count],
        env=dict(os.environ),
        run=str(tmp_path),
        attempt=1,
        grace_s=60.0,
        size=None,
    )
    near, handle = Wire(mine), theirs.fileno()
    command = [PYTHON, "-m", "evertrain.supervise.shim", str(handle)]
    with subprocess.Popen(command, pass_fds=[handle], stdout=subprocess.DEVNULL) as shim:
        theirs.close()
        near.tell(encode_order(order))
        log = run_dir.log(1)
        wait_until(lambda: log.exists() and b"READY" in log.read_bytes(), "a trainer that counts")
        mine.sendall(encode_line({"do": "stop"}) + encode_line({"do": "force"}))
        rows: list[Row] = []
        while (heard := near.hear()) is not None:
            rows += heard
        assert shim.wait() == 0
    near.close()
    assert rows[-1]["code"] == 42
