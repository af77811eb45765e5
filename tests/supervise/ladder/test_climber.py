"""`evertrain.supervise.ladder.climber`: real trainings on real ladders."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from supervise.play import Stage

PYTHON = sys.executable
pytestmark = pytest.mark.slow

# Not ours: saves every tenth step, and is killed below Python after so many steps of a life.
FOREIGN = """
    import os, signal, sys, time
    from pathlib import Path
    words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    step, bears = int(words.get("--from", 0)), int(words.get("--bears", 10**9))
    if words.get("--fit") == "no":
        sys.exit(78)
    Path("models").mkdir(exist_ok=True)
    for count in range(1, 10**9):
        time.sleep(float(words["--pause"]))
        step += 1
        if step % 10 == 0:
            Path(f"models/m_step{step}.txt").write_text("weights")
        if step >= int(words["--until"]):
            break
        if count >= bears:
            os.kill(os.getpid(), signal.SIGSEGV)
"""
COMMAND = ("--checkpoints", "models/*.txt", "--resume-arg", "--from {step}", "--delay", "0")
TRAIN = ("--", PYTHON, "train.py", "--until", "400")

# One step after the other, until the simulator has had enough of its pace.
RUN = """
    import os, signal, sys
    from evertrain import Run, every
    bears = int(os.environ["BEARS"])
    with Run("runs/train", total=60, save=every(steps=5)) as run:
        run.state.x = 0
        for count, step in enumerate(run, 1):
            run.state.x += 1
            if count >= bears:
                os.kill(os.getpid(), signal.SIGSEGV)
        print("x is", run.state.x)
