"""The options of every command that takes a recipe's configuration, and what they come to.

Layer: recipes. Imports config when it is asked to resolve, so that `--help` stays fast.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from evertrain.recipes import Recipe

if TYPE_CHECKING:
    from evertrain.config import Resolved

override_option = click.option(
    "-o", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting; repeatable."
)
preset_option = click.option(
    "--preset", default="default", show_default=True, help="Settings below the file."
)
file_option = click.option(
    "--config", "file", type=click.Path(path_type=Path), help="YAML file over the preset."
)
run_option = click.option(
    "--run", "run_dir", metavar="DIR", help="Run directory.  [default: runs/RECIPE]"
)
_OPTIONS: Final = (file_option, preset_option, override_option)


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the options `file`, `preset` and `overrides`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def settle(
    recipe: Recipe, *, file: Path | None, preset: str, overrides: Sequence[str]
) -> "Resolved[Any]":
    """Return the configuration that these options, the environment and the preset make.

    Raises:
        UsageError: There is no such preset.
        ConfigError: The configuration has faults; all are told.
    """
    from evertrain.config import resolve

    return resolve(
        recipe.config_model,
        file=file,
        overrides=overrides,
        environ=os.environ,
        preset=recipe.preset_named(preset),
    )


def arguments(*, file: Path | None, preset: str, overrides: Sequence[str]) -> list[str]:
    """Return the options as words of a command line that means the same from any directory."""
    words = ["--preset", preset]
    if file is not None:
        words += ["--config", str(file.absolute())]
    return words + [word for each in overrides for word in ("-o", each)]
