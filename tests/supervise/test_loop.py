"""`evertrain.supervise.loop`: restarts, limits, resumes, exit codes, with real processes."""

import json
import signal
import sys
from pathlib import Path

import pytest

from evertrain.supervise.loop import supervise
from supervise.play import Stage

PYTHON = sys.executable
pytestmark = pytest.mark.slow

# A program that behaves as a `Run` does, as far as the supervisor can tell.
RUN_CHILD = """
    import json, os, sys, time
    from pathlib import Path
    from evertrain.core.journal import Journal
    run, attempt = Path(os.environ["EVERTRAIN_RUN"]), int(os.environ["EVERTRAIN_ATTEMPT"])
    journal = Journal(run / "journal.jsonl")
    journal.record("attempt_started", attempt=attempt, supervised=True)
    print("resume keyword", os.environ.get("EVERTRAIN_RESUME"))
    step = 10 * (attempt - 1)
    name = f"{step:09d}" if step else None
    journal.record("resumed", attempt=attempt, step=step, **({"from": name} if name else {}))
    journal.record("saved", attempt=attempt, step=step + 10)
    plan = sys.argv[attempt]
    if plan == "finish":
        journal.record("finished", attempt=attempt, step=step + 10)
    if plan == "finish-then-fail":
        journal.record("finished", attempt=attempt, step=step + 10)
        sys.exit(4)
    sys.exit(0 if plan in {"finish", "exit0"} else int(plan))
"""


def test_a_crash_is_followed_by_a_restart_until_it_is_done(stage: Stage) -> None:
    """Each crash shows code, runtime and count; then the next attempt begins; the end is 0."""
    stage.script(
        """
        import os
        print("this is attempt", os.environ["EVERTRAIN_ATTEMPT"])
        if os.environ["EVERTRAIN_ATTEMPT"] != "3":
            raise RuntimeError("the simulator is gone")
        """
    )
    play = stage.run("--delay", "0", "--", PYTHON, "train.py")
    assert play.end() == 0
    for line in (
        "Starting training run #1",
        "Starting fresh training",
        "Training crashed! (exit code: 1)",
        "RuntimeError: the simulator is gone",
        "Runtime before crash: 0.",
        "Crash count: 2 / 10",
        "Restarting now!",
        "Starting training run #3",
        "this is attempt 3",
        "Training complete!",
    ):
        assert line in play.text
    assert play.run_dir.path.name == "train"
    crash = json.loads(play.run_dir.crash(2).read_text())
    assert (crash["code"], crash["exception"]) == (1, "RuntimeError: the simulator is gone")
    assert crash["traceback"].startswith("Traceback (most recent call last):")
    assert crash["last_lines"][0] == "this is attempt 2"
    assert play.run_dir.log(1).read_bytes().startswith(b"this is attempt 1\n")
    assert [row["count"] for row in play.events("crashed")] == [1, 2]
    assert json.loads(play.run_dir.identity.read_text())["command"] == [PYTHON, "train.py"]
    assert "\x1b" not in play.text


def test_max_crashes_stops_at_that_crash(stage: Stage) -> None:
    """--max-crashes 2 starts the command twice, then gives up with 20 and says where to look."""
    stage.script("import sys; sys.exit(3)")
    play = stage.run("--max-crashes", "2", "--delay", "0", "--", PYTHON, "train.py")
    assert play.end() == 20
    assert "Crash count: 2 / 2" in play.text
    assert "run #3" not in play.text
    assert "Last crash: runs/train/crashes/attempt-0002.json" in play.text
    (gave_up,) = play.events("gave_up")
    assert gave_up["cause"] == "exit code 3"


