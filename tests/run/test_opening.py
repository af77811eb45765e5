"""Taking a run directory: whose it is, which it is, and what has changed."""

import json
import os
from pathlib import Path

import pytest

from evertrain import Run, every
from evertrain.core.errors import ConfigError, FencedError, FormatError, LockedError, UsageError
from evertrain.core.journal import Journal
from evertrain.run import opening
from evertrain.testing import FakeClock, PowerDisk
from runs import new_run, tree_of
from support import OpenRun, walk


def test_a_fresh_run_writes_its_identity(open_run: OpenRun) -> None:
    """run.json says who the run is, from its first second."""
    run = open_run(unit="episode", seed=3, config={"lr": 1e-4}, recipe="trading")

    card = json.loads((run.path / "run.json").read_text())
    assert (card["format"], card["unit"], card["seed"]) == (1, "episode", 3)
    assert (card["config"], card["recipe"]) == ({"lr": 1e-4}, "trading")
    assert card["command"]


def test_the_identity_never_changes_but_the_config_may(open_run: OpenRun) -> None:
    """A changed configuration is kept and journalled with its difference."""
    first = open_run(config={"lr": 1e-4, "net": {"width": 8}})
    before = json.loads((first.path / "run.json").read_text())

    run = open_run(config={"lr": 3e-4, "net": {"width": 8}})

    after = json.loads((run.path / "run.json").read_text())
    assert (after["id"], after["created_at"]) == (before["id"], before["created_at"])
    assert after["config"]["lr"] == 3e-4
    event = Journal(run.path / "journal.jsonl").last("config_changed")
    assert event is not None
    assert event["changes"] == {"lr": [1e-4, 3e-4]}


def test_a_second_run_in_one_process_is_refused(tmp_path: Path) -> None:
    """Two trainers on one directory: the second is refused, with a way out that kills nobody."""
    with Run(tmp_path / "run", total=1):
        with pytest.raises(LockedError, match="in use by pid") as caught:
            Run(tmp_path / "run", total=1)

        assert "run.close()" in caught.value.fix


def test_attempts_are_numbered(open_run: OpenRun) -> None:
    """Each process that takes the run has the next number."""
    assert [open_run().attempt, open_run().attempt, open_run().attempt] == [1, 2, 3]


def test_the_supervisor_says_where_and_which_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its choice of directory, attempt and command come first, and it is said."""
    monkeypatch.setattr(opening, "_REDIRECTED", {})
    monkeypatch.setenv("EVERTRAIN_RUN", str(tmp_path / "chosen"))
    monkeypatch.setenv("EVERTRAIN_ATTEMPT", "7")
    monkeypatch.setenv("EVERTRAIN_COMMAND", '["python", "train.py"]')

    with Run(tmp_path / "asked", total=1) as run:
        assert run.path == tmp_path / "chosen"
        assert run.attempt == 7
        with pytest.raises(UsageError, match="second run"):
            Run(tmp_path / "another", total=1)

    assert f"{tmp_path / 'chosen'} (set by EVERTRAIN_RUN" in capsys.readouterr().out
    card = json.loads((tmp_path / "chosen" / "run.json").read_text())
    assert card["command"] == ["python", "train.py"]
    assert not (tmp_path / "asked").exists()


def test_the_command_line_decides_what_to_resume(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EVERTRAIN_RESUME comes before what the program asks for."""
    walk(open_run(), until=5)
    monkeypatch.setenv("EVERTRAIN_RESUME", "3")

    assert open_run(resume="never").step == 3


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [("run.json", '{"format": 2}', FormatError), ("thesis.tex", "x", ConfigError)],
)
def test_what_is_not_a_run_of_ours_is_not_touched(
    tmp_path: Path, name: str, text: str, error: type[Exception]
) -> None:
    """A newer format or a foreign directory is refused with its files as they were."""
    (tmp_path / name).write_text(text)

    with pytest.raises(error):
        Run(tmp_path, total=1)

    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("mine", [None, "trading"])
