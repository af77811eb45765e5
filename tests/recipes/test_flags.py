"""A recipe's own options are other words for settings of all recipes."""

import click
import pytest
from click.testing import CliRunner

from evertrain.audit import audit
from evertrain.cli.main import cli
from evertrain.core.errors import UsageError
from evertrain.recipes.flags import Flag, expand

FLAGS = (
    Flag("--episodes", ("-o", "episodes={}"), "Episodes to train."),
    Flag("--auto-resume", ("--resume", "auto"), "The default."),
    Flag("--verbose", ("-o", "verbose=true"), "Tell of each episode."),
)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["trading", "--episodes", "20"], ["trading", "-o", "episodes=20"]),
        (["--episodes=20", "trading"], ["-o", "episodes=20", "trading"]),
        (["trading", "--auto-resume"], ["trading", "--resume", "auto"]),
        (["trading", "-o", "seed=1"], ["trading", "-o", "seed=1"]),
        (["trading", "--", "--verbose"], ["trading", "--", "--verbose"]),
        (["--verbose", "--episodes", "-5"], ["-o", "verbose=true", "-o", "episodes=-5"]),
    ],
    ids=" ".join,
)
def test_flags_become_the_words_that_they_stand_for(words: list[str], meant: list[str]) -> None:
    """Other words pass as they are, and behind "--" all do."""
    assert expand(FLAGS, words) == meant


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--episodes"], "'--episodes' requires an argument"),
        (["--episodes", "--verbose"], "'--episodes' requires an argument"),
        (["--episodes="], "'--episodes' requires an argument"),
        (["--verbose=1"], "'--verbose' does not take a value"),
    ],
    ids=" ".join,
)
def test_a_flag_without_its_value_is_refused(words: list[str], problem: str) -> None:
    """As click itself would say it."""
    with pytest.raises(click.UsageError, match=problem):
        expand(FLAGS, words)


def test_a_flag_of_another_recipe_is_refused_with_its_name() -> None:
    """Somebody who wants the browser game from the recipe with the simulator learns where it is."""
    result = CliRunner().invoke(cli, ["train", "atc", "--game-url", "http://localhost:3003"])

    assert result.exit_code == 2
    assert "No such option '--game-url'. The recipe openscope has it." in result.output


@pytest.mark.parametrize("option", ["--run", "-o"])
def test_a_value_may_be_called_like_a_recipe(option: str) -> None:
    """The flags are those of the recipe that is trained, not of the run's name."""
    result = CliRunner().invoke(cli, ["train", option, "trading", "atc", "--timewarp", "-1"])

    assert "No such option" not in result.output


def test_an_audit_knows_the_flags_of_its_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves those of a command behind "--" to the command."""
    asked: list[list[str]] = []

    def examine(command: list[str], *_: object, **__: object) -> None:
        asked.append(command)
        raise UsageError("not here", "a test", "none")

    monkeypatch.setattr(audit, "audit", examine)

    for words in (["openscope", "--game-url", "http://here"], ["--", "./trading", "--verbose"]):
        CliRunner().invoke(cli, ["audit", *words])

    assert asked[0][-2:] == ["-o", "game.url=http://here"]
    assert asked[1] == ["./trading", "--verbose"]
