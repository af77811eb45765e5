"""`evertrain ls`: the runs of a directory, or the checkpoints of a run.

Layer: cli.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.share import added_bytes
from evertrain.cli.facts import Unreadable, best, checkpoint_json, demoted, kind, progress, run_json
from evertrain.cli.render import (
    Column,
    ago,
    clean,
    json_option,
    local_date,
    local_time,
    number,
    print_json,
    print_table,
    size,
)
from evertrain.core.errors import EXIT_OK, EXIT_SKIPPED, EvertrainError, NotFoundError
from evertrain.core.refusal import refusal
from evertrain.core.rundir import RunDir, open_run_dir
from evertrain.monitor.read import RunStatus, is_run, status

_DEPTH: Final = 3
_METRIC_COLUMNS: Final = 3


@click.command(epilog="Example: evertrain ls runs/trading --detailed")
@click.argument("target", metavar="[DIR|RUN]", required=False)
@click.option(
    "-d",
    "--detailed",
    is_flag=True,
    help="Add times, bytes (all, and not shared), attempts, pins, paths.",
)
@json_option
def ls(*, target: str | None, detailed: bool, as_json: bool) -> int:
    """List runs, or the checkpoints of a run.

    DIR defaults to ./runs. Exits with 3 if a run in DIR cannot be read.
    """
    run_dir = _run_named(target)
    if run_dir is not None:
        return _list_checkpoints(status(run_dir), detailed=detailed, as_json=as_json)
    root = Path(target) if target else Path("runs") if Path("runs").is_dir() else Path()
    return _list_runs(root, detailed=detailed, as_json=as_json)


def find_runs(root: Path, depth: int = _DEPTH) -> Iterator[RunDir]:
    """Yield the runs below `root`, in the order of their paths; none inside another."""
    try:
        inside = sorted(each for each in root.iterdir() if each.is_dir() and not each.is_symlink())
    except OSError:
        return
    for path in inside:
        if path.name.startswith("."):
            continue
        if is_run(path):
            yield RunDir(path)
        elif depth > 1:
            yield from find_runs(path, depth - 1)


def _run_named(target: str | None) -> RunDir | None:
    """Return the run that `target` names, or None if it is a directory of runs.

    Raises:
        NotFoundError: It is neither.
    """
    if target is None:
        return RunDir(Path()) if is_run(Path()) else None
    try:
        return open_run_dir(target)
    except NotFoundError:
        if Path(target).is_dir():
            return None
        raise


def _list_runs(root: Path, *, detailed: bool, as_json: bool) -> int:
    found = [_status_of(run_dir) for run_dir in find_runs(root)]
    code = EXIT_SKIPPED if any(isinstance(each, Unreadable) for each in found) else EXIT_OK
    if as_json:
        print_json({"directory": str(root), "runs": [run_json(each) for each in found]})
        return code
    if not found:
        where = "here" if root == Path() else f"in {root}"
        print(f"no runs {where}; start one with: evertrain run -- COMMAND")
        return code
    extra = [Column("Created"), Column("Recipe"), Column("Id")] if detailed else []
    columns = [
        Column("Run"),
        Column("State"),
        Column("Step", "right"),
        Column("Checkpoint"),
        Column("Best"),
        Column("Crashes", "right"),
        Column("Size", "right"),
        *extra,
    ]
    print_table(columns, [_run_row(each, root, detailed=detailed) for each in found])
    for each in found:
        if isinstance(each, Unreadable):
            print(f"\n{clean(str(each.path))}: {each.error}")
    return code


def _status_of(run_dir: RunDir) -> RunStatus | Unreadable:
    try:
        return status(run_dir)
    except EvertrainError as error:
        return Unreadable(run_dir.path, error)
    except OSError as error:
        return Unreadable(run_dir.path, refusal(error, run_dir.path))


def _run_row(found: RunStatus | Unreadable, root: Path, *, detailed: bool) -> list[str]:
    name = str(found.path.relative_to(root))
    if isinstance(found, Unreadable):
        return [name, "unreadable", "-", "-", "-", "-", "-", *["-"] * (3 if detailed else 0)]
    last = found.checkpoint
    known = found.identity
    extra = [known.created_at, known.recipe or "-", known.id] if detailed else []
    return [
        name,
        found.state,
        progress(found),
        f"{last.step}, {ago(last.age_s)}" if last else "none",
        best(found),
        str(found.crash_count),
        size(found.size_bytes),
        *extra,
    ]


def _list_checkpoints(found: RunStatus, *, detailed: bool, as_json: bool) -> int:
    infos = found.checkpoints
    if as_json:
        added = added_bytes([each.path for each in infos])
        rows = [
            checkpoint_json(each, found) | {"added_bytes": count}
            for each, count in zip(infos, added, strict=True)
        ]
        totals = {"size_bytes": sum(each.size_bytes for each in infos), "disk_bytes": sum(added)}
        print_json({"run": run_json(found), "checkpoints": rows, "totals": totals})
        return EXIT_OK
    unit = clean(found.identity.unit)
    print(f"{clean(str(found.path))}: {found.state}, {unit} {progress(found)}\n")
    if infos:
        metrics = _metric_names(infos, found)
        print_table(
            _columns(unit, metrics, infos, detailed=detailed),
            _rows(found, metrics, detailed=detailed),
        )
        print()
    print(f"Total checkpoints: {len(infos)}")
    if detailed:
        on_disk = sum(added_bytes([each.path for each in infos]))
        print(
            f"Total size: {size(sum(each.size_bytes for each in infos))}, on disk: {size(on_disk)}"
        )
    print(f"Total disk usage: {size(found.size_bytes)}")
    if infos:
        print(f"Latest {unit}: {infos[-1].step}")
    if found.best:
        print(f"Best {unit}: {clean(best(found))}")
    if found.demoted:
        print(f"Demoted: {clean(demoted(found))}")
    return EXIT_OK


def _metric_names(infos: Sequence[CheckpointInfo], found: RunStatus) -> list[str]:
    """Return the metrics worth a column: the deciding one, then those that most rows have."""
    counts: dict[str, int] = {}
    for each in infos:
        for name in each.metrics:
            counts[name] = counts.get(name, 0) + 1
    names = sorted(counts, key=lambda name: -counts[name])  # stable: else in order of the log
    first = [found.best.metric] if found.best and found.best.metric in counts else []
    return [*first, *(name for name in names if name not in first)][:_METRIC_COLUMNS]


def _columns(
    unit: str, metrics: Sequence[str], infos: Sequence[CheckpointInfo], *, detailed: bool
) -> list[Column]:
    extra = ("Added", "Attempt", "Bytes", "Pinned", "Path") if detailed else ()
    return [
        Column(unit.capitalize(), "right"),
        Column("Saved" if detailed else "Date"),
        Column("Kind"),
        *([Column("Stage")] if any(each.stage for each in infos) else []),
        *(Column(name, "right") for name in metrics),
        Column("Size", "right"),
        *(Column(name, "left" if name in {"Pinned", "Path"} else "right") for name in extra),
    ]


def _rows(found: RunStatus, metrics: Sequence[str], *, detailed: bool) -> list[list[str]]:
    has_stages = any(each.stage for each in found.checkpoints)
    added = added_bytes([each.path for each in found.checkpoints]) if detailed else ()
    return [
        [
            str(each.step),
            local_time(each.saved_at_s) if detailed else local_date(each.saved_at_s),
            kind(each, found),
            *([each.stage or "-"] if has_stages else []),
            *(number(each.metrics.get(name)) for name in metrics),
            size(each.size_bytes),
            *(
                (
                    size(added[index]),
                    str(each.attempt),
                    str(each.size_bytes),
                    "yes" if each.is_pinned else "-",
                    str(each.path),
                )
                if detailed
                else ()
            ),
        ]
        for index, each in enumerate(found.checkpoints)
    ]
