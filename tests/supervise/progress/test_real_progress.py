"""Commands that know nothing of evertrain, as real processes: what shows that they get on."""

import json
import os
import sys
import venv

import pytest

from evertrain.monitor.read import status
from supervise.play import Play, Stage

PYTHON = sys.executable
pytestmark = pytest.mark.slow
PROGRESS = ("--progress", r"step ([\d,]+)", "--delay", "0")


def steps_of(play: Play) -> list[tuple[int | None, int | None]]:
    """Return first and last step of each attempt, as the journal has them."""
    return [(row.get("step_from"), row.get("step_to")) for row in play.events("ended")]


def test_a_command_that_gets_nowhere_is_given_up(stage: Stage) -> None:
    """The step in its output is what the ledger of progress counts."""
    stage.script(
        """
        import os, sys, time
        for step in range(1, 8 - int(os.environ["EVERTRAIN_ATTEMPT"])):
            print(f"\\rstep {1000 * step:,}", end="", flush=True)
            time.sleep(0.05)
        sys.exit(1)
        """
    )
    play = stage.run(*PROGRESS, "--", PYTHON, "train.py")
    assert play.end() == 20
    assert "3 attempts in a row crashed without a newer checkpoint" in play.text
    found = [json.loads(play.run_dir.crash(each).read_text())["progress"] for each in (1, 2, 3, 4)]
    assert found == [True, False, False, False]
    assert steps_of(play) == [(1000, 6000), (1000, 5000), (1000, 4000), (1000, 3000)]


def test_status_shows_the_step_while_it_runs(stage: Stage) -> None:
    """And once it is over; the time before the first step was its start."""
    stage.script(
        """
        import time
        from pathlib import Path
        print("step 41", flush=True)
        time.sleep(1.5)
        print("step 42", flush=True)
        while not Path("seen").exists():
            time.sleep(0.02)
        """
    )
    play = stage.run(*PROGRESS, "--", PYTHON, "train.py")
    play.wait_for("step 41")
    stage.wait_until(lambda: status(play.run_dir).step == 42, "the step")
    found = status(play.run_dir)
    assert found.state == "running"
    assert "last progress" in found.reason
    (stage.folder / "seen").touch()
    assert play.end() == 0
    found = status(play.run_dir)
    assert (found.state, found.step) == ("finished", 42)
    assert found.account.startup_s > 0
    assert found.account.useful_s > 1


def test_a_step_that_stands_still_is_a_hang_whatever_is_printed(stage: Stage) -> None:
    """A command that tries the same again and again is not alive; one that gets on is."""
    stage.script(
        """
        import os, sys, time
        is_first = os.environ["EVERTRAIN_ATTEMPT"] == "1"
        for step in range(1, 30):
            print("step", step, flush=True)
            while is_first and step == 8:
                print("connection refused, trying again", flush=True)
                time.sleep(0.05)
            time.sleep(0.1)
        """
    )
    words = ("--hang-timeout", "4")  # a busy machine may leave a training alone for a second
    play = stage.run(*PROGRESS, *words, "--", "sh", "-c", f"{PYTHON} train.py; exit $?")
    assert play.end(60) == 0, play.text
    (row,) = play.events("hang")
    assert (row["phase"], row["step"]) == ("progress", 8)
    assert play.orphans() == {}


def test_an_expression_that_backtracks_does_not_hold_up_the_output(stage: Stage) -> None:
    """It is given up, said, and everything that is printed arrives."""
    stage.script(
        """
        import time
        print("step 1 " + "b" * 80 + "c", flush=True)
        time.sleep(2.5)
        print("the end", flush=True)
        """
    )
    pattern = r"^step (\d+) (?:b+)+$"
    play = stage.run("--progress", pattern, "--", PYTHON, "train.py")
    assert play.end() == 0
    assert "Its progress is not read any more" in play.text
    assert "the end\n" in play.text


def test_a_command_whose_steps_are_not_read_any_more_is_no_hang(stage: Stage) -> None:
    """It prints on, and is left alone."""
    stage.script(
        """
        import time
        print("step 1", flush=True)
        time.sleep(0.5)
        print("step 2 " + "b" * 80 + "c", flush=True)
        for step in range(3, 63):
            time.sleep(0.1)
            print("step", step, flush=True)
        """
    )
    pattern = r"^step (\d+)(?:$| (?:b+)+$)"
    play = stage.run("--progress", pattern, "--hang-timeout", "3", "--", PYTHON, "train.py")
    assert play.end() == 0, play.text
    assert "Its progress is not read any more" in play.text
    assert "step 62\n" in play.text


def test_environment_directory_and_venv_are_kept(stage: Stage) -> None:
    """`python` is that of the activated venv, at each attempt; nothing is added to sys.path."""
    stage.script(
        """
        import json, os, sys
        print(json.dumps({"prefix": sys.prefix, "path": sys.path[0], "cwd": os.getcwd(),
            "mine": os.environ["MINE"], "venv": os.environ["VIRTUAL_ENV"],
            "PYTHONPATH": os.environ.get("PYTHONPATH"), "argv": sys.argv[1:]}), flush=True)
        sys.exit(os.environ["EVERTRAIN_ATTEMPT"] == "1")
        """
    )
    where = stage.folder / "the venv"
    venv.create(where, with_pip=False, symlinks=True)
    env = {
        "VIRTUAL_ENV": str(where),
        "PATH": f"{where / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "MINE": "a b\nc",
    }
    play = stage.run("--delay", "0", "--", "python", "train.py", "a b", "$MINE", env=env)
    assert play.end() == 0, play.text
    lines = [json.loads(line) for line in play.text.splitlines() if line.startswith("{")]
    told = {
        "prefix": str(where),
        "path": str(stage.folder),
        "cwd": str(stage.folder),
        "mine": "a b\nc",
        "venv": str(where),
        "PYTHONPATH": os.environ.get("PYTHONPATH"),
        "argv": ["a b", "$MINE"],
    }
    assert lines == [told, told]


def test_a_command_is_alive_while_its_files_grow(stage: Stage) -> None:
    """It prints nothing for several times the limit, and is left alone; then it stands still."""
    stage.script(
        """
        import os, time
        print("begin", flush=True)
        for row in range(32):
            with open("log.csv", "a") as file:
                file.write(f"{row}\\n")
            time.sleep(0.25)
        if os.environ["EVERTRAIN_ATTEMPT"] == "1":
            time.sleep(300)
        """
    )
    words = ("--progress-file", "*.csv", "--hang-timeout", "2.5", "--delay", "0")
    play = stage.run(*words, "--", PYTHON, "train.py")
    assert play.end(60) == 0, play.text
    (row,) = play.events("hang")
    assert row["phase"] == "progress"
    assert len((stage.folder / "log.csv").read_text().splitlines()) == 64
