"""`evertrain config check|show`: is a configuration right, and where does each value come from.

Layer: cli.
"""

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from evertrain import recipes
from evertrain.cli.render import Column, clean, json_option, print_json, print_table
from evertrain.config import Fault, Resolved, examine
from evertrain.config.resolve import leaves
from evertrain.core.errors import EXIT_CONFIG, EXIT_OK, UsageError
from evertrain.recipes.options import override_option, preset_option, settings_options, settle


@click.group(
    epilog="Precedence: -o KEY=VALUE > EVERTRAIN_PPO__GAMMA=VALUE > file > the recipe's preset "
    "> default. In a variable's name, __ separates keys."
)
def config() -> None:
    """Check a configuration, or show it."""


@config.command(epilog="Example: evertrain config check my.yaml --recipe structure")
@click.argument("target", metavar="FILE|RECIPE")
@click.option("--recipe", help="What FILE configures; by default its keys decide.")
@preset_option
@override_option
@json_option
def check(
    *, target: str, recipe: str | None, preset: str, overrides: tuple[str, ...], as_json: bool
) -> int:
    """List every fault of a configuration, each with file, line and column.

    Exits with 78 if there is one.
    """
    file = None if target in recipes.names() and not Path(target).is_file() else Path(target)
    named = recipes.find(recipe or (target if file is None else _guess(file)))
    _, faults = examine(
        named.config_model,
        file=file,
        overrides=overrides,
        environ=os.environ,
        preset=named.preset_named(preset),
    )
    if as_json:
        rows = [_fault_json(each) for each in faults]
        print_json({"ok": not faults, "recipe": named.name, "faults": rows})
    elif faults:
        print("\n".join(clean(str(each)) for each in faults))
    else:
        print(f"ok: {target} is a configuration of the recipe {named.name}")
    return EXIT_CONFIG if faults else EXIT_OK


@config.command(epilog="Example: evertrain config show structure -o ppo.gamma=0.9 --origin")
@click.argument("recipe")
@settings_options
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@json_option
def show(  # noqa: PLR0913  (one parameter per option)
    *,
    recipe: str,
    file: Path | None,
    preset: str,
    overrides: tuple[str, ...],
    origin: bool,
    as_json: bool,
) -> None:
    """Print the effective configuration of a recipe, as YAML."""
    named = recipes.find(recipe)
    found = settle(named, file=file, preset=preset, overrides=overrides)
    values = found.config.model_dump(mode="json")
    if as_json:
        origins = {"origins": {key: str(each) for key, each in found.origins.items()}}
        print_json({"recipe": named.name, "config": values} | (origins if origin else {}))
    elif origin:
        columns = (Column("Key"), Column("Value"), Column("Origin"))
        print_table(columns, _origin_rows(found))
    else:
        print(_yaml(values), end="")


def _origin_rows(found: Resolved[Any]) -> list[list[str]]:
    return [
        [key, json.dumps(value), str(found.origins[key])] for key, value in leaves(found.config)
    ]


def _guess(file: Path) -> str:
    """Return the recipe whose keys a file uses; any will do for one that cannot be read.

    Raises:
        UsageError: Several fit alike.
    """
    from evertrain.config.document import read_document

    layer, faults = read_document(file)
    keys = set(layer.values)
    fits = {name: len(keys & set(_top_keys(name))) for name in recipes.names()}
    best = [name for name in fits if fits[name] == max(fits.values())]
    if len(best) == 1 or (faults and not keys):
        return best[0]
    raise UsageError(
        f"{file} could be a configuration of {', '.join(best)}.",
        "its keys do not tell which recipe it is for.",
        f"Say it: evertrain config check {file} --recipe {best[0]}",
    )


def _top_keys(name: str) -> Sequence[str]:
    from evertrain.config.suggest import keys_at

    return keys_at(recipes.find(name).config_model, ())


def _fault_json(fault: Fault) -> dict[str, Any]:
    return {
        "where": fault.where,
        "line": fault.line,
        "column": fault.column,
        "key": fault.key,
        "problem": fault.problem,
        "suggestion": fault.suggestion,
    }


def _yaml(values: dict[str, Any]) -> str:
    from ruamel.yaml import YAML

    text = io.StringIO()
    yaml = YAML()
    yaml.width = 1_000
    yaml.dump(values, text)
    return text.getvalue()
