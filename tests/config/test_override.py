"""Settings from the command line and the environment."""

import pytest
from pydantic import BaseModel, ConfigDict

from evertrain.config.layer import Layer
from evertrain.config.override import RESERVED, apply, from_environment, from_options


class Ppo(BaseModel):
    """A table."""

    model_config = ConfigDict(extra="forbid")
    gamma: float = 0.9
    maxGrad: float = 1.0  # noqa: N815


class Model(BaseModel):
    """A configuration."""

    model_config = ConfigDict(extra="forbid")
    ppo: Ppo = Ppo()
    envs: int = 4
    run: str = ""


def test_options_are_split_at_the_first_equals_sign() -> None:
    """The value may contain any number of them."""
    found, faults = from_options(["a.b=x=y"])

    assert faults == []
    assert (found[0].loc, found[0].text) == (("a", "b"), "x=y")
    assert found[0].origin.where == "-o a.b=x=y"


@pytest.mark.parametrize("option", ["gamma", "=1", "a..b=1", ".a=1"])
def test_an_option_of_another_form_is_a_fault(option: str) -> None:
    """The fault shows the option and the form it should have."""
    found, faults = from_options([option])

    assert found == []
    assert str(faults[0]).startswith(f"-o {option}: is not of the form key=value")


def test_the_last_of_two_alike_wins() -> None:
    """As everywhere on a command line."""
    layer = Layer()
    found, _ = from_options(["a=1", "a=2"])

    assert apply(layer, found) == []
    assert layer.values == {"a": 2}


def test_a_value_that_is_not_yaml_is_a_fault() -> None:
    """The fault names the option, the key and the value."""
    found, _ = from_options(["ppo.gamma=[1"])
    faults = apply(Layer(), found)

    assert faults[0].where == "-o ppo.gamma=[1"
    assert faults[0].key == "ppo.gamma"
    assert "'[1'" in faults[0].problem


def test_variables_follow_the_scheme() -> None:
    """Double underscores separate keys, case does not matter, the model's spelling is used."""
    environ = {"EVERTRAIN_PPO__MAXGRAD": "2", "EVERTRAIN_ENVS": "8", "PATH": "/bin"}
    found, faults = from_environment(environ, Model)

    assert faults == []
    assert [each.loc for each in found] == [("envs",), ("ppo", "maxGrad")]
    assert found[1].origin.where == "EVERTRAIN_PPO__MAXGRAD"


def test_reserved_names_are_never_settings() -> None:
    """The supervisor's variables mean nothing here, even where a key has their name."""
    environ = {f"EVERTRAIN_{name}": "x" for name in RESERVED}

    assert "RUN" in RESERVED
    assert from_environment(environ, Model) == ([], [])


def test_other_variables_are_left_alone() -> None:
    """A name without `__` that is no key, nor looks like one, is somebody else's."""
    assert from_environment({"EVERTRAIN_ZZZ": "1", "EVERTRAIN_": "1"}, Model) == ([], [])


def test_a_name_that_looks_like_a_key_is_a_fault() -> None:
    """A typo in a variable is not silently ignored."""
    _, faults = from_environment({"EVERTRAIN_ENV": "8"}, Model)

    assert faults[0].suggestion == "EVERTRAIN_ENVS"


def test_an_unknown_table_is_passed_on() -> None:
    """With `__` it must be a setting: the model says that it does not know it."""
    found, faults = from_environment({"EVERTRAIN_PPPO__GAMMA": "1"}, Model)

    assert faults == []
    assert [each.loc for each in found] == [("pppo", "gamma")]
