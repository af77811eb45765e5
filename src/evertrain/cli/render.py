"""What people and programs see: tables, sizes, times, JSON.

On a terminal a table is drawn by rich, loaded only then; anywhere else, with
NO_COLOR or TERM=dumb, it is plain aligned text without a single escape code.

Layer: cli.
"""

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import click

from evertrain.core.clock import human_duration, is_time
from evertrain.core.disk import human_bytes
from evertrain.core.journal import finite
from evertrain.core.printable import printable

SCHEMA_VERSION: Final = 1

size = human_bytes

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")

# Words that carry a verdict; on a terminal they have a color.
_COLORS: Final = {
    "running": "green",
    "finished": "blue",
    "stopped": "yellow",
    "crashed": "red",
    "gave-up": "bold red",
    "unreadable": "bold red",
    "ok": "green",
    "warn": "yellow",
    "bad": "bold red",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        title: Its heading.
        align: "right" for numbers.
    """

    title: str
    align: Literal["left", "right"] = "left"


def print_json(body: Mapping[str, Any]) -> None:
    """Print one JSON object, with the version of its schema.

    Fields may be added in later versions, never removed.
    """
    print(json.dumps({"schema_version": SCHEMA_VERSION} | finite(body), indent=2))


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, as the place it goes to can show it."""
    columns = [Column(clean(each.title), each.align) for each in columns]
    shown = [row if "".join(row).isprintable() else [clean(cell) for cell in row] for row in rows]
    if is_fancy():
        _print_rich(columns, shown)
    else:
        print(plain_table(columns, shown))


def plain_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as aligned text."""
    lines = [tuple(column.title for column in columns), *map(tuple, rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    signs = ["" if column.align == "right" else "-" for column in columns]
    form = "  ".join(f"%{sign}{width}s" for sign, width in zip(signs, widths, strict=True))
    return "\n".join((form % line).rstrip() for line in lines)


def print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Print labels with their values, aligned."""
    width = max((len(label) for label, _ in pairs), default=0)
    for label, value in pairs:
        print(f"  {label:<{width}}  {value}")


def is_fancy() -> bool:
    """Say whether stdout is a terminal that shows colors and whose user wants them."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return sys.stdout.isatty()


def clean(text: str) -> str:
    """Return `text` without control characters: names come from files, and files may lie."""
    return printable(text)


def number(value: object) -> str:
    """Return a metric for a column: four significant digits or two decimals, `-` for none."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or not math.isfinite(value):
        return str(value)
    value += 0.0  # -0.0 is 0
    return f"{value:.2f}" if 10 <= abs(value) < 1e7 else f"{value:.4g}"  # noqa: PLR2004


def local_date(at_s: float) -> str:
    """Return the day of a Unix time, in the reader's time zone."""
    return _local(at_s)[:10]


def local_time(at_s: float | None) -> str:
    """Return a Unix time to the second in the reader's time zone, `-` for none."""
    return "-" if at_s is None else _local(at_s)


def ago(age_s: float | None) -> str:
    """Return `41 s ago`, `-` for none."""
    return "-" if age_s is None else f"{human_duration(age_s)} ago"


def _local(at_s: float) -> str:
    if not is_time(at_s):
        return "-"
    here = datetime.fromtimestamp(at_s)  # noqa: DTZ006  (the reader's zone, of every checkpoint)
    return here.isoformat(" ", "seconds")


def _print_rich(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column.title, justify=column.align, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=_COLORS.get(cell, "")) for cell in row))
    Console().print(table)
