"""`evertrain rm RUN@STEP... | RUN`: remove checkpoints by name, or a whole run.

Layer: cli.
"""

import sys
from typing import Any

import click

from evertrain.checkpoint.care.prune import remove
from evertrain.checkpoint.care.retire import refuse_live, remove_run
from evertrain.checkpoint.share import disk_bytes
from evertrain.cli.disk import disk_errors
from evertrain.cli.duration import grace_option
from evertrain.cli.render import clean, json_option, print_json, size
from evertrain.cli.target import Target, checkpoint_of, parse_target
from evertrain.core.clock import human_duration
from evertrain.core.errors import UsageError
from evertrain.core.rundir import RunDir


@click.command(epilog="Example: evertrain rm runs/trading@10 runs/trading@20")
@click.argument("targets", metavar="RUN[@CHECKPOINT]...", nargs=-1, required=True)
@click.option("--force", "is_forced", is_flag=True, help="Also a pinned one, also the last.")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask before a whole run goes.")
@click.option("-n", "--dry-run", "is_dry", is_flag=True, help="Only say what would happen.")
@grace_option("Leave it in the trash so long; 0 deletes at once.")
@json_option
def rm(  # noqa: PLR0913
    *,
    targets: tuple[str, ...],
    is_forced: bool,
    is_sure: bool,
    is_dry: bool,
    grace_s: float,
    as_json: bool,
) -> None:
    """Remove checkpoints of a run, or whole runs.

    A checkpoint may go while its run trains, but not the last whole one, a
    pinned one, or the one that the training resumed from, unless --force. A run
    goes only when nothing works on it.
    """
    named = [parse_target(each) for each in targets]
    runs = [each.run_dir for each in named if each.which is None]
    picked = _picked([each for each in named if each.which is not None])
    for run_dir in runs:
        refuse_live(run_dir)
    for run_dir, steps in picked.values():
        remove(run_dir, steps, is_forced=is_forced, grace_s=grace_s, is_dry=True)
    if runs and not is_dry and not is_sure:
        _confirm(runs)
    gone: list[dict[str, Any]] = []
    for run_dir, steps in picked.values():
        with disk_errors(run_dir.checkpoints):
            done = remove(run_dir, steps, is_forced=is_forced, grace_s=grace_s, is_dry=is_dry)
        gone += [{"run": str(run_dir.path), "step": step} for step in done]
    for run_dir in runs:
        with disk_errors(run_dir.path):
            trash = None if is_dry else str(remove_run(run_dir, grace_s=grace_s))
        gone.append({"run": str(run_dir.path), "step": None, "trash": trash})
    if as_json:
        print_json({"dry_run": is_dry, "removed": gone})
    else:
        _print(gone, grace_s=grace_s, is_dry=is_dry)


def _picked(named: list[Target]) -> dict[str, tuple[RunDir, set[int]]]:
    """Return the steps of each run. A step is taken as it stands: it may be damaged."""
    found: dict[str, tuple[RunDir, set[int]]] = {}
    for each in named:
        step = each.which if isinstance(each.which, int) else checkpoint_of(each).step
        found.setdefault(str(each.run_dir.path), (each.run_dir, set()))[1].add(step)
    return found


def _confirm(runs: list[RunDir]) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            "rm asks before a whole run goes, and there is no terminal to ask on.",
            "a script should say that it means it.",
            "Add --yes",
        )
    for run_dir in runs:
        click.echo(clean(f"{run_dir.path}: {size(disk_bytes(run_dir.path))}"))
    click.confirm("Remove?", default=False, abort=True)


def _print(gone: list[dict[str, Any]], *, grace_s: float, is_dry: bool) -> None:
    for each in gone:
        name = each["run"] if each["step"] is None else f"{each['run']}@{each['step']}"
        print(clean(f"{'would remove' if is_dry else 'removed'} {name}"))
        if not is_dry and grace_s > 0:
            print(clean(f"  back within {human_duration(grace_s)}: {_way_back(each)}"))


def _way_back(each: dict[str, Any]) -> str:
    if each["step"] is not None:
        return f"evertrain prune {each['run']} --undo"
    return f"mv {each['trash']} {each['run']}"
