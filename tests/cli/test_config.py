"""`config check` and `config show`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evertrain import recipes

Ask = Callable[..., dict[str, Any]]
Invoke = Callable[..., Any]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the variables of whoever runs the tests."""
    monkeypatch.delenv("EVERTRAIN_PPO__GAMMA", raising=False)


def test_a_good_file(place: Path, invoke: Invoke) -> None:
    """It says which recipe it took the file for."""
    (place / "my.yaml").write_text("ppo:\n  gamma: 0.97\ndamper: {}\n")

    text = invoke("config", "check", "my.yaml").output
    assert text == "ok: my.yaml is a configuration of the recipe structure\n"


def test_a_shipped_preset_is_right(invoke: Invoke) -> None:
    """What ships has no fault, whatever its name."""
    for name in recipes.names():
        invoke("config", "check", name)


def test_all_faults_with_their_places(place: Path, invoke: Invoke, ask: Ask) -> None:
    """One line each on stdout, exit status 78; in JSON each has its fields."""
    (place / "my.yaml").write_text("ppo:\n  gama: 0.97\n  gamma: 7\ndamper: {}\n")

    lines = invoke("config", "check", "my.yaml", "-o", "envs=x", code=78).output.splitlines()
    assert lines[0] == "my.yaml:2:3: ppo.gama: unknown key; did you mean 'gamma'?"
    assert lines[1].startswith("my.yaml:3:3: ppo.gamma: should be less than or equal to 1")
    assert lines[2].startswith("-o envs=x: envs: ")
    found = ask("config", "check", "my.yaml", "--recipe", "structure", code=78)
    assert (found["ok"], found["recipe"]) == (False, "structure")
    assert found["faults"][0] == {
        "where": "my.yaml:2:3",
        "line": 2,
        "column": 3,
        "key": "ppo.gama",
        "problem": "unknown key",
        "suggestion": "gamma",
    }


def test_a_file_that_is_not_there(invoke: Invoke) -> None:
    """It is a fault of the configuration."""
    assert "there is no such file" in invoke("config", "check", "no.yaml", code=78).output


def test_an_ambiguous_file(place: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where two recipes fit alike, it asks."""
    known = recipes.find("structure")
    monkeypatch.setattr(recipes, "_RECIPES", (known, replace(known, name="twin")))
    (place / "my.yaml").write_text("envs: 4\n")

    assert "--recipe structure" in invoke("config", "check", "my.yaml", code=2).stderr
    invoke("config", "check", "my.yaml", "--recipe", "twin")


def test_show_can_be_read_back(place: Path, invoke: Invoke) -> None:
    """What `show` prints is a file that `check` accepts, and that shows the same."""
    text = invoke("config", "show", "structure", "-o", "ppo.learning_rate=1e-9").output
    (place / "full.yaml").write_text(text)

    invoke("config", "check", "full.yaml", "--recipe", "structure")
    assert invoke("config", "show", "structure", "--config", "full.yaml").output == text


def test_origins(place: Path, invoke: Invoke, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value says who set it."""
    monkeypatch.setenv("EVERTRAIN_PPO__GAMMA", "0.5")
    (place / "my.yaml").write_text("envs: 8\n")
    args = ("config", "show", "structure", "--config", "my.yaml", "-o", "ppo.n_epochs=3")
    rows = [line.split() for line in invoke(*args, "--origin").output.splitlines()]
    shown = {row[0]: row[1:] for row in rows}

    assert shown["ppo.gamma"] == ["0.5", "EVERTRAIN_PPO__GAMMA"]
    assert shown["envs"] == ["8", "my.yaml:1:1"]
    assert shown["ppo.n_epochs"] == ["3", "-o", "ppo.n_epochs=3"]
    assert shown["normalize_clip"] == ["10.0", "default"]
    found = ask(*args, "--origin")
    assert found["origins"]["envs"] == "my.yaml:1:1"
    assert found["config"]["envs"] == 8
    assert "origins" not in ask(*args)


def test_show_refuses_faults(invoke: Invoke) -> None:
    """What cannot work is not shown as if it could."""
    result = invoke("config", "show", "structure", "-o", "envz=1", code=78)

    assert "did you mean 'envs'?" in result.stderr


def test_an_unknown_recipe(invoke: Invoke) -> None:
    """The nearest one is named."""
    assert "Did you mean 'structure'?" in invoke("config", "show", "structur", code=2).stderr
    assert "evertrain recipes" in invoke("config", "show", "zzz", code=2).stderr


def test_recipes(invoke: Invoke, ask: Ask) -> None:
    """All of them, each with what it trains."""
    assert "structure" in invoke("recipes").output
    assert all(each.keys() == {"name", "summary"} for each in ask("recipes")["recipes"])


def test_presets(invoke: Invoke) -> None:
    """Any preset that ships can be shown; another one is a usage error."""
    small = invoke("config", "show", "structure", "--preset", "small").output

    assert small != invoke("config", "show", "structure").output
    assert "default, small" in invoke("config", "show", "structure", "--preset", "x", code=2).stderr
