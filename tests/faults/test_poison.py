"""A checkpoint that verifies, and kills whoever restores it, is left for an older one."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from evertrain import Run, every, keep_all, keep_last
from evertrain.checkpoint.catalog import demoted
from evertrain.cli.main import cli
from evertrain.core.errors import NotFoundError, StateError
from evertrain.core.journal import Journal, Row
from evertrain.monitor.poison import deadly
from evertrain.monitor.read import status
from evertrain.supervise.options import SuperviseOptions
from supervise.play import Stage

Begin = Callable[..., Run]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A folder for scripts and runs."""
    found = Stage(tmp_path)
    yield found
    found.clear()


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Begin attempts of the run `tmp_path/run`; whichever lives at the end is closed."""
    living: list[Run] = []

    def begin_one(**options: Any) -> Run:
        for each in living:
            each.close()
        more: dict[str, Any] = {"total": 60, "save": every(steps=10), "keep": keep_all()}
        run = Run(tmp_path / "run", **more | options)
        living.append(run)
        return run

    yield begin_one
    for each in living:
        each.close()


def die(run: Run) -> None:
    """Leave what a killed process leaves: it says nothing to anybody."""
    run._trial._step = None
    run.close()


def train(run: Run, until: int) -> Run:
    """Take steps up to `until`, each with a row of its attempt, and die."""
    for step in run:
        run.log(attempt_was=run.attempt)
        if step == until:
            run.end_step()
            break
    die(run)
    return run


def die_restoring(run: Run) -> None:
    """Die between the restore and the end of the first step."""
    run.restore()
    die(run)


def events(run: Run, *names: str) -> tuple[Row, ...]:
    """Return what the journal of `run` says."""
    return Journal(run.path / "journal.jsonl").events(*names)


def places(run: Run) -> list[str]:
    """Return the checkpoints in their places."""
    return sorted(path.name for path in (run.path / "checkpoints").glob("0*"))


def test_three_deaths_in_a_row_demote_it(begin: Begin) -> None:
    """The fourth attempt takes the older one; it trains on, and no curve doubles back."""
    train(begin(), until=33)
    for _ in range(3):
        run = begin()
        assert run.step == 30
        die_restoring(run)

    run = begin()
    assert run.step == 20
    train(run, until=45)

    assert [(row["step"], row["attempts"]) for row in events(run, "demoted")] == [(30, [2, 3, 4])]
    assert (run.path / "checkpoints" / "latest").resolve().name == "000000040"
    run = begin()
    assert run.step == 40
    run.restore()
    rows = [(row["step"], row["attempt_was"]) for row in run.metrics]
    assert rows == [(step, 1 if step <= 20 else 5) for step in range(1, 41)]
    assert run.store.verify() == []


def test_nothing_is_moved_before_the_older_one_has_proved_better(begin: Begin) -> None:
    """Where attempts die whatever they restore, the newest is still in its place, and counts."""
    train(begin(), until=33)
    for step in (30, 30, 30, 20, 20, 20, 10, 10, 10, 1, 1, 1):
        run = begin()
        assert run.step == step
        die_restoring(run)
    names = places(run)

    with pytest.raises(NotFoundError, match="no checkpoint that lets an attempt live") as caught:
        begin()

    assert "attempts 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13" in caught.value.why
    assert "--resume latest" in caught.value.fix
    assert places(run) == names
    assert "demoted" not in {row["event"] for row in events(run)}
    run = begin(resume="latest")
    assert run.step == 30
    run.restore()
    assert [row["step"] for row in run.metrics] == list(range(1, 31))


def test_a_person_who_starts_it_again_has_mended_it(begin: Begin) -> None:
    """After the supervisor gave up, the newest is tried as if nothing had happened."""
    train(begin(), until=33)
    for _ in range(3):
        die_restoring(begin())
    Journal(begin(resume="latest").path / "journal.jsonl").record("gave_up", why="3 crashes")

    assert begin().step == 30


def test_a_program_that_always_says_latest_gets_past_it(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a supervisor, whose own word is a person's, and counts once."""
    train(begin(), until=33)
    for _ in range(3):
        die_restoring(begin(resume="latest"))
    assert begin(resume="latest").step == 30

    monkeypatch.setenv("EVERTRAIN_SUPERVISED", "1")
    assert begin(resume="latest").step == 20
    monkeypatch.setenv("EVERTRAIN_RESUME", "latest")
    assert begin(resume="auto").step == 30
    asked = SuperviseOptions(resume="latest")
    assert [asked.resume_at(count) for count in range(3)] == ["latest", "must", "must"]


