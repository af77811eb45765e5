"""Did you mean: the right key, found through any nesting."""

from pydantic import BaseModel, Field

from evertrain.config.suggest import keys_at, nearest, suggest


class Stage(BaseModel):
    """An item of a list."""

    steps: int = 0
    force: float | None = None


class Ppo(BaseModel):
    """A table."""

    learning_rate: float = 0.0
    batch: int = Field(0, alias="batch_size")


class Model(BaseModel):
    """A configuration."""

    ppo: Ppo | None = None
    stages: tuple[Stage, ...] = ()
    by_name: dict[str, Stage] = Field(default_factory=dict)


def test_nearest_ignores_case() -> None:
    """The spelling that is returned is the known one."""
    assert nearest("GAMA", ["gamma", "Lambda"]) == "gamma"
    assert nearest("xyz", ["gamma"]) is None


def test_keys_are_found_through_options_and_lists() -> None:
    """Optional tables and items of lists have the keys of their models."""
    assert keys_at(Model, ()) == ["ppo", "stages", "by_name"]
    assert keys_at(Model, ("ppo",)) == ["learning_rate", "batch_size"]
    assert keys_at(Model, ("stages", 0)) == ["steps", "force"]
    assert keys_at(Model, ("stages", "1")) == ["steps", "force"]
    assert keys_at(Model, ("nowhere",)) == []


def test_a_key_of_the_same_table_comes_first() -> None:
    """A typo is answered with its neighbor."""
    assert suggest(Model, ("ppo", "learing_rate")) == "learning_rate"
    assert suggest(Model, ("stages", 0, "stepz")) == "steps"


def test_a_key_of_another_table_is_found() -> None:
    """A key at the wrong level is answered with its full name."""
    assert suggest(Model, ("learning_rate",)) == "ppo.learning_rate"
    assert suggest(Model, ("qqqq",)) is None