def test_attempt_numbers_and_crash_counts_over_two_supervisors(stage: Stage) -> None:
    """Starting again goes on counting attempts, and begins counting crashes anew."""
    stage.script("import sys; sys.exit(3)")
    words = ("--max-crashes", "1", "--delay", "0", "--", PYTHON, "train.py")
    assert stage.run(*words).end() == 20
    play = stage.run(*words)
    assert play.end() == 20
    assert "Starting training run #2" in play.text
    assert "Crash count: 1 / 1" in play.text
    assert play.run_dir.log(2).exists()


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named"),
        ("from os import nothing_like_it", "ImportError: cannot import name"),
        ("exec('def f(:')", "SyntaxError: invalid syntax"),
        ("import sys; sys.exit(78)", "configuration error (exit code 78)"),
        ("import sys; sys.exit(93)", "asks not to be restarted (exit code 93)"),
        (
            "import argparse; argparse.ArgumentParser().parse_args(['--no-such-flag'])",
            "the command line is wrong",
        ),
    ],
)
def test_what_cannot_get_better_is_not_tried_again(stage: Stage, body: str, named: str) -> None:
    """Errors of code and configuration stop at once, with their name, even where unlimited."""
    stage.script(body)
    play = stage.run("--max-crashes", "0", "--delay", "0", "--", PYTHON, "train.py")
    assert play.end() == 20
    assert "run #2" not in play.text
    assert named in play.text
    assert "starting again cannot help" in play.events("gave_up")[0]["why"]


def test_exit_code_0_of_a_run_is_not_the_end(stage: Stage) -> None:
    """A `Run` that ends with 0 without `finished` crashed; with `finished` it is done."""
    stage.script(RUN_CHILD)
    play = stage.run("--delay", "0", "--", PYTHON, "train.py", "exit0", "5", "finish")
    assert play.end() == 0
    assert "Training crashed! (ended with exit code 0 without finishing)" in play.text
    assert "Crash count: 2 / 10" in play.text
    assert not play.run_dir.identity.exists(), "a Run makes its own run.json"
    rows = [line.split() for line in play.text.splitlines()[-2:]]
    assert rows[0][-4:] == ["10", "->", "20", "000000010"]
    assert rows[1][-4:] == ["20", "->", "30", "000000020"]


def test_a_failure_after_the_training_is_neither_hidden_nor_repeated(stage: Stage) -> None:
    """`finished`, then exit code 4: no restart, and the supervisor fails with 1."""
    stage.script(RUN_CHILD)
    play = stage.run("--delay", "0", "--", PYTHON, "train.py", "finish-then-fail")
    assert play.end() == 1
    assert "afterwards the command failed with exit code 4" in play.text
    assert "run #2" not in play.text


def test_exit_code_75_means_stopped(stage: Stage) -> None:
    """A child that stopped on request is not restarted, and 75 is passed on."""
    stage.script("import sys; sys.exit(75)")
    play = stage.run("--", PYTHON, "train.py")
    assert play.end() == 75
    assert play.events("supervisor_stopped")


def test_the_resume_keyword_is_for_the_first_attempt_only(stage: Stage) -> None:
    """A rewind must not repeat after each crash; an explicit "auto" overrules the program."""
    stage.script(RUN_CHILD)
    words = ("--delay", "0", "--resume", "best", "--", PYTHON, "train.py", "5", "finish")
    play = stage.run(*words)
    assert play.end() == 0
    assert play.text.index("resume keyword best") < play.text.index("resume keyword auto")


def test_a_rewind_that_crashed_before_its_first_step_is_asked_for_again(stage: Stage) -> None:
    """Where to begin stays an open request until an attempt has really begun there."""
    early = "attempt=attempt, supervised=True)\n    sys.exit(1) if attempt == 1 else None"
    stage.script(RUN_CHILD.replace("attempt=attempt, supervised=True)", early))
    words = ("--delay", "0", "--resume", "best", "--", PYTHON, "train.py", "1", "1", "finish")
    play = stage.run(*words)
    assert play.end() == 0
    assert play.text.count("resume keyword best") == 1
    assert play.text.index("resume keyword best") < play.text.index("resume keyword auto")


