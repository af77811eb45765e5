"""Where a training begins, and whose run it is: told at once what cannot be, nothing touched."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evertrain import Run, Store, every
from evertrain.core.rundir import RunDir
from runs import new_run, tell, trained_run, tree_of

Invoke = Callable[..., Any]
CALLS = [
    ("resume", "trained", "--yes", "--from"),
    ("run", "--run", "trained", "--resume"),
    ("train", "structure", "--run", "trained", "--resume"),
]


@pytest.fixture(autouse=True)
def trained(place: Path) -> RunDir:
    """A run with the checkpoints 10, 20, ... 90, none of which has a score."""
    path, save = place / "trained", every(steps=10)
    with Run(path, total=90, stride=10, save=save, keep=_all, recipe="structure") as run:
        for _ in run:
            pass
    return RunDir(run.path)


def _all(found: Any) -> frozenset[int]:
    return frozenset(info.step for info in found)


def _call(words: tuple[str, ...], where: str) -> list[str]:
    command = ["--", sys.executable, "-c", "pass"] if words[0] == "run" else []
    return [*words, where, *command]


@pytest.mark.parametrize("words", CALLS, ids=lambda words: words[0])
@pytest.mark.parametrize(
    ("where", "named"),
    [
        ("99999", "the nearest ones are of the steps 50, 60, 70, 80, 90"),
        ("31", "the nearest ones are of the steps 10, 20, 30, 40, 50"),
        ("best", "has no checkpoint 'best'"),
        ("stage:7", "has no checkpoint 'stage:7'"),
        ("./nowhere", "there is no checkpoint at"),
    ],
)
def test_what_is_not_there_is_told_before_the_start(
    trained: RunDir, invoke: Invoke, words: tuple[str, ...], where: str, named: str
) -> None:
    """Exit 10 with what is there instead; the run's directory is as it was."""
    before = tree_of(trained.path)
    result = invoke(*_call(words, where), code=10)

    assert named in result.stderr
    assert tree_of(trained.path) == before


def test_must_without_any_checkpoint(trained: RunDir, invoke: Invoke) -> None:
    """A run that has lost everything has nothing to insist on."""
    for info in Store(trained.path).list():
        info.path.rename(trained.path / f"moved-{info.step}")

    assert "no checkpoint to resume from" in invoke(*_call(CALLS[0], "must"), code=10).stderr


@pytest.mark.parametrize("where", ["must", "latest", "best", "31", "stage:7", "./nowhere"])
def test_a_new_run_of_a_recipe_has_nothing_to_resume_from(
    place: Path, invoke: Invoke, where: str
) -> None:
    """No attempt is started, and there is no run afterwards."""
    invoke("train", "structure", "--run", "new", "--resume", where, code=10)

    assert not (place / "new").exists()


def test_a_word_that_means_nothing_starts_no_new_run(place: Path, invoke: Invoke) -> None:
    """It is what is typed by mistake."""
    said = invoke("train", "structure", "--run", "new", "--resume", "nope", code=2).stderr

    assert "means nothing" in said
    assert not (place / "new").exists()


RECIPES = [sys.executable, "-m", "evertrain.recipes"]
STARTS = [
    ("train", "structure", "--run", "other"),
    ("run", "--run", "other", "--", *RECIPES, "structure"),
]


@pytest.mark.parametrize("words", STARTS, ids=lambda words: words[0])
@pytest.mark.parametrize("where", [(), ("--resume", "never")], ids=["auto", "never"])
def test_a_run_of_another_recipe_is_refused(
    place: Path, invoke: Invoke, words: tuple[str, ...], where: tuple[str, ...]
) -> None:
    """Exit 78 with both ways out, and not a byte of the run is touched."""
    other = trained_run(place / "other", recipe="trading", command=[*RECIPES, "trading"])
    before = tree_of(other.path)

    said = invoke(words[0], *where, *words[1:], code=78).stderr

    assert "'trading'" in said
    assert "--run DIR" in said
    assert "evertrain train trading --run other" in said
    assert tree_of(other.path) == before


def test_a_recipe_does_not_take_the_run_of_a_program(place: Path, invoke: Invoke) -> None:
    """Nor that of a command that never opened a `Run`."""
    trained_run(place / "mine")
    new_run(place / "foreign", command=["bash", "train.sh"])
    before = tree_of(place)

    for name in ("mine", "foreign"):
        said = invoke("train", "structure", "--run", name, code=78).stderr
        assert "a program of its own" in said
        assert f"evertrain resume {name}" in said
    assert tree_of(place) == before


def test_a_run_that_was_resumed_as_another_recipe(place: Path, invoke: Invoke) -> None:
    """Whatever its journal says was started there last, it is not started again."""
    other = trained_run(place / "other", recipe="trading", command=[*RECIPES, "trading"])
    tell(other, {"event": "supervisor_started", "command": [*RECIPES, "structure"]})
    before = tree_of(place)

    assert "'trading'" in invoke("resume", "other", "--yes", code=78).stderr
    assert tree_of(place) == before


@pytest.mark.slow
def test_a_path_means_what_it_meant_where_it_was_typed(
    place: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command may live in another directory."""
    (place / "work").mkdir()
    (place / "work" / "train.py").write_text(
        "from evertrain import Run\n"
        "with Run('mine', total=2) as run:\n"
        "    print('from', run.resumed_from, flush=True)\n"
        "    for _ in run: pass\n"
    )
    monkeypatch.chdir(place / "work")
    invoke("run", "--run", "mine", "--", sys.executable, "train.py")
    monkeypatch.chdir(place)
    where = "trained/checkpoints/000000010"
    text = invoke("resume", "work/mine", "--yes", "--from", where).output

    assert str(place / where) in text
