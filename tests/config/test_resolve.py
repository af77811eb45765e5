"""The effective configuration: precedence, origins, and all faults at once."""

from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator

from evertrain.config import examine, resolve
from evertrain.config.resolve import Preset, leaves
from evertrain.core.errors import ConfigError


class Strict(BaseModel):
    """A model that refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Ppo(Strict):
    """A table."""

    gamma: float = Field(default=0.99, gt=0, le=1)
    learning_rate: float = 3e-4
    net: tuple[int, ...] = (64, 64)


class Stage(Strict):
    """An item of a list."""

    name: str
    steps: int = Field(gt=0)
    ppo: Ppo | None = None


class Model(Strict):
    """A configuration."""

    ppo: Ppo = Ppo()
    stages: tuple[Stage, ...] = Field(default=(), max_length=3)
    envs: int = 4
    batch: int | str = 1

    @model_validator(mode="after")
    def _even(self) -> Self:
        if self.envs % 2:
            raise ValueError("envs must be even")
        return self


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "t.yaml"
    path.write_text(text)
    return path


def test_precedence(tmp_path: Path) -> None:
    """Command line over environment over file over preset over default."""
    file = _file(tmp_path, "ppo: {gamma: 0.3, learning_rate: 0.3}\nenvs: 6\n")
    preset = Preset("small", {"ppo": {"gamma": 0.2, "net": [1]}, "envs": 2, "batch": 2})
    environ = {"EVERTRAIN_PPO__GAMMA": "0.4", "EVERTRAIN_PPO__LEARNING_RATE": "0.4"}

    found = resolve(Model, file=file, overrides=["ppo.gamma=0.5"], environ=environ, preset=preset)

    assert found.config.ppo.gamma == 0.5
    assert found.config.ppo.learning_rate == 0.4
    assert found.config.envs == 6
    assert found.config.ppo.net == (1,)
    assert {key: str(origin) for key, origin in found.origins.items()} == {
        "ppo.gamma": "-o ppo.gamma=0.5",
        "ppo.learning_rate": "EVERTRAIN_PPO__LEARNING_RATE",
        "ppo.net": "preset small",
        "stages": "default",
        "envs": f"{file}:2:1",
        "batch": "preset small",
    }


def test_nothing_given_is_all_defaults() -> None:
    """Without any source the model's own values hold."""
    found = resolve(Model)

    assert found.config == Model()
    assert {origin.source for origin in found.origins.values()} == {"default"}


