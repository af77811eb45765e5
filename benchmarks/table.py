"""What a benchmark says: tables of medians and ratios, targets, and a file of JSON."""

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from measure import Measured, load, machine, versions

RESULTS = Path(__file__).with_name("results")
MET, MISSED, UNKNOWN = "met", "MISSED", "not measured"

Cell = str | float | int | None


@dataclass(frozen=True)
class Target:
    """A promise and what became of it.

    Attributes:
        what: What is measured, in words.
        limit: What it is to be, in words.
        measured: What it is, in words.
        verdict: "met", "MISSED" or "not measured".
    """

    what: str
    limit: str
    measured: str
    verdict: str


@dataclass
class Table:
    """Rows under a title."""

    title: str
    columns: list[str]
    rows: list[list[Cell]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Report:
    """Collects what one benchmark finds, prints it, and writes it down.

    Args:
        name: The benchmark, and the name of its file.
        place: A directory on the disk that is measured.
        is_quick: Whether the sizes are those of a mere trial.
    """

    def __init__(self, name: str, place: Path, *, is_quick: bool) -> None:
        """Note how busy the machine is before anything runs."""
        self.name, self.is_quick = name, is_quick
        self.tables: list[Table] = []
        self.targets: list[Target] = []
        self._samples: dict[str, Any] = {}
        self._settings: dict[str, Any] = {}
        self._machine = machine(place)
        self._load = load()
        self._began_s = time.perf_counter()

    def set(self, **settings: Any) -> None:
        """Write down a size of the work."""
        self._settings.update(settings)

    def keep(self, title: str, measured: Measured) -> None:
        """Keep the raw samples."""
        self._samples[title] = {"samples": measured.samples, "errors": measured.errors}

    def add(self, table: Table) -> None:
        """Print a table, and keep it."""
        self.tables.append(table)
        show(table)

    def at_most(self, what: str, value: float | None, limit: float, unit: str = "x") -> None:
        """Judge a value that should be small."""
        self._judge(what, value, limit, unit, is_met=value is not None and value <= limit)

    def at_least(self, what: str, value: float | None, limit: float, unit: str = "x") -> None:
        """Judge a value that should be large."""
        self._judge(what, value, limit, unit, is_met=value is not None and value >= limit)

    def finish(self, out: Path | None) -> None:
        """Print the verdicts and write the JSON. A quick trial is written only where asked to."""
        show(verdicts(self.name, [asdict(each) for each in self.targets]))
        if self.is_quick and out is None:
            return
        body = {
            "schema_version": 1,
            "name": self.name,
            "is_quick": self.is_quick,
            "seconds": round(time.perf_counter() - self._began_s, 1),
            "machine": self._machine,
            "versions": versions(),
            "load": {"before": self._load, "after": load()},
            "settings": self._settings,
            "tables": [asdict(each) for each in self.tables],
            "targets": [asdict(each) for each in self.targets],
            "samples": self._samples,
        }
        path = (out or RESULTS) / f"{self.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(body, indent=1, default=str) + "\n")

    def _judge(
        self, what: str, value: float | None, limit: float, unit: str, *, is_met: bool
    ) -> None:
        verdict = UNKNOWN if value is None else MET if is_met else MISSED
        measured = "-" if value is None else f"{number(value)} {unit}"
        self.targets.append(Target(what, f"{number(limit)} {unit}", measured, verdict))


def verdicts(name: str, targets: list[dict[str, str]]) -> Table:
    """Return the targets as a table."""
    rows: list[list[Cell]] = [
        [each["what"], each["limit"], each["measured"], each["verdict"]] for each in targets
    ]
    return Table(f"{name}: targets", ["what", "target", "measured", ""], rows)


def show(table: Table) -> None:
    """Print a table as aligned text."""
    cells = [table.columns, *([_text(cell) for cell in row] for row in table.rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(table.columns))]
    out = sys.__stdout__  # where `hush` leaves it alone
    print(f"\n{table.title}", file=out)
    for row in cells:
        first, *rest = (
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *rest]).rstrip(), file=out)
    for note in table.notes:
        print(f"  {note}", file=out)
    print(end="", flush=True, file=out)


def compared(  # noqa: PLR0913  (the last three have defaults that nearly all use)
    title: str,
    measured: Measured,
    quantity: str,
    others: list[str],
    *,
    unit: str = "ms",
    scale: float = 1e3,
    more: dict[str, tuple[str, float]] | None = None,
) -> Table:
    """Return the medians of one quantity, and each one's ratio to some of the cases.

    Args:
        title: Of the table.
        measured: The samples.
        quantity: What to compare.
        others: Cases to divide by, a column each.
        unit: Of the numbers shown.
        scale: From the samples to that unit.
        more: Further columns: title -> quantity and scale.
    """
    more = more or {}
    columns = ["", f"median {unit}", "min", "max", *more, *(f"/ {other}" for other in others)]
    table = Table(title, columns)
    for case, found in measured.samples.items():
        values = found[quantity]
        spread: list[Cell] = [measured.median(case, quantity), min(values), max(values)]
        extra: list[Cell] = [scaled(measured.median(case, q), by) for q, by in more.values()]
        ratios: list[Cell] = [measured.ratio(case, other, quantity) for other in others]
        table.rows.append([case, *(scaled(each, scale) for each in spread), *extra, *ratios])
    table.notes += [f"{case}: does not run: {why}" for case, why in measured.errors.items()]
    return table


def scaled(value: Cell, by: float) -> Cell:
    """Return a number in another unit; None stays None."""
    return value * by if isinstance(value, (int, float)) else value


def number(value: float) -> str:
    """Return three significant digits, without an exponent where one can do without."""
    if value and abs(value) < 0.001:
        return f"{value:.2g}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    return number(cell) if isinstance(cell, float) else str(cell)