"""


def evertrain(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """Start the command line in `folder`."""
    return subprocess.Popen(
        [PYTHON, "-P", "-m", "evertrain", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def asked(folder: Path, *words: str) -> Any:
    """Return what a command with `--json` prints."""
    out, errors = evertrain(folder, *words).communicate(timeout=60)
    assert out, errors
    return json.loads(out)


def test_a_training_climbs_down_from_what_crashes_and_finishes(stage: Stage) -> None:
    """A `Run` that dies at every seventh step of the first rung ends on the second, exactly."""
    stage.script(RUN)
    stage.script(
        "- {name: reckless, env: {BEARS: 7}}\n- {name: calm, env: {BEARS: 1000}}",
        name="ladder.yaml",
    )
    play = stage.run("--ladder", "ladder.yaml", "--delay", "0", "--", PYTHON, "train.py")

    assert play.end() == 0, play.text
    moves = [(row["name"], row["move"]) for row in play.events("rung")]
    assert moves[0] == ("reckless", "start")
    assert moves[-1] == ("calm", "down")
    assert len(moves) <= 6
    ends = [(row["end"], row["counts"]) for row in play.events("rung_ended")]
    assert ends == [("crash", True)] * (len(moves) - 1) + [("finished", False)]
    assert "Ladder: ladder.yaml: reckless > calm" in play.text
    assert "Rung 1 of 2: reckless (BEARS=7): the most aggressive comes first" in play.text
    assert "Rung 2 of 2: calm (BEARS=1000): " in play.text
    assert "x is 60" in play.text
    rung = asked(stage.folder, "status", "runs/train", "--json")["run"]["rung"]
    assert (rung["name"], rung["index"], rung["count"]) == ("calm", 2, 2)
    assert "net steps/s expected instead of" in rung["why"]


def test_flags_variables_and_files_arrive(stage: Stage) -> None:
    """The command gets what its rung sets, in place of {rung}, and its own file stays."""
    stage.script(
        """
        import os, sys
        from pathlib import Path
        print("got", sys.argv[1:3], os.environ.get("SPEED"), os.environ.get("TERM"))
        print("read", Path(sys.argv[3].partition("=")[2]).read_text())
        """
    )
    stage.script("warp: 40 # as ever\nlr: 1e-4\n", name="fast.yaml")
    stage.script(
        "- args: [--warp, 40]\n  env: {SPEED: 3, TERM: null}\n  config: {fast.yaml: {warp: 80}}",
        "- --warp 1",
        name="ladder.yaml",
    )
    words = (PYTHON, "train.py", "{rung}", "--config=fast.yaml")
    play = stage.run("--ladder", "ladder.yaml", "--", *words)

    assert play.end() == 0, play.text
    assert "got ['--warp', '40'] 3 None" in play.text
    assert "read warp: 80 # as ever\nlr: 1e-4" in play.text
    assert (stage.folder / "fast.yaml").read_text() == "warp: 40 # as ever\nlr: 1e-4\n"


def test_a_ladder_with_a_fault_starts_nothing(stage: Stage) -> None:
    """Exit code 78, the place of the fault, and no run directory."""
    stage.script("- -x 1\n- arg: -x 2\n", name="ladder.yaml")
    play = stage.run("--ladder", "ladder.yaml", "--", PYTHON, "train.py")

    assert play.end() == 78
    assert "ladder.yaml:2:3: 1.arg: there is no such key; did you mean 'args'?" in play.text
    assert not (stage.folder / "runs").exists()


def test_a_killed_supervisor_leaves_its_rung_to_the_next(stage: Stage) -> None:
    """What was learned, and where it stood, is in the journal."""
    stage.script(FOREIGN)
    stage.script("- --bears 3 --pause 0.01\n- --pause 0.02\n", name="ladder.yaml")
    words = ("--ladder", "ladder.yaml", "--max-crashes", "0", *COMMAND, *TRAIN)
    first = stage.run(*words)
    first.wait_for("Rung 2 of 2")
    stage.wait_until(lambda: any(stage.folder.glob("models/*20.txt")), "some progress")
    first.send(signal.SIGKILL)
    first.end()
    second = stage.run(*words)

    assert second.end() == 0, second.text
    assert "Rung 2 of 2: --pause 0.02: " in second.text
    assert "Rung 1 of 2" not in second.text
    assert "lost" in [row["end"] for row in second.events("rung_ended")]


LADDER = """\
- {name: wild, args: --pause 0.002 --bears 4}
- {name: brisk, args: --pause 0.01}
- {name: odd, args: --pause 0.01 --fit no}
- {name: slow, args: --pause 0.05}
"""
CALIBRATE = ("calibrate", "--ladder", "ladder.yaml", *COMMAND)
LONG = ("--", PYTHON, "train.py", "--until", "1000000")


def test_calibrate_measures_each_rung_and_the_training_goes_on_with_the_best(
    stage: Stage,
) -> None:
    """Too wild, too slow, not working at all: and what `run` then begins with."""
    stage.script(FOREIGN)
    stage.script(LADDER, name="ladder.yaml")

    found = asked(stage.folder, *CALIBRATE, "--budget", "14s", "--json", *LONG)

    verdicts = {each["name"]: each["verdict"] for each in found["rungs"]}
    assert found["recommended"] == "brisk", found
    assert found["is_complete"]
    assert verdicts["brisk"] == "best"
    assert verdicts["odd"] == "does not work with this command"
    assert verdicts["wild"] in {"crashes too often", "never ended a step", "no step seen"}
    brisk, slow = found["rungs"][1], found["rungs"][3]
    assert 30 < brisk["steps_per_s"] < 130
    assert slow["steps_per_s"] < brisk["steps_per_s"] / 2
    assert brisk["crashes_per_h"]["low"] <= brisk["crashes_per_h"]["expected"]
    play = stage.run("--ladder", "ladder.yaml", *COMMAND, *LONG)
    play.wait_for("Rung 2 of 4: brisk")
    play.send(signal.SIGINT)
    assert play.end() == 75
    (done,) = play.events("calibrated")
    assert done["name"] == "brisk"


def test_ctrl_c_keeps_what_was_measured(stage: Stage) -> None:
    """The table is shown; the same command measures only what is left of the budget."""
    stage.script(FOREIGN)
    stage.script("- --pause 0.01\n- --pause 0.02\n", name="ladder.yaml")
    words = (*CALIBRATE, "--budget", "10s", *LONG)
    first = evertrain(stage.folder, *words)
    journal = stage.folder / "runs" / "train" / "journal.jsonl"
    stage.wait_until(lambda: journal.exists() and b"rung_ended" in journal.read_bytes(), "a turn")
    os.kill(first.pid, signal.SIGINT)
    out, _ = first.communicate(timeout=60)
    assert first.returncode == 75, out
    assert "The best so far: --pause 0.01" in out
    second = evertrain(stage.folder, *words)
    out, _ = second.communicate(timeout=60)

    assert second.returncode == 0, out
    assert "Recommended: --pause 0.01" in out
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    spent_s = sum(row["seconds"] for row in rows if row["event"] == "rung_ended")
    assert 10.0 <= spent_s < 15.0
    assert rows[-1]["event"] == "calibrated"


def test_a_run_that_changes_its_rung_loses_nothing(stage: Stage) -> None:
    """It saves at the end of its step, and goes on behind that one."""
    stage.script(
        """
        import time
        from evertrain import Run, every
        with Run("runs/train", total=10**9, save=every(steps=10**6)) as run:
            run.state.x = 0
            for step in run:
                run.state.x += 1
                time.sleep(0.01)
        """
    )
    stage.script("- {name: a, args: a}\n- {name: b, args: b}\n", name="ladder.yaml")
    words = ("calibrate", "--ladder", "ladder.yaml", "--delay", "0", "--budget", "12s", "--json")

    found = asked(stage.folder, *words, "--", PYTHON, "train.py")

    rows = [
        json.loads(line)
        for line in (stage.folder / "runs/train/journal.jsonl").read_text().splitlines()
    ]
    ends = [row["end"] for row in rows if row["event"] == "rung_ended"]
    stopped = [row["step"] for row in rows if row["event"] == "stopped"]
    resumed = [row["step"] for row in rows if row["event"] == "resumed"]
    assert ends == ["moved"] * len(ends)
    assert len(ends) >= 2
    assert resumed == [0, *stopped[:-1]]
    assert stopped == sorted(set(stopped))
    assert [row["event"] for row in rows].count("crashed") == 0
    assert all(each["steps_per_s"] for each in found["rungs"])
