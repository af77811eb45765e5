"""`python -m evertrain.recipes NAME`: one training in this process, not supervised.

Layer: recipes. `evertrain train` runs this under its supervisor.
"""

import os
import sys
from pathlib import Path

import click

from evertrain import recipes
from evertrain.core.errors import EvertrainError
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
    found = settle(recipe, file=file, preset=preset, overrides=overrides)
    recipe.train(found.config, run_dir or os.environ.get("EVERTRAIN_RUN") or f"runs/{name}")


if __name__ == "__main__":
    try:
        main()
    except EvertrainError as error:
        print(f"evertrain: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
