"""`python -m evertrain.recipes NAME`: one training in this process, not supervised.

Layer: recipes. `evertrain train` runs this under its supervisor.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from evertrain import recipes
from evertrain.core.errors import EXIT_CONFIG, EvertrainError, NotFoundError, UsageError
from evertrain.core.refusal import refusing
from evertrain.recipes.flags import FlagCommand
from evertrain.recipes.options import run_option, settings_options, settle


@click.command(cls=FlagCommand)
@click.argument("name")
@settings_options
@run_option
def main(
    *, name: str, file: Path | None, preset: str, overrides: tuple[str, ...], run_dir: str | None
) -> None:
    """Train the recipe NAME in this process."""
    recipe = recipes.find(name)
    with refusing(file or Path(name)):
        found = settle(recipe, file=file, preset=preset, overrides=overrides)
    recipe.train(found.config, run_dir or os.environ.get("EVERTRAIN_RUN") or f"runs/{name}")


def begin(words: Sequence[str] | None = None) -> None:
    """Run `main`, and end with the exit status that says whether another start can help.

    Only what this package refuses is told in three lines. An `OSError` of the training is a
    crash like any other: its traceback is told, and the supervisor starts it again.

    Args:
        words: Its arguments; None takes those of this process.
    """
    try:
        main(words)
    except EvertrainError as error:
        print(f"evertrain: {error}", file=sys.stderr)
        sys.exit(_status(error))


def _status(error: EvertrainError) -> int:
    """Return 78 for what the same words would meet again: a supervisor then starts no other."""
    return EXIT_CONFIG if isinstance(error, (NotFoundError, UsageError)) else error.exit_code


if __name__ == "__main__":
    begin()