def test_crashes_behind_the_first_step_demote_nothing(begin: Begin) -> None:
    """A run that crashes between its saves would only lose more by going back."""
    train(begin(), until=33)
    for until in (31, 39, 35, 31, 31):
        run = begin()
        assert run.step == 30
        train(run, until)

    assert begin().step == 30


def test_one_survivor_clears_the_count(begin: Begin) -> None:
    """Only deaths in a row count: a machine that is sometimes ill is no poison."""
    train(begin(), until=33)
    for _ in range(3):
        die_restoring(begin())
        die_restoring(begin())
        train(begin(), until=31)

    assert begin().step == 30


class Refuses:
    """Restores nothing."""

    def state_dict(self) -> dict[str, int]:
        return {"a": 1}

    def load_state_dict(self, state: dict[str, int]) -> None:
        raise ValueError(f"not mine: {state}")


def test_a_refusal_is_no_death(begin: Begin) -> None:
    """State that does not fit the program is an error, and never an older checkpoint."""
    run = begin()
    run.attach(thing=Refuses())
    train(run, until=12)
    for _ in range(4):
        run = begin()
        run.attach(thing=Refuses())
        with pytest.raises(StateError, match="refused its stored state"):
            run.restore()
        run.close()

    assert begin().step == 10


def test_whoever_only_looks_is_no_death(begin: Begin) -> None:
    """An evaluation restores, and takes no step."""
    train(begin(), until=12)
    for _ in range(4):
        run = begin()
        run.restore()
        run.close()

    assert begin().step == 10
    assert len(events(run, "closed")) == 4


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_by_hand_is_no_death(begin: Begin, error: type[BaseException]) -> None:
    """Whoever starts it by hand has read the exception, or pressed Ctrl+C."""
    train(begin(), until=12)
    for _ in range(4):
        with pytest.raises(error), begin() as run:
            for _ in run:
                raise error

    assert begin().step == 10


def test_a_demoted_one_is_taken_by_name_and_never_by_itself(begin: Begin) -> None:
    """It is neither the newest nor the best, no rule removes it, and a person may have it."""
    best, keep = "max:attempt_was", keep_last(1)
    first = begin(best=best)
    train(first, until=33)
    first.store.pin(30)
    for _ in range(3):
        die_restoring(begin(best=best))
    train(begin(best=best, keep=keep), until=22)

    run = begin(best=best, keep=keep)
    assert run.step == 21, "the best of the new branch"
    assert [info.step for info in demoted(run.store.path)] == [30]
    assert (run.store.path / "latest").resolve().name == "000000021"
    assert (run.store.path / "best").resolve().name == "000000021"
    train(run, until=25)  # prunes, twice
    run = begin(resume=30)
    assert run.step == 30
    assert run.resumed_from is not None
    assert run.resumed_from.path.parent.name == "demoted"
    train(run, until=32)
    assert begin().step == 30


def test_its_step_is_saved_anew(begin: Begin) -> None:
    """The training comes by again; the new checkpoint of that step has killed nobody."""
    train(begin(), until=33)
    for _ in range(3):
        die_restoring(begin())
    train(begin(), until=30)

    run = begin()
    assert run.step == 30
    assert run.resumed_from is not None
    assert run.resumed_from.attempt == 5
    die_restoring(run)
    die_restoring(begin())
    assert begin(resume="30").step == 30, "the number means the one in its place"


def test_a_damaged_one_between_is_set_aside(begin: Begin) -> None:
    """Poison and damage are told apart, and both are survived."""
    run = train(begin(), until=33)
    for _ in range(3):
        die_restoring(begin())
    rotten = next((run.path / "checkpoints" / "000000020").glob("*.safetensors"))
    rotten.chmod(0o644)
    rotten.write_bytes(rotten.read_bytes()[:-1])

    run = begin()
    assert run.step == 10
    train(run, until=11)
    assert [row["step"] for row in events(run, "quarantined")] == [20]
    assert [row["step"] for row in events(run, "demoted")] == [30]