def test_a_call_of_ours_that_cannot_work_is_not_tried_again(stage: Stage) -> None:
    """Where a program lets our own error pass, starting it again cannot help."""
    stage.script("from evertrain import Run\nRun('q', total=0)\n")
    play = stage.run("--delay", "0", "--", PYTHON, "train.py")
    assert play.end() == 20
    assert "Starting training run #2" not in play.text
    assert "Starting again cannot help" in play.text


SAVES = """
    import os, sys, zipfile
    from pathlib import Path
    print("arguments", sys.argv[1:])
    attempt = int(os.environ["EVERTRAIN_ATTEMPT"])
    Path("models").mkdir(exist_ok=True)
    for episode in (5, 10, 20, 30)[:attempt + 1]:
        with zipfile.ZipFile(f"models/model_ep{episode}.pt", "w") as file:
            file.writestr("data", os.urandom(3000))
    if attempt == 1:
        sys.exit(1)
    if attempt == 2:
        whole = Path("models/model_ep20.pt").read_bytes()
        Path("models/model_ep20.pt").write_bytes(whole[:2000])
        sys.exit(1)
"""


def test_a_foreign_command_gets_its_newest_whole_checkpoint(stage: Stage) -> None:
    """No argument at first, then the newest, then the one before a truncated one."""
    stage.script(SAVES)
    words = ["--checkpoints", "models/model_ep*.pt", "--resume-arg", "--resume {path} --ep {step}"]
    play = stage.run("--delay", "0", *words, "--", PYTHON, "train.py", "--fast")
    assert play.end() == 0
    text = play.text
    assert "arguments ['--fast']" in text
    assert "arguments ['--fast', '--resume', 'models/model_ep10.pt', '--ep', '10']" in text
    assert text.count("Found checkpoint: models/model_ep10.pt") == 2
    assert "skipping models/model_ep20.pt: truncated zip" in text
    last = text.splitlines()[-1]
    assert "10 -> 30" in last
    assert last.endswith("models/model_ep10.pt")


def test_a_file_without_the_number_that_is_wanted_ends_no_night(stage: Stage) -> None:
    """`best.pt` is written in the middle of the training: the numbered one is handed over."""
    stage.script(
        """
        import os, sys
        from pathlib import Path
        print("ARGS", sys.argv[1:])
        for name in ("ep3.pt", "best.pt"):
            Path(name).write_text("weights")
        sys.exit(3 if os.environ["EVERTRAIN_ATTEMPT"] == "1" else 0)
        """
    )
    words = ("--checkpoints", "*.pt", "--resume-arg", "--start {step}", "--delay", "0")
    play = stage.run(*words, "--", PYTHON, "train.py")
    assert play.end() == 0
    assert "ARGS ['--start', '3']" in play.text


def test_what_ends_a_supervision_is_its_last_word(stage: Stage) -> None:
    """The program is gone at the second attempt: 78, and journal and `status` say why."""
    stage.script(f"#!{PYTHON}\nimport os; os.unlink('train.py'); os._exit(3)").chmod(0o755)
    play = stage.run("--delay", "0", "--", "./train.py")
    assert play.end() == 78
    (gave_up,) = play.events("gave_up")
    assert gave_up["why"] == "'./train.py' cannot be started: No such file or directory"


def test_a_finished_foreign_run_is_not_repeated(stage: Stage) -> None:
    """The same command again says so and exits 0; --resume never and other commands train."""
    stage.script("print('training')")
    assert stage.run("--", PYTHON, "train.py").end() == 0
    again = stage.run("--", PYTHON, "train.py")
    assert again.end() == 0
    assert "already complete" in again.text
    assert "training\n" not in again.text
    for words in (("--resume", "never", "--", PYTHON, "train.py"), ("--", PYTHON, "train.py", "2")):
        play = stage.run(*words)
        assert play.end() == 0
        assert "training\n" in play.text


