"""`evertrain archive` and `unarchive`: a run as one file, and back.

Layer: cli.
"""

import sys
from pathlib import Path

import click

from evertrain.checkpoint.care.archive import archive as pack
from evertrain.checkpoint.care.retire import refuse_live, remove_run
from evertrain.checkpoint.care.unarchive import unarchive as unpack
from evertrain.checkpoint.catalog import step_names
from evertrain.cli.disk import disk_errors
from evertrain.cli.duration import grace_option
from evertrain.cli.render import clean, json_option, print_json, size
from evertrain.cli.target import checkpoint_of, parse_target
from evertrain.core.clock import human_duration
from evertrain.core.errors import EvertrainError, UsageError
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir, open_run_dir


@click.command(epilog="Example: evertrain archive runs/trading --out trading.tar.zst")
@click.argument("run")
@click.option("--out", type=click.Path(path_type=Path), help="FILE.tar.zst, or FILE.tar.")
@click.option(
    "--checkpoint", "which", multiple=True, metavar="best|latest|STEP", help="Only these."
)
@click.option("--remove", "is_remove", is_flag=True, help="Remove the run once it is packed.")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask before it is removed.")
@grace_option("Leave the removed run in the trash so long.")
@json_option
def archive(  # noqa: PLR0913
    *,
    run: str,
    out: Path | None,
    which: tuple[str, ...],
    is_remove: bool,
    is_sure: bool,
    grace_s: float,
    as_json: bool,
) -> None:
    """Pack RUN into one file.

    It counts once every byte was read back. RUN may train meanwhile, unless it
    is to be removed.
    """
    run_dir = open_run_dir(run)
    steps = {checkpoint_of(parse_target(f"{run}@{each}")).step for each in which} or None
    target = out or Path(f"{run_dir.path.resolve().name}.tar.zst")
    if is_remove:
        refuse_live(run_dir)
        if not is_sure:
            _confirm(run_dir)
    before = _mark(run_dir)
    with disk_errors(target):
        listing = pack(run_dir, target, steps=steps)
    trash = _remove(run_dir, before, grace_s) if is_remove else None
    if as_json:
        about = {"run": str(run_dir.path), "archive": str(target), "files": len(listing.files)}
        print_json(about | {"bytes": listing.bytes, "removed": is_remove})
        return
    print(clean(f"{target}: {len(listing.files)} files, {size(listing.bytes)}, read back whole"))
    if trash is not None:
        print(clean(f"removed {run_dir.path}"))
    if trash is not None and grace_s > 0:
        print(clean(f"  back within {human_duration(grace_s)}: mv {trash} {run_dir.path}"))


@click.command(epilog="Example: evertrain unarchive trading.tar.zst --to runs/again")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--to", type=click.Path(path_type=Path), help="Directory of the run; must not exist.")
@json_option
def unarchive(*, file: Path, to: Path | None, as_json: bool) -> None:
    """Unpack the run in FILE.

    It is there once every checkpoint was read back whole. FILE may come from
    anybody: nothing is written outside of the new run.
    """
    with disk_errors(to or file):
        run_dir = unpack(file, to)
    steps = [int(name) for name in step_names(run_dir.checkpoints)]
    if as_json:
        print_json({"archive": str(file), "run": str(run_dir.path), "checkpoints": steps})
    else:
        print(clean(f"{run_dir.path}: {len(steps)} checkpoints, all whole"))


def _confirm(run_dir: RunDir) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            "--remove asks before the run goes, and there is no terminal to ask on.",
            "a script should say that it means it.",
            "Add --yes",
        )
    click.confirm(f"Remove {run_dir.path} once it is packed?", default=False, abort=True)


def _mark(run_dir: RunDir) -> tuple[int, tuple[str, ...]]:
    return len(Journal(run_dir.journal).events()), tuple(step_names(run_dir.checkpoints))


def _remove(run_dir: RunDir, before: tuple[int, tuple[str, ...]], grace_s: float) -> Path:
    if _mark(run_dir) != before:
        raise EvertrainError(
            f"{run_dir.path} went on while it was packed.",
            "the archive does not hold what came later, so the run was not removed.",
            "Archive it again.",
        )
    return remove_run(run_dir, grace_s=grace_s)