def test_the_last_one_demoted_is_no_fresh_start(begin: Begin) -> None:
    """A past that could be looked at is not thrown away unseen."""
    run = train(begin(), until=13)
    for _ in range(3):
        die_restoring(begin())
    train(begin(), until=2)
    for path in (run.path / "checkpoints").glob("0*"):
        path.rename(run.path / path.name)

    with pytest.raises(NotFoundError, match="lets an attempt live"):
        begin()
    assert begin(resume="never").step == 0


def test_people_are_told(begin: Begin) -> None:
    """`ls`, `status` and `show` name it, in words and in JSON."""
    run = train(begin(), until=33)
    for _ in range(3):
        die_restoring(begin())
    train(begin(), until=22)
    call = CliRunner()

    for words in (["ls"], ["status"], ["show"]):
        text = call.invoke(cli, [*words, str(run.path)]).output
        line = next(each for each in text.splitlines() if "emoted" in each)
        assert " 30 (killed whoever restored it; taken only by name: --from STEP)" in line
        found = json.loads(call.invoke(cli, [*words, str(run.path), "--json"]).output)
        assert [each["step"] for each in found["run"]["demoted"]] == [30]
    assert [info.step for info in status(run.path).demoted] == [30]
    note = json.loads((run.path / "checkpoints/demoted/000000030.reason.json").read_text())
    assert note["reason"] == "the attempts 2, 3, 4 restored it, and died before a step had ended"


# ---- the rule -------------------------------------------------------------------------------

DIED = ("restoring",)
CRASHED = ("restoring", "ended", "crashed")
RAISED = ("restoring", "failed", "ended", "crashed")
ASKED = ("restoring", "ended")
LIVED = ("restoring", "stepped")


def journal(*attempts: tuple[str, ...], path: str = "000000030") -> list[Row]:
    """Return a journal in which these attempts told these events."""
    return [
        {"event": event, "attempt": number}
        | ({"path": path, "step": 30} if event in {"restoring", "saved"} else {})
        for number, names in enumerate(attempts, start=1)
        for event in ("attempt_started", *names)
    ]


@pytest.mark.parametrize(
    ("attempts", "killed"),
    [
        ((DIED, DIED, DIED), (1, 2, 3)),
        ((DIED, DIED), None),
        ((CRASHED, DIED, CRASHED, DIED), (1, 2, 3, 4)),
        ((RAISED, RAISED, RAISED), (1, 2, 3)),
        ((("restoring", "failed"),) * 3, None),
        ((("restoring", "closed"),) * 3, None),
        ((("restoring", "stopped"),) * 3, None),
        ((("restoring", "finished"),) * 3, None),
        ((ASKED, ASKED, ASKED), None),
        ((DIED, DIED, ASKED, DIED), (1, 2, 4)),
        ((DIED, DIED, LIVED, DIED), None),
        ((DIED, DIED, LIVED, DIED, DIED, DIED), (4, 5, 6)),
        (((*LIVED, "crashed"),) * 5, None),
        ((DIED, DIED, DIED, ("gave_up",)), None),
        ((DIED, DIED, ("saved",), DIED), None),
        (((),) * 5, None),
        ((("resumed",),) * 5, None),
    ],
)
def test_what_counts_as_a_death(
    attempts: tuple[tuple[str, ...], ...], killed: tuple[int, ...] | None
) -> None:
    """Killed while it restored, or crashed then under a supervisor, three times in a row."""
    assert deadly(journal(*attempts)) == ({"000000030": killed} if killed else {})


def test_each_checkpoint_counts_for_itself() -> None:
    """Deaths of another one neither add nor clear."""
    rows = journal(DIED, DIED) + journal(LIVED, path="000000020") + journal(DIED, DIED)
    for number, row in enumerate(rows):
        row["attempt"] = number // 3 + 1 if row["event"] != "attempt_started" else 99
    ours = [row for row in rows if row["event"] == "restoring"]
    for number, row in enumerate(ours, start=1):
        row["attempt"] = number
    rows = [*ours, {"event": "stepped", "attempt": 3}]

    assert deadly(rows) == {"000000030": (1, 2, 4, 5)}


@pytest.mark.parametrize("odd", [None, "x", [], {}, -1, 2**80, True])
def test_odd_journals_are_read(odd: Any) -> None:
    """Files may hold anything."""
    rows = [{"event": "restoring", "attempt": odd, "path": odd}, {"event": odd, "attempt": odd}]
    assert deadly(rows * 3) == {} or odd == -1


# ---- with real processes --------------------------------------------------------------------

