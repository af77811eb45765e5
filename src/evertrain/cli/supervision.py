"""The options that every supervising command shares.

Layer: cli.
"""

from collections.abc import Callable
from typing import Any, Final

import click

from evertrain.core.rundir import typed_step

_OPTIONS: Final = (
    click.option(
        "--max-crashes",
        default=10,
        show_default=True,
        metavar="N",
        help="Stop at the N-th crash; 0 is unlimited.",
    ),
    click.option(
        "--delay",
        "delay_s",
        default=5.0,
        show_default=True,
        metavar="SECONDS",
        help="Pause before each restart.",
    ),
    click.option(
        "--grace",
        "grace_s",
        default=120.0,
        show_default=True,
        metavar="SECONDS",
        help="Longest time that a graceful stop may take.",
    ),
)


def check_where(context: click.Context, option: click.Parameter, where: str) -> str:
    """Refuse a WHERE that no training would understand, before one is started for it."""
    if where and (not where.isdigit() or typed_step(where) is not None):
        return where
    problem = f"{where!r} is no number of a step" if where else "it is empty"
    raise click.BadParameter(f"{problem}; digits are 0 to 9, at most 19.", context, option)


resume_option = click.option(
    "--resume",
    default="auto",
    show_default=True,
    metavar="WHERE",
    callback=check_where,
    help="Where the first attempt begins: auto, never, must, latest, best, a step, "
    "stage:N, last-stage or a path.",
)


def supervision_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the options `max_crashes`, `delay_s` and `grace_s`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
