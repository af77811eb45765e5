"""`evertrain stats RUN`: where its time went, what its saves cost, why it crashed, its metrics.

Layer: cli.
"""

from dataclasses import asdict
from typing import Any

import click

from evertrain.cli.facts import shares, time_json
from evertrain.cli.render import (
    Column,
    clean,
    json_option,
    number,
    print_json,
    print_pairs,
    print_table,
    size,
)
from evertrain.core.clock import human_duration
from evertrain.core.journal import read_lines
from evertrain.core.rundir import open_run_dir
from evertrain.monitor.goodput import KINDS, Account
from evertrain.monitor.metrics import read_metrics
from evertrain.monitor.read import status
from evertrain.monitor.stats import Metric, Saves, causes_of, metrics_of, saves_of

_SHOWN_ATTEMPTS = 20


@click.command(epilog="Example: evertrain stats runs/trading --json | jq .time.goodput")
@click.argument("run")
@json_option
def stats(*, run: str, as_json: bool) -> None:
    """Give the figures of a run.

    Where its time went, for each attempt and overall: useful work, startup, saving,
    restoring, replayed (work that died with its attempt), backoff, stalled. They add up to
    100 %; time in which nobody was meant to train is left out.
    """
    place = open_run_dir(run)
    found, rows = status(place), read_lines(place.journal).rows
    saves, causes, metrics = saves_of(rows), causes_of(rows), metrics_of(read_metrics(place))
    if as_json:
        attempts = [{"attempt": each.attempt, **time_json(each.account)} for each in found.spent]
        print_json(
            {
                "path": str(found.path),
                "time": time_json(found.account),
                "attempts": attempts,
                "saves": asdict(saves),
                "crashes": [{"cause": cause, "count": count} for cause, count in causes],
                "metrics": [_metric_json(each) for each in metrics],
            }
        )
        return
    print(f"{clean(str(found.path))}: {found.state} - {clean(found.reason)}\n")
    shown = found.spent[-_SHOWN_ATTEMPTS:]
    table = [_row(str(each.attempt), each.account) for each in shown]
    print_table(_TIME, [*table, _row("all", found.account)])
    print()
    print_pairs(
        [
            ("time", shares(found.account) or "none yet"),
            ("saves", _saves(saves)),
            ("crashes", ", ".join(f"{count} x {clean(cause)}" for cause, count in causes) or "0"),
        ]
    )
    if metrics:
        print()
        print_table(_METRICS, [_metric_row(each) for each in metrics])


_TIME = tuple(Column(title, "right") for title in ["Attempt", "Total", *map(str.title, KINDS)])
_METRICS = (
    Column("Metric"),
    Column("Rows", "right"),
    Column("First", "right"),
    Column("Last", "right"),
    Column("Lowest", "right"),
    Column("Highest", "right"),
)


def _row(title: str, account: Account) -> list[str]:
    percent = account.percent()
    cells = [f"{percent[kind]:.1f} %" if percent[kind] else "-" for kind in KINDS]
    return [title, human_duration(account.total_s), *cells]


def _saves(saves: Saves) -> str:
    parts = [f"{saves.count:,}"]
    if saves.failed_count:
        parts.append(f"{saves.failed_count:,} refused by the disk")
    if saves.blocked_s is not None:
        parts.append(f"the loop stands still for {human_duration(saves.blocked_s)}")
    if saves.seconds is not None:
        parts.append(f"safe after {human_duration(saves.seconds)} (medians)")
    if saves.count:
        added, held = size(int(saves.written_bytes)), size(int(saves.logical_bytes))
        parts.append(f"{added} written for {held}")
    return ", ".join(parts)


def _metric_row(metric: Metric) -> list[str]:
    return [
        clean(metric.name),
        f"{metric.count:,}" + (f" ({metric.odd_count:,} not finite)" if metric.odd_count else ""),
        number(metric.first),
        number(metric.last),
        _at(metric.low),
        _at(metric.high),
    ]


def _at(extreme: tuple[float, float] | None) -> str:
    return "-" if extreme is None else f"{number(extreme[0])} @ {number(extreme[1])}"


def _metric_json(metric: Metric) -> dict[str, Any]:
    low, high = metric.low, metric.high
    return asdict(metric) | {
        "low": {"value": low[0], "step": low[1]} if low else None,
        "high": {"value": high[0], "step": high[1]} if high else None,
    }
