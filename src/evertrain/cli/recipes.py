"""`evertrain recipes`: the trainings that ship with evertrain.

Layer: cli.
"""

import click

from evertrain import recipes as registry
from evertrain.cli.render import Column, json_option, print_json, print_table


@click.command(epilog="Example: evertrain recipes")
@json_option
def recipes(*, as_json: bool) -> None:
    """List the shipped recipes."""
    found = [registry.find(name) for name in registry.names()]
    if as_json:
        print_json({"recipes": [{"name": each.name, "summary": each.summary} for each in found]})
        return
    print_table((Column("Recipe"), Column("What it trains")), [(r.name, r.summary) for r in found])
    print("\nTrain one with: evertrain train RECIPE")