def test_going_back_in_a_finished_foreign_run_is_not_refused(stage: Stage) -> None:
    """--resume 10 of a complete run trains from that checkpoint; --resume latest leaves it."""
    stage.script(
        """
        import sys
        from pathlib import Path
        print("arguments", sys.argv[1:])
        Path("ep10.bin").write_bytes(b"x")
        """
    )
    words = ["--checkpoints", "ep*.bin", "--resume-arg", "--from {path}"]
    command = ["--", PYTHON, "train.py"]
    assert stage.run(*words, *command).end() == 0
    again = stage.run("--resume", "latest", *words, *command)
    assert again.end() == 0
    assert "already complete" in again.text
    back = stage.run("--resume", "10", *words, *command)
    assert back.end() == 0
    assert "arguments ['--from', 'ep10.bin']" in back.text


def test_a_checkpoint_that_must_be_there_is_looked_for_first(stage: Stage) -> None:
    """--resume must without one: exit 10, and nothing was created."""
    stage.script("print('training')")
    words = ["--resume", "must", "--checkpoints", "*.pt", "--resume-arg", "{path}"]
    play = stage.run(*words, "--", PYTHON, "train.py")
    assert play.end() == 10
    assert "no whole checkpoint" in play.text
    assert not (stage.folder / "runs").exists()


def test_resume_never_forgets_checkpoints_of_the_past_for_good(stage: Stage) -> None:
    """After --resume never, a crash resumes what this supervisor's attempts saved, no older."""
    stage.script(
        """
        import os, sys
        print("arguments", sys.argv[1:])
        if len(sys.argv) == 1 and os.environ["EVERTRAIN_ATTEMPT"] == "2":
            open("model_3.bin", "w").write("new")
        sys.exit(os.environ["EVERTRAIN_ATTEMPT"] != "3")
        """
    )
    (stage.folder / "model_9.bin").write_text("old")
    words = ["--delay", "0", "--resume", "never", "--checkpoints", "model_*.bin"]
    play = stage.run(*words, "--resume-arg", "{path}", "--", PYTHON, "train.py")
    assert play.end() == 0
    assert play.text.count("arguments []") == 2
    assert "arguments ['model_3.bin']" in play.text


REWOUND = """
import os, sys
from pathlib import Path
print("arguments", sys.argv[1:])
attempt = int(os.environ["EVERTRAIN_ATTEMPT"])
first = int(sys.argv[1]) if sys.argv[1:] else 0
last = 12 if attempt == 1 else first + 2
for step in range(first + 1, last + 1):
    Path(f"ep{step}.bin").write_text("old" if attempt == 1 else "new")
sys.exit(attempt != 4)
"""


def test_a_crash_after_a_rewind_goes_on_from_the_new_branch(stage: Stage) -> None:
    """Sent back to 5 and crashed at 7, it goes on at 7, also under the next supervisor."""
    stage.script(REWOUND)
    words = ["--delay", "0", "--checkpoints", "ep*.bin", "--resume-arg", "{step}"]
    command = ["--", PYTHON, "train.py"]
    assert stage.run("--max-crashes", "1", *words, *command).end() == 20
    back = stage.run("--max-crashes", "2", "--resume", "5", *words, *command)
    assert back.end() == 20
    assert [line for line in back.text.splitlines() if "arguments" in line] == [
        "arguments ['5']",
        "arguments ['7']",
    ]
    left = "of a branch that was left, not written since"
    assert f"ignoring 7 checkpoints {left}: ep6.bin to ep12.bin" in back.text
    assert f"ignoring 5 checkpoints {left}: ep8.bin to ep12.bin" in back.text
    again = stage.run(*words, *command)
    assert again.end() == 0
    assert "arguments ['9']" in again.text
    assert (stage.folder / "ep12.bin").read_text() == "old"