def test_the_process_environment_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the given mapping counts: a library call has no hidden inputs."""
    monkeypatch.setenv("EVERTRAIN_ENVS", "8")

    assert resolve(Model).config.envs == 4
    assert resolve(Model, environ={"EVERTRAIN_ENVS": "8"}).config.envs == 8


def test_all_faults_at_once(tmp_path: Path) -> None:
    """One error lists every fault, in the order of the file, each with its place."""
    text = (
        "ppo:\n  gama: 0.9\n  learning_rate: fast\n"
        "stages:\n  - {name: a, steps: 0}\n  - {steps: 1}\n"
        "envs: 2\nenvs: 3\nlearning_rate: 1\n"
    )
    file = _file(tmp_path, text)

    with pytest.raises(ConfigError) as caught:
        resolve(
            Model,
            file=file,
            overrides=["ppo.gamma=2", "envz=1", "nonsense"],
            environ={"EVERTRAIN_STAGES__0__NAME": "[1]"},
        )

    unparsed = "unable to parse string as a number, found 'fast'"
    assert caught.value.exit_code == 78
    assert caught.value.what.splitlines() == [
        f"{file} has 10 faults:",
        f"  {file}:2:3: ppo.gama: unknown key; did you mean 'gamma'?",
        f"  {file}:3:3: ppo.learning_rate: should be a valid number, {unparsed}",
        f"  {file}:5:15: stages.0.steps: should be greater than 0, found 0",
        f"  {file}:6:5: stages.1.name: is missing",
        f"  {file}:8:1: envs: repeated; it was set in line 7 already",
        f"  {file}:9:1: learning_rate: unknown key; did you mean 'ppo.learning_rate'?",
        "  -o nonsense: is not of the form key=value, as in -o ppo.gamma=0.99",
        "  -o ppo.gamma=2: ppo.gamma: should be less than or equal to 1, found 2",
        "  EVERTRAIN_STAGES__0__NAME: stages.0.name: should be a valid string",
        "  -o envz=1: envz: unknown key; did you mean 'envs'?",
    ]


def test_a_syntax_fault_stands_alone(tmp_path: Path) -> None:
    """When the file cannot be read at all, no other fault distracts from it."""
    _, faults = examine(Model, file=_file(tmp_path, "ppo: [\n"), overrides=["envz=1"])

    assert len(faults) == 1
    assert "not YAML" in faults[0].problem


def test_a_rule_of_the_whole_model_names_the_file(tmp_path: Path) -> None:
    """A fault of several keys together has no line, but a file."""
    file = _file(tmp_path, "envs: 3\n")
    _, faults = examine(Model, file=file)

    assert [str(each) for each in faults] == [f"{file}: envs must be even"]


def test_names_of_types_are_not_keys() -> None:
    """What pydantic adds for the members of a union is not shown as a key."""
    _, faults = examine(Model, overrides=["batch=[]"])

    assert {each.key for each in faults} == {"batch"}


def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    """It exits with 78 like any other fault of the configuration."""
    with pytest.raises(ConfigError, match="there is no such file"):
        resolve(Model, file=tmp_path / "no.yaml")


def test_one_fault_is_counted_as_one() -> None:
    """The sentence is right for one, too."""
    with pytest.raises(ConfigError, match="the configuration has 1 fault:"):
        resolve(Model, overrides=["envz=1"])


def test_a_short_list_is_not_blamed_for_its_items() -> None:
    """Items at fault do not make a second fault "too few items"."""

    class Needs(Strict):
        stages: tuple[Stage, ...] = Field(min_length=1)

    _, faults = examine(Needs, preset=Preset("p", {"stages": [{"name": "a"}]}))
    assert [(each.key, each.problem) for each in faults] == [("stages.0.steps", "is missing")]

    _, faults = examine(Needs, preset=Preset("p", {"stages": []}))
    assert [each.key for each in faults] == ["stages"]


def test_a_value_that_becomes_a_table_keeps_its_origin() -> None:
    """If the model turns a scalar into a table, whoever set the scalar set the table."""

    class Turned(Strict):
        ppo: Ppo

        @model_validator(mode="before")
        @classmethod
        def _widen(cls, data: dict[str, Any]) -> dict[str, Any]:
            return {"ppo": {"gamma": data["ppo"]}}

    found = resolve(Turned, overrides=["ppo=0.5"])
    assert str(found.origins["ppo.gamma"]) == "-o ppo=0.5"


def test_leaves_are_the_scalars_and_short_lists() -> None:
    """Lists of scalars are one value; lists of tables are looked into."""
    config = Model(stages=(Stage(name="a", steps=1),))

    assert dict(leaves(config)) == {
        "ppo.gamma": 0.99,
        "ppo.learning_rate": 3e-4,
        "ppo.net": [64, 64],
        "stages.0.name": "a",
        "stages.0.steps": 1,
        "stages.0.ppo": None,
        "envs": 4,
        "batch": 1,
    }


@given(
    st.lists(st.text(max_size=20), max_size=4),
    st.dictionaries(
        st.sampled_from(["EVERTRAIN_PPO__GAMMA", "EVERTRAIN_ENVS", "EVERTRAIN_X__Y", "HOME"]),
        st.text(max_size=12),
    ),
)
def test_whatever_is_typed_is_answered(overrides: list[str], environ: dict[str, str]) -> None:
    """Any text gives a configuration or faults, never another exception."""
    found, faults = examine(Model, overrides=overrides, environ=environ)

    assert (found is None) == bool(faults)


@given(st.text(max_size=80))
def test_whatever_a_file_holds_is_answered(text: str) -> None:
    """Any text in a file gives a configuration or faults, never another exception."""
    from evertrain.config.document import parse_document

    layer, faults = parse_document(text, "t.yaml")
    assert isinstance(layer.values, dict)
    assert all(each.where for each in faults)
