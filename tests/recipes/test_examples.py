"""The examples that compare several trainings."""

import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evertrain import recipes
from evertrain.core.rundir import RunDir, new_identity, write_identity

EXAMPLES = Path(__file__).parents[2] / "examples"


def run_of(name: str, path: Path, **settings: Any) -> str:
    """Return the path of a run of that recipe which has only begun."""
    recipe = recipes.find(name)
    config = recipe.config_model.model_validate({**recipe.preset_named("small").values, **settings})
    given = replace(new_identity(), config=config.model_dump(mode="json"))
    write_identity(RunDir(path), given)
    return str(path)


@pytest.mark.parametrize(
    ("name", "settings", "problem"),
    [
        ("atc", {"simulator": {"traffic": 3}}, "on another simulator than"),
        ("structure", {"building": {"storeys": 9}}, "another building, or other stages, than"),
    ],
)
def test_trainings_of_other_tasks_are_not_compared(
    name: str,
    settings: dict[str, Any],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All would be examined on the first one's, whatever they have learned."""
    runs = [run_of(name, tmp_path / "one"), run_of(name, tmp_path / "two", **settings)]
    monkeypatch.setattr("sys.argv", ["seeds", *runs])

    with pytest.raises(SystemExit):
        runpy.run_path(str(EXAMPLES / f"{name}_seeds.py"), run_name="__main__")

    assert problem in capsys.readouterr().err


def test_what_may_differ_between_trainings_that_are_compared() -> None:
    """The seed, the learner, and how long it trained: they change no building and no stage."""
    task = runpy.run_path(str(EXAMPLES / "structure_seeds.py"))["task"]
    recipe = recipes.find("structure")
    small, default = (
        recipe.config_model.model_validate(recipe.preset_named(name).values)
        for name in ("small", "default")
    )

    assert small != default
    assert task(small) == task(default)


def test_one_seed_has_no_error() -> None:
    """Its row says what it earned, and not that this is certain."""
    table = runpy.run_path(str(EXAMPLES / "trading_seeds.py"))["table"]
    found = {
        (part, policy): [5.0]
        for part in ("train", "validation", "test")
        for policy in ("buy and hold", "untrained", "last", "best")
    }

    assert table(found).splitlines()[-1] == "| best | 5.00 | 5.00 | 5.00 |"
