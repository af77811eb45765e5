"""The options that every supervising command shares.

Layer: cli.
"""

from collections.abc import Callable
from typing import Any, Final

import click

from evertrain.cli.duration import DURATION
from evertrain.core.rundir import typed_step


def seconds_or_auto(context: click.Context, option: click.Parameter, given: str) -> float | None:
    """Return a number of seconds, or None for "auto"."""
    if given == "auto":
        return None
    try:
        return float(given)
    except ValueError:
        problem = f"{given!r} is neither a number of seconds nor auto."
        raise click.BadParameter(problem, context, option) from None


_OPTIONS: Final = (
    click.option(
        "--max-crashes",
        type=int,
        metavar="N",
        help="Stop at the N-th crash, and for no other count; 0 is unlimited.  "
        "[default: at the 10th within the window, or as soon as it is clear that it gets nowhere]",
    ),
    click.option(
        "--window",
        "window_s",
        type=DURATION,
        metavar="TIME",
        help="Count only the crashes of the last TIME, such as 90m.  "
        "[default: 1h; without end where --max-crashes is given]",
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
        "--backoff",
        is_flag=True,
        help="Instead pause 1 to 2 s after progress; without it 10 s, doubling up to 5 minutes.",
    ),
    click.option(
        "--reseed",
        is_flag=True,
        help="Allow other random numbers where it always dies at the same step.",
    ),
    click.option(
        "--min-goodput",
        type=float,
        metavar="SHARE",
        help="Give up when less than this share of the time is useful.  "
        "[default: 0.1; 0 where --max-crashes is given]",
    ),
    click.option(
        "--grace",
        "grace_s",
        default=120.0,
        show_default=True,
        metavar="SECONDS",
        help="Longest time that a graceful stop may take.",
    ),
    click.option(
        "--hang",
        type=click.Choice(["act", "observe"]),
        default="act",
        show_default=True,
        help="A training that hangs: end and restart it, or only tell of it.",
    ),
    click.option(
        "--hang-timeout",
        "hang_timeout_s",
        default="auto",
        show_default=True,
        metavar="SECONDS",
        callback=seconds_or_auto,
        help="Longest time without a sign of life; auto learns it for each phase.",
    ),
    click.option(
        "--ladder",
        metavar="FILE",
        help="Settings from most aggressive to safest; crashes decide which is in force.",
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
    """Give `command` the options that say when it is ended, and when and how started again."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
