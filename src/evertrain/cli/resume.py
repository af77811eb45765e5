"""`evertrain resume RUN`: go on with a run, with the command it was started with.

Layer: cli.
"""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from evertrain import recipes
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.store import Store
from evertrain.cli.beginning import check_beginning, check_command
from evertrain.cli.notification import notify_options
from evertrain.cli.render import clean
from evertrain.cli.supervision import check_where, supervision_options
from evertrain.core.errors import ConfigError, UsageError
from evertrain.core.rundir import RunDir, open_run_dir, read_identity, typed_step

if TYPE_CHECKING:
    from evertrain.supervise.notify.courier import Subscription


@click.command(epilog="Example: evertrain resume runs/structure --from stage:1")
@click.argument("run")
@click.option(
    "--from",
    "resume",
    default="auto",
    show_default=True,
    metavar="WHERE",
    callback=check_where,
    help="latest, best, a step, stage:N, last-stage, never, or the path of a checkpoint. "
    "Checkpoints after it are set aside, not deleted.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@supervision_options
@notify_options
@click.pass_context
def resume(
    context: click.Context,
    /,
    *,
    run: str,
    resume: str,
    yes: bool,
    subscription: "Subscription | None",
    **options: Any,
) -> int:
    """Go on with RUN where it was, or from an earlier checkpoint.

    Options that are not given are those of its last start. Shows what it will do, and asks.
    """
    from evertrain.supervise.loop import supervise
    from evertrain.supervise.start import last_start

    run_dir = open_run_dir(run)
    start = last_start(run_dir)
    if start is None:
        raise _unknown(run_dir)
    check_command(run_dir.path, start.command)
    identity = read_identity(run_dir)
    recipe = identity.recipe if identity is not None else None
    resume = _absolute(recipes.place(recipe, resume, run_dir.path))
    chosen = start.supervised({**_given(context, options), "resume": resume})
    if chosen.checkpoints is None:
        check_beginning(run_dir.path, resume)
    _show(run_dir, start.command, resume)
    if not yes:
        _confirm()
    path = run_dir.path.absolute()
    if start.cwd is not None and start.cwd.is_dir():
        os.chdir(start.cwd)  # relative paths in the command mean what they meant
    return supervise(start.command, path, chosen, subscription=subscription)


def _given(context: click.Context, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was typed; the ladder so that it means the same in the command's directory."""
    default = ParameterSource.DEFAULT
    given = {
        name: value
        for name, value in options.items()
        if context.get_parameter_source(name) is not default
    }
    if given.get("ladder"):
        given["ladder"] = str(Path(given["ladder"]).absolute())
    return given


def _absolute(where: str) -> str:
    """Return a path so that it means the same in the directory of the command."""
    return str(Path(where).absolute()) if "/" in where and Path(where).exists() else where


def _unknown(run_dir: RunDir) -> ConfigError:
    return ConfigError(
        f"{run_dir.identity} does not say how the run was started.",
        "there is no command to start again.",
        f"Start it yourself: evertrain run --run {run_dir.path} -- COMMAND",
    )


def _show(run_dir: RunDir, command: list[str], where: str) -> None:
    found = Store(run_dir.checkpoints).list()
    newest = f"step {found[-1].step}" if found else "none"
    click.echo(f"Run:         {clean(str(run_dir.path))}")
    click.echo(f"Command:     {clean(shlex.join(command))}")
    click.echo(f"Checkpoints: {len(found)}, newest: {newest}")
    click.echo(f"Resume from: {where}{_cost(found, where)}")


def _cost(found: list[CheckpointInfo], where: str) -> str:
    """Say what going back sets aside, where that is known beforehand."""
    if where == "never":
        return f" (a fresh start; {len(found)} checkpoints are set aside)" if found else ""
    step = typed_step(where)
    is_among_them = any(info.step == step for info in found)  # else it is a demoted one
    later = [info for info in found if step is not None and (info.step > step or not is_among_them)]
    return f" ({len(later)} checkpoints are set aside)" if later else ""


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            "resume asks before it starts, and there is no terminal to ask on.",
            "a script should say that it means it.",
            "Add --yes",
        )
    click.confirm("Go on?", default=True, abort=True)
