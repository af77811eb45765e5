"""`--from checkpoints/checkpoint_000050`: the run's own checkpoint, or a word on what to do."""

import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from evertrain import recipes
from evertrain.checkpoint.keep import keep_all
from evertrain.cli.main import cli
from evertrain.core.errors import CorruptError, EvertrainError, NotFoundError, UsageError
from evertrain.core.rundir import RunDir, new_identity, read_identity, write_identity
from evertrain.recipes.cardfile import encoded
from evertrain.recipes.hideseek.card import Card, place, target
from evertrain.recipes.hideseek.folder import Folder
from evertrain.recipes.owner import Owner
from evertrain.testing.clock import FakeClock
from support import FAST


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run, and in `checkpoints` what it wrote for other programs, of its iterations 10 to 30."""
    monkeypatch.chdir(tmp_path)
    path = Path("runs/hideseek")
    write_identity(RunDir(path), new_identity(recipe="hideseek"))
    fill(path, Path("checkpoints"))
    return path


def fill(run: Path, folder: Path) -> Folder:
    """Write the checkpoints of a run for other programs."""
    found = Folder(folder, keep_all(), owner(run), fs=FAST, clock=FakeClock())
    found.begin(0)
    for iteration in (10, 20, 30):
        metrics = dict.fromkeys(("reward_mean", "seeker_reward", "hider_reward"), 1.0)
        counts = {"episode_len_mean": 25.0, "episodes_completed": 3.0}
        found.add(iteration, metrics | counts, write)
    return found


def write(at: Path) -> None:
    """Write a checkpoint as RLlib does."""
    FAST.mkdir(at / "learner")
    FAST.write(at / "learner" / "state.pkl", (b"learner",))
    FAST.write(at / "algorithm_state.pkl", (b"algorithm",))


def owner(run: Path) -> Owner:
    """Return what a card says of a run."""
    identity = read_identity(RunDir(run))
    assert identity is not None
    return Owner(str(run.absolute()), identity.id)


def test_a_checkpoint_of_the_folder_is_the_runs_own(run: Path) -> None:
    """However its path is written, and by whatever name it was copied."""
    shutil.copytree("checkpoints/checkpoint_000020", "checkpoints/best_model")

    for path in ("checkpoints/checkpoint_000020", "./checkpoints/checkpoint_000020/"):
        assert place(path, run) == "20"
    assert place(str(Path("checkpoints/checkpoint_000020").absolute()), run) == "20"
    assert place("checkpoints/best_model", run) == "20"


def test_a_path_names_a_checkpoint_to_play(run: Path) -> None:
    """Where a run's name is expected, too: it is that run's, at that iteration."""
    shutil.copytree("checkpoints/checkpoint_000020", "checkpoints/best_model")

    assert target("checkpoints/best_model") == f"{run.absolute()}@20"
    for word in ("hideseek", "hideseek@20", "runs/hideseek@best"):
        assert target(word) == word
    with pytest.raises(NotFoundError, match="there is no checkpoint at"):
        target("checkpoints/checkpoint_000099")


def test_all_other_words_mean_what_they_meant(run: Path) -> None:
    """Keywords, steps, and checkpoints of runs."""
    own = run / "checkpoints" / "000000020"
    own.mkdir(parents=True)
    for word in ("auto", "best", "50", "stage:1", str(own), "elsewhere/000000020"):
        assert place(word, run) == word


def test_nothing_else_has_a_hand_in_other_recipes() -> None:
    """Neither runs of no recipe, nor those of somebody else's."""
    for recipe in (None, "mine", "structure"):
        assert recipes.place(recipe, "x/checkpoint_000020", Path("x")) == "x/checkpoint_000020"


def refused(path: str, run: Path, kind: type[EvertrainError]) -> EvertrainError:
    """Return the error that a path is refused with."""
    with pytest.raises(kind) as caught:
        place(path, run)
    return caught.value


def test_what_is_not_there_is_told_with_what_is(run: Path) -> None:
    """A number that was never saved, or is pruned."""
    error = refused("checkpoints/checkpoint_000025", run, NotFoundError)

    there = "checkpoint_000010, checkpoint_000020, checkpoint_000030"
    assert error.why == f"checkpoints has: {there}."
    assert "evertrain ls runs/hideseek" in error.fix


