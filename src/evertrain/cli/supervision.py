"""The options that every supervising command shares.

Layer: cli.
"""

from collections.abc import Callable
from typing import Any, Final

import click

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

resume_option = click.option(
    "--resume",
    default="auto",
    show_default=True,
    metavar="WHERE",
    help="Where the first attempt begins: auto, never, must, latest, best, a step, "
    "stage:N, last-stage or a path.",
)


def supervision_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the options `max_crashes`, `delay_s` and `grace_s`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
