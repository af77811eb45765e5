"""Lengths of time on the command line: 2d12h, 90m, 0.

Layer: cli.
"""

import re
from collections.abc import Callable
from typing import Any, Final

import click

from evertrain.checkpoint.trash import GRACE_S

_UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([wdhms])")
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern})+")


class Duration(click.ParamType):  # type: ignore[type-arg]  # older clicks have none
    """Turns `2d12h` into seconds. The units are w, d, h, m and s; a lone 0 needs none."""

    name = "duration"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds."""
        if not isinstance(value, str):
            return float(value)
        if value == "0":
            return 0.0
        if not _WHOLE.fullmatch(value):
            self.fail(f"{value!r} is no length of time; write 2d12h, 24h or 30m.", param, ctx)
        return float(sum(float(count) * _UNITS[unit] for count, unit in _PART.findall(value)))


DURATION: Final = Duration()


def grace_option(help_text: str) -> Callable[[Any], Any]:
    """Return the option that says how long the trash keeps what a command removes."""
    return click.option(
        "--grace",
        "grace_s",
        type=DURATION,
        default=GRACE_S,
        show_default="24h",
        metavar="TIME",
        help=help_text,
    )
