"""`python -m evertrain.recipes NAME`: one training in this process, not supervised.

Layer: recipes. `evertrain train` runs this under its supervisor.
"""

import os
import sys

import click

from evertrain import recipes
from evertrain.config import resolve
from evertrain.core.errors import EvertrainError


@click.command()
@click.argument("name")
@click.option("--config", "file", type=click.Path(), help="YAML file over the preset.")
@click.option("--preset", default="default", show_default=True, help="Settings below the file.")
@click.option("-o", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting.")
@click.option("--run", "run_dir", help="Run directory.  [default: runs/NAME]")
def main(
    *, name: str, file: str | None, preset: str, overrides: tuple[str, ...], run_dir: str | None
) -> None:
    """Train the recipe NAME in this process."""
    recipe = recipes.find(name)
    found = resolve(
        recipe.config_model,
        file=file,
        overrides=overrides,
        environ=os.environ,
        preset=recipe.preset_named(preset),
    )
    recipe.train(found.config, run_dir or os.environ.get("EVERTRAIN_RUN") or f"runs/{name}")


if __name__ == "__main__":
    try:
        main()
    except EvertrainError as error:
        print(f"evertrain: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