def test_a_fresh_start_is_remembered_by_the_next_supervisor(stage: Stage) -> None:
    """What lay there before --resume never stays forgotten."""
    stage.script("import sys; print('arguments', sys.argv[1:]); sys.exit(1)")
    (stage.folder / "ep9.bin").write_text("old")
    words = ["--max-crashes", "1", "--checkpoints", "ep*.bin", "--resume-arg", "{step}"]
    for more in (("--resume", "never"), ()):
        play = stage.run(*more, *words, "--", PYTHON, "train.py")
        assert play.end() == 20
        assert "arguments []" in play.text


def test_a_second_supervisor_is_refused(stage: Stage) -> None:
    """It exits 11, naming pid and host; the first one goes on."""
    stage.script("import time; print('here'); time.sleep(60)")
    first = stage.run("--", PYTHON, "train.py")
    first.wait_for("here")
    second = stage.run("--", PYTHON, "train.py")
    assert second.end() == 11
    assert f"pid {first.process.pid} on " in second.text
    first.send(signal.SIGINT)
    assert first.end() == 75


def test_a_trainer_of_somebody_else_is_respected(stage: Stage) -> None:
    """A live owner of the run's lock that we did not start means exit 11, before any attempt."""
    from evertrain.core import lock

    path = stage.folder / "runs" / "train"
    path.mkdir(parents=True)
    stage.script("print('training')")
    with lock.take(path / "lock"):
        play = stage.run("--", PYTHON, "train.py")
        assert play.end() == 11
    assert "training\n" not in play.text


def test_nothing_is_created_for_a_command_that_does_not_exist(stage: Stage) -> None:
    """A typo in the program is a config error that leaves no directory behind."""
    play = stage.run("--", "pyhton", "train.py")
    assert play.end() == 78
    assert "'pyhton'" in play.text
    assert not (stage.folder / "runs").exists()


def test_a_program_of_the_wrong_format_is_a_config_error(stage: Stage) -> None:
    """An executable text without `#!` cannot be started: 78, and what to write instead."""
    stage.script("echo hello", name="train.sh").chmod(0o755)
    play = stage.run("--", "./train.sh")
    assert play.end() == 78
    assert "evertrain run -- bash ./train.sh" in play.text
    assert "does not answer" not in play.text


def test_modules_in_the_working_directory_do_not_shadow_ours(stage: Stage) -> None:
    """A project with its own `select.py` and `signal.py` is supervised all the same."""
    for name in ("socket.py", "selectors.py", "journal.py", "struct.py", "evertrain.py"):
        stage.script("raise SystemExit('shadowed')", name=name)
    play = stage.run("--", PYTHON, "-P", "-c", "print('trained')")
    assert play.end() == 0
    assert "trained\n" in play.text


def test_a_full_disk_does_not_stop_the_training(stage: Stage, tmp_path: Path) -> None:
    """Where the log cannot be written, training goes on, and the loss is said."""
    stage.script("print('trained')")
    log = tmp_path / "runs" / "train" / "logs" / "attempt-0001.log"
    log.parent.mkdir(parents=True)
    log.symlink_to("/dev/full")
    play = stage.run("--", PYTHON, "train.py")
    assert play.end() == 0
    assert "trained\n" in play.text
    assert "8 bytes of output did not reach the log" in play.text


def test_a_long_foreign_run_is_visible_while_it_runs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """After a while without a word in the journal, the directory becomes a run; in-process too."""
    stage.script(
        """
        import os, time
        from pathlib import Path
        while not (Path(os.environ["EVERTRAIN_RUN"]) / "run.json").exists():
            time.sleep(0.02)
        print("it is a run now")
        """
    )
    monkeypatch.chdir(stage.folder)
    monkeypatch.setattr("evertrain.supervise.loop._FOREIGN_S", 0.3)
    handler = signal.getsignal(signal.SIGINT)
    assert supervise([PYTHON, "train.py"], "runs/here") == 0
    assert signal.getsignal(signal.SIGINT) is handler
    assert "it is a run now\n" in capfd.readouterr().out