def test_a_checkpoint_of_no_run_is_told(run: Path) -> None:
    """One that another program wrote."""
    Path("checkpoints/checkpoint_000020/evertrain.json").unlink()
    error = refused("checkpoints/checkpoint_000020", run, UsageError)

    assert "does not say which run" in error.what
    assert "evertrain ls runs/hideseek" in error.fix


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("learner/state.pkl", b"learnes", "learner/state.pkl is not what was written"),
        ("algorithm_state.pkl", b"", "algorithm_state.pkl is not what was written"),
        ("metadata.json", None, "metadata.json is missing"),
        ("evertrain.json", b'{"run": "x"', "evertrain.json cannot be read"),
        ("evertrain.json", b'{"run": "x"}', "something is missing in it"),
        ("evertrain.json", b"[]", "something is missing in it"),
    ],
)
def test_damage_is_told(run: Path, name: str, data: bytes | None, problem: str) -> None:
    """With the command that goes on from what the run itself has."""
    path = Path("checkpoints/checkpoint_000020", name)
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    error = refused("checkpoints/checkpoint_000020", run, CorruptError)

    assert problem in error.why
    assert "evertrain " in error.fix


def test_a_card_of_the_wrong_kind_is_damage(run: Path) -> None:
    """Files may hold anything."""
    Path("checkpoints/checkpoint_000020", "evertrain.json").write_text(
        '{"run": "x", "run_id": "y", "iteration": "20", "files": {}}'
    )
    assert "'iteration'" in refused("checkpoints/checkpoint_000020", run, CorruptError).why


def test_a_checkpoint_of_another_run_is_told(run: Path) -> None:
    """With how to go on there, and how to take it over."""
    other = Path("runs/other")
    write_identity(RunDir(other), new_identity(recipe="hideseek"))
    fill(other, Path("theirs"))
    error = refused("theirs/checkpoint_000030", run, UsageError)

    assert error.what.endswith(f"written by the run {other.absolute()}.")
    assert f"evertrain resume {other.absolute()} --from 30" in error.fix
    own = f"{other.absolute()}/checkpoints/000000030"
    assert error.fix.endswith(f"--from {own}, which `evertrain train` calls --resume")
    assert "another one" in refused("theirs/checkpoint_000030", Path("runs/new"), UsageError).why


def test_a_way_that_the_run_has_left_is_told(run: Path) -> None:
    """Its number may mean another checkpoint now."""
    folder = fill(run, Path("checkpoints"))
    folder.begin(20)
    aside = "checkpoints/superseded/checkpoint_000030"
    assert "The run has it no more" in refused(aside, run, UsageError).fix

    own = run / "checkpoints" / "superseded" / "000000030-attempt1"
    own.mkdir(parents=True)
    error = refused(aside, run, UsageError)
    assert "a way that the run has left" in error.what
    assert error.fix.endswith(f"--from {own.absolute()}")


def test_a_card_comes_back(tmp_path: Path) -> None:
    """What is written is what is read."""
    write(tmp_path)
    card = Card.of(Owner("/r", "id"), 7, tmp_path)
    (tmp_path / "evertrain.json").write_bytes(encoded(card))

    assert Card.read(tmp_path / "evertrain.json") == card
    assert Card.of(Owner("/r", "id"), 7, tmp_path) == card, "it does not speak of itself"


PROGRAM = """
from evertrain import Run, every
from evertrain.checkpoint.keep import keep_all
with Run("runs/hideseek", total=3, save=every(steps=1), keep=keep_all(), recipe="hideseek") as run:
    print("from", run.resumed_from, flush=True)
    for _ in run: pass
"""


@pytest.mark.slow
def test_resume_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`evertrain resume RUN --from PATH` is `--from STEP`; one that is missing starts nothing."""
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(PROGRAM)
    invoke = CliRunner().invoke
    command = ("run", "--run", "runs/hideseek", "--", sys.executable, "train.py")
    assert invoke(cli, command).exit_code == 0
    folder = Folder(Path("checkpoints"), keep_all(), owner(Path("runs/hideseek")), fs=FAST)
    folder.begin(0)
    metrics = {"reward_mean": 1.0, "seeker_reward": 1.0, "hider_reward": 1.0}
    folder.add(2, metrics | {"episode_len_mean": 1.0, "episodes_completed": 1.0}, write)

    resume = ("resume", "hideseek", "--yes", "--from")
    done = invoke(cli, (*resume, "./checkpoints/checkpoint_000002"))
    assert "Resume from: 2 (1 checkpoints are set aside)" in done.output
    assert done.exit_code == 0
    found = sorted(Path("runs/hideseek/checkpoints/superseded").iterdir())
    assert [each.name for each in found] == ["000000003-attempt1"]

    missing = invoke(cli, (*resume, "./checkpoints/checkpoint_000001"))
    assert missing.exit_code == 10
    assert "there is no checkpoint at checkpoints/checkpoint_000001" in missing.output


@pytest.mark.parametrize("recipe", ["hideseek", "trading"])
def test_train_is_given_no_checkpoint(recipe: str) -> None:
    """People who are used to `python main.py CHECKPOINT` are told what to type."""
    refused = CliRunner().invoke(cli, ["train", recipe, "checkpoints/checkpoint_000050"])

    assert refused.exit_code == 2
    assert "--resume checkpoints/checkpoint_000050" in refused.output
    assert f"evertrain train {recipe}" in refused.output
