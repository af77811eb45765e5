"""Settings from anybody: every fault is told with its place, none runs, hangs or crashes."""

import os
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from evertrain.config import examine
from evertrain.config.document import parse_document, parse_value
from evertrain.core.errors import UsageError
from evertrain.run import opening
from hostile.configs import BYTES, YAML
from hostile.doors import ended, told, train
from hostile.witness import harmless

ENCODED = {name: lambda text=text: text.encode() for name, text in YAML.items()} | BYTES


class Inner(BaseModel):
    """A table of settings."""

    model_config = ConfigDict(extra="forbid")
    lr: float = 0.1
    sizes: list[int] = [1]


class Settings(BaseModel):
    """Settings of a program."""

    model_config = ConfigDict(extra="forbid")
    seed: int = 1
    a: Inner = Inner()


@pytest.mark.parametrize("name", ENCODED)
def test_a_hostile_file(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Settings, or faults that a person can read; a recipe's command says the same."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "train.yaml"
    path.write_bytes(ENCODED[name]())
    with harmless(outside):
        found, faults = examine(Settings, file=path)
        code = ended(("config", "check", str(path), "--recipe", "structure"))
    assert (found is None) == bool(faults)
    assert 0 <= len(faults) <= 102
    assert all(len(str(each)) < 1_000_000 for each in faults)
    assert code in {0, 78}


@pytest.mark.parametrize("name", YAML)
def test_a_hostile_setting(outside: Path, name: str) -> None:
    """The same on the command line and in the environment."""
    text = YAML[name].replace("seed: ", "")
    with harmless(outside):
        found, faults = examine(Settings, overrides=[f"seed={text}", f"a.lr={text}"])
        more, others = examine(Settings, environ={"EVERTRAIN_SEED": text, "EVERTRAIN_A__LR": text})
    assert (found is None) == bool(faults)
    assert (more is None) == bool(others)


@pytest.mark.parametrize(
    "variable",
    ["EVERTRAIN_" + "A__" * 5_000 + "B", "EVERTRAIN_A____B", "EVERTRAIN___", "EVERTRAIN_A__LR__X"],
    ids=lambda text: text[:24],
)
def test_a_hostile_variable(variable: str) -> None:
    """A name that nests for ever is a fault, or no setting."""
    found, faults = examine(Settings, environ={variable: "1"})
    assert (found is None) == bool(faults)


def test_a_hostile_option() -> None:
    """Five thousand dots."""
    for option in (
        "a" + ".a" * 5_000 + "=1",
        "=",
        "",
        "a.lr",
        "a..b=1",
        "a.sizes.9=1",
        "=" * 9_000,
    ):
        assert examine(Settings, overrides=[option])[1]


@pytest.mark.parametrize("text", ["[" * 5_000, "!!int abc", "2001-99-99", "9" * 10_000])
def test_a_value_that_is_none(text: str) -> None:
    """One kind of error, whatever the parser meets."""
    with pytest.raises(ValueError, match=r"\w"):
        parse_value(text)


def test_what_a_table_sets_itself_wins_over_what_it_takes() -> None:
    """Also where the table that it takes from takes from another one."""
    text = "base: &b {x: 1, y: 1}\nmid: &m {<<: *b, x: 2}\ntop: {<<: *m}\n"
    layer, faults = parse_document(text, "t.yaml")
    assert faults == []
    assert layer.values["top"] == {"x": 2, "y": 1}


@pytest.mark.parametrize("text", ["x", "-1", "1e3", "9" * 5_000, "\u0663", "1.5", str(2**62), " 1"])
def test_an_attempt_that_is_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """What the supervisor's variables hold is looked at before anything is written."""
    monkeypatch.setenv(opening.ENV_ATTEMPT, text)
    assert isinstance(told("Run", lambda: train(tmp_path / "run", 1)), UsageError)
    assert not (tmp_path / "run" / "journal.jsonl").exists()


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "[1]", '"x"', "\udcff", '["' + "x" * 10_000])
def test_a_command_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Then the run remembers how the process itself was started."""
    monkeypatch.setattr(os, "environ", {**os.environ, opening.ENV_COMMAND: text})
    assert train(tmp_path / "run", 1).step == 1


@pytest.mark.parametrize("text", ["\u00b2", "9" * 40, "stage:", "nowhere/at/all", "\x1b[2J", "-5"])
def test_a_place_to_resume_from_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """It insists on something that is not there, and nothing is begun for it."""
    monkeypatch.setenv(opening.ENV_RESUME, text)
    assert told("Run", lambda: train(tmp_path / "run", 1)) is not None