@pytest.mark.parametrize("asked", [None, "structure"])
def test_the_run_of_another_training_is_not_touched(
    open_run: OpenRun, mine: str | None, asked: str | None
) -> None:
    """A recipe's run stays that recipe's, and a program's run that program's."""
    run = open_run(unit="episode", recipe=mine)
    walk(run, until=2)
    run.close()
    before = tree_of(run.path)
    if mine == asked:
        open_run(recipe=asked)
        return
    with pytest.raises(ConfigError, match=mine or "program of its own") as caught:
        open_run(recipe=asked, resume="never")

    assert str(run.path) in caught.value.fix
    assert tree_of(run.path) == before


@pytest.mark.parametrize("command", [["bash", "train.sh"], ["x", "-m", "evertrain.recipes", "atc"]])
def test_a_recipe_takes_the_run_that_its_supervisor_made(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: list[str]
) -> None:
    """Slow to begin, or without a package at first: until then it was a command like any other."""
    new_run(tmp_path / "run", command=command)
    again = [*command, "-o", "seed=1"] if "-m" in command else command
    monkeypatch.setenv("EVERTRAIN_COMMAND", json.dumps(again))

    run = open_run(recipe="atc")

    assert json.loads((run.path / "run.json").read_text())["recipe"] == "atc"


def test_a_failed_opening_gives_the_run_back(open_run: OpenRun) -> None:
    """An error while choosing what to resume does not leave the run locked."""
    with pytest.raises(UsageError):
        open_run(resume="nonsense")

    assert open_run().step == 0


def test_a_new_run_directory_survives_a_power_cut(tmp_path: Path) -> None:
    """Once an attempt has begun, the directory and all above it that are new are durable."""
    root = tmp_path / "disk"
    root.mkdir()
    disk = PowerDisk(root)
    path = root / "runs" / "july" / "one"
    plea = opening.Plea(path=path, unit="step", seed=0, total=1, config={}, recipe=None)
    opening.begin(plea, {}, fs=disk, clock=FakeClock()).lease.release()

    for number, world in enumerate(disk.worlds()):
        after = tmp_path / f"after-{number}"
        disk.reboot(after, world)
        run = after / "runs" / "july" / "one"
        assert json.loads((run / "run.json").read_text())["unit"] == "step"
        assert Journal(run / "journal.jsonl").last("attempt_started") is not None


def test_unfinished_files_of_the_dead_are_swept(open_run: OpenRun) -> None:
    """What a crash left half-written in the run goes; what lives, or is none of ours, stays."""
    path = open_run().path
    dead, alive = f".a.json.tmp-{2**22 + 1}", f".b.json.tmp-{os.getpid()}"
    places = [path, path / "inbox", path / "crashes", path / "checkpoints" / "quarantine"]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        for name in (dead, alive, ".hidden"):
            (place / name).touch()
    open_run()

    for place in places:
        assert not (place / dead).exists()
        assert (place / alive).exists()
        assert (place / ".hidden").exists()


def test_a_start_without_a_configuration_changes_none(
    open_run: OpenRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """Going on with a script that names no configuration does not take the known one away."""
    open_run(config={"lr": 1e-4})

    run = open_run()

    assert "config changed" not in capsys.readouterr().out
    assert json.loads((run.path / "run.json").read_text())["config"] == {"lr": 1e-4}


def test_a_program_may_change_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative run directory stays where it was when the run was opened."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with Run("runs/moving", total=3) as run:
        for step in run:
            run.log(x=step)
            monkeypatch.chdir(tmp_path / "elsewhere")

    assert run.store.list()[-1].step == 3
    assert len(run.metrics) == 3
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_trainer_that_lost_the_run_notices_at_its_next_save(tmp_path: Path) -> None:
    """With the lock file deleted by hand a second one gets in; the first must not go on unseen."""
    first = Run(tmp_path / "run", total=30, save=every(steps=5))
    for step in first:
        if step == 7:
            first.end_step()
            break
    (tmp_path / "run" / "lock").unlink()
    with Run(tmp_path / "run", total=30, save=every(steps=5)) as second:
        walk(second)

    with pytest.raises(FencedError):
        walk(first)

    first.close()
    finished = Journal(tmp_path / "run" / "journal.jsonl").events("finished")
    assert [event["attempt"] for event in finished] == [2]
