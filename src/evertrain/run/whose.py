"""Whose run a directory holds: a recipe's, or that of a program of its own.

Layer: run. Imports core only.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from evertrain.core.errors import ConfigError, CorruptError
from evertrain.core.journal import Journal
from evertrain.core.rundir import Identity, RunDir, read_identity

RECIPES: Final = "evertrain.recipes"  # python -m this starts one


def recipe_in(command: Sequence[str]) -> str | None:
    """Return the recipe that a command line starts, or None: then it may start anything."""
    for flag, module, name in zip(command, command[1:], command[2:], strict=False):
        if (flag, module) == ("-m", RECIPES) and not name.startswith("-"):
            return name
    return None


def check_recipe(run_dir: RunDir, recipe: str | None, command: Sequence[str]) -> None:
    """Refuse to train where another training has its run. Touches nothing.

    Args:
        run_dir: The run, old or new.
        recipe: What is to be trained there; None is a program of its own.
        command: The command line that starts it.

    Raises:
        ConfigError: The run is another recipe's, or a recipe's and a program's of its own.
        FormatError: It was written by a newer version.
    """
    known = None
    with suppress(CorruptError):  # the start makes it anew, or refuses the directory
        known = read_identity(run_dir)
    if known is None or known.recipe == recipe or _is_first(run_dir, known, recipe, command):
        return
    raise ConfigError(
        f"{run_dir.path} is a run of {_called(known.recipe)}, not of {_called(recipe)}.",
        "neither can go on from the checkpoints of the other, and the run would no longer say"
        " what made it. Nothing was touched.",
        f"Choose another directory ({_another(recipe)}), or go on with that run: {_again(known)}"
        f" {run_dir.path}",
    )


def _is_first(run_dir: RunDir, known: Identity, recipe: str | None, command: Sequence[str]) -> bool:
    """Say whether the supervisor wrote `run.json` for this training, which was too slow for that.

    It does so for a command that ends, or takes long, before it opens a `Run`. Its words may
    have changed since: a recipe that lacked a package comes again with other settings.
    """
    if known.recipe is not None:
        return False
    is_same = known.command == list(command) or recipe_in(known.command) == recipe
    return is_same and Journal(run_dir.journal).last("attempt_started") is None


def _called(recipe: str | None) -> str:
    return "a program of its own" if recipe is None else f"the recipe {recipe!r:.60}"


def _another(recipe: str | None) -> str:
    return "--run DIR" if recipe is not None else 'Run("DIR"), or --run DIR'


def _again(known: Identity) -> str:
    """Return the words before the run's path that go on with it."""
    if known.recipe is not None and recipe_in(known.command) == known.recipe:
        return f"evertrain train {known.recipe} --run"
    return "evertrain resume"