TRAINER = """
import os
from evertrain import Run, every, keep_all

class Simulator:
    value = 0
    def state_dict(self):
        return {"value": self.value}
    def load_state_dict(self, state):
        if state["value"] == 30 and os.environ["EVERTRAIN_ATTEMPT"] < "6":
            %s
        self.value = state["value"]

simulator = Simulator()
with Run("elsewhere", total=50, save=every(steps=10), keep=keep_all()) as run:
    run.attach(simulator=simulator)
    for step in run:
        simulator.value += 1
        run.log(value=simulator.value)
        if step == 35 and run.attempt == 1:
            run.wait()
            os._exit(9)
"""


@pytest.mark.slow
@pytest.mark.parametrize("death", ["os.abort()", "os.kill(os.getpid(), 9)"])
def test_a_supervised_training_gets_past_a_poison(stage: Stage, death: str) -> None:
    """Three restores that kill, then the older one; what is shown says so, and it ends well."""
    stage.script(TRAINER % death)
    play = stage.run("--delay", "0", "--", sys.executable, "train.py")

    assert play.end(60) == 0, play.text
    assert play.text.count("Found checkpoint: runs/train/checkpoints/000000030") == 3
    assert play.text.count("Found checkpoint: runs/train/checkpoints/000000020") == 1
    assert [row["step"] for row in play.events("demoted")] == [30]
    assert [(row["attempt"], row["step"]) for row in play.events("resumed")] == [(1, 0), (5, 20)]
    crashes = [json.loads(play.run_dir.crash(number).read_text()) for number in (2, 3, 4)]
    assert [each["resumed_from"] for each in crashes] == ["000000030"] * 3
    assert [each["step_from"] for each in crashes] == [30] * 3
    run = Run(play.run_dir.path, total=50)
    assert [row["value"] for row in run.metrics] == list(range(1, 51))
    run.close()


@pytest.mark.slow
def test_an_exception_under_a_supervisor_counts(stage: Stage) -> None:
    """Nobody is there to read it: NaN in a model kills a night as surely as a segfault."""
    stage.script(
        """
        from evertrain import Run, every, keep_all
        with Run("elsewhere", total=5, save=every(steps=1), keep=keep_all()) as run:
            run.state.x = 0
            for step in run:
                if run.state.x == 3 and run.attempt < 5:
                    raise ValueError("Expected parameter loc to be real")
                run.state.x += 1
        """
    )
    play = stage.run("--delay", "0", "--", sys.executable, "train.py")

    assert play.end(60) == 0, play.text
    # Attempt 1 came to it by itself; 2, 3 and 4 restored it.
    assert [row["attempts"] for row in play.events("demoted")] == [[2, 3, 4]]
    assert [row["step"] for row in play.events("resumed") if row["attempt"] == 5] == [2]


@pytest.mark.slow
def test_a_machine_that_kills_everybody_loses_nothing(stage: Stage) -> None:
    """The supervisor gives up at its limit; whoever mends the machine goes on from the newest."""
    stage.script(
        """
        import os
        from evertrain import Run, every, keep_all
        with Run("elsewhere", total=6, save=every(steps=1), keep=keep_all()) as run:
            for step in run:
                if step > 1 and run.attempt > 1 and not os.path.exists("mended"):
                    os._exit(9)
                if step == 4 and run.attempt == 1:
                    run.wait()
                    os._exit(9)
        """
    )
    words = ("--delay", "0", "--max-crashes", "9", "--", sys.executable, "train.py")
    play = stage.run(*words)
    assert play.end(90) == 20, play.text
    tried = [row["step"] for row in play.events("restoring")]
    assert tried == [3, 3, 3, 2, 2, 2, 1, 1]
    (stage.folder / "mended").touch()

    again = stage.run(*words)
    assert again.end(60) == 0, again.text
    assert [row["step"] for row in again.events("restoring")][8:] == [3]
    assert again.events("demoted") == []


def test_an_error_in_the_first_step_moves_nothing(begin: Begin) -> None:
    """Its emergency checkpoint is no proof that the older one is better."""
    train(begin(), until=33)
    for _ in range(3):
        die_restoring(begin())
    with pytest.raises(RuntimeError), begin() as run:
        assert run.step == 20
        for _ in run:
            raise RuntimeError

    assert places(run) == [f"{step:09}" for step in (1, 10, 20, 30)]
    assert not events(run, "disowned", "demoted")
