"""`evertrain systemd RUN`: a unit that starts the run's supervisor at every boot.

Layer: cli.
"""

import getpass
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from evertrain.cli.duration import Duration
from evertrain.cli.run import run as run_command
from evertrain.core.errors import ConfigError, NotFoundError, UsageError
from evertrain.core.fs import make_dir, write_atomic
from evertrain.core.regular import read_regular
from evertrain.core.rundir import RunDir, open_run_dir
from evertrain.supervise.start import Start, last_start
from evertrain.supervise.systemd.escape import remark
from evertrain.supervise.systemd.unit import MARK, Unit, carried, unit_name, unit_text

# What the unit says otherwise, or must not say to everybody who may read it.
_LEFT_OUT: Final = {"run_dir", "resume", "notify"}
_PASSED: Final = [
    each
    for each in run_command.params
    if isinstance(each, click.Option) and each.name not in _LEFT_OUT
]
_MAX_UNIT_BYTES: Final = 1 << 20
_EPILOG: Final = """
Examples:

\b
  evertrain systemd runs/trading --user --install
  evertrain systemd runs/new --max-crashes 0 -- python train.py > new.service

Options that are not given, and the command, are those of the run's last start.
"""


@click.command(
    context_settings={"allow_interspersed_args": True}, epilog=_EPILOG, params=list(_PASSED)
)
@click.argument("run")
@click.option("--user", "is_user", is_flag=True, help="For your own service manager, not root's.")
@click.option("--install", is_flag=True, help="Write it where systemd looks for it.")
@click.option("--name", help="Of the unit.  [default: evertrain-RUN.service]")
@click.option(
    "--env",
    "assignments",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Give the training this variable, too; repeatable.",
)
@click.option(
    "--env-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with more variables, such as EVERTRAIN_NOTIFY; only you should be able to read it.",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@click.pass_context
def systemd(  # noqa: PLR0913  (one parameter per option)
    context: click.Context,
    /,
    *,
    run: str,
    command: tuple[str, ...],
    is_user: bool,
    install: bool,
    name: str | None,
    assignments: tuple[str, ...],
    env_file: Path | None,
    **options: Any,
) -> None:
    """Print the unit of a run, or install it.

    It starts `evertrain run` with the run's command in its directory, with the
    interpreter that runs this one.
    """
    run_dir = _run_dir(run, command)
    start = _start(run_dir, command)
    cwd = (start.cwd or Path.cwd()).absolute()
    chosen = _chosen(context, options, start.options)
    own = [sys.executable, "-P", "-m", "evertrain", "run", "--run", str(run_dir.path.absolute())]
    unit = Unit(
        run=run_dir.path.absolute(),
        command=[*own, *_spelled(chosen), "--", *start.command],
        cwd=cwd,
        grace_s=float(chosen.get("grace_s", options["grace_s"])),
        environment=carried(os.environ) | _assigned(assignments),
        env_file=env_file.absolute() if env_file else None,
        user=None if is_user or os.geteuid() == 0 else getpass.getuser(),
        is_user=is_user,
    )
    text = unit_text(unit)
    file_name = _file_name(name) if name else unit_name(unit.run)
    if not install:
        click.echo(text, nl=False)
        return
    path = _install(file_name, text, unit)
    _say_what_next(path, is_user=is_user)


def _run_dir(run: str, command: Sequence[str]) -> RunDir:
    try:
        return open_run_dir(run)
    except NotFoundError:
        if command:
            return RunDir(Path(run))
        raise


def _start(run_dir: RunDir, given: Sequence[str]) -> Start:
    """Return what to start, and where: a command that is given, here."""
    start = last_start(run_dir) or Start(command=[], cwd=None)
    if given:
        return replace(start, command=list(given), cwd=None)
    if start.command:
        return start
    raise ConfigError(
        f"{run_dir.identity} does not say how the run was started.",
        "there is no command to start again.",
        f"Give it: evertrain systemd {run_dir.path} -- COMMAND",
    )


def _chosen(
    context: click.Context, options: Mapping[str, Any], known: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what was given, and what the last start was given, as far as it is not default."""
    found = {}
    for option in _PASSED:
        name = option.name or ""
        is_given = context.get_parameter_source(name) is not ParameterSource.DEFAULT
        value = options[name] if is_given else known.get(name, options[name])
        if value != options[name] or is_given:
            found[name] = value
    return found


def _spelled(chosen: Mapping[str, Any]) -> list[str]:
    words: list[str] = []
    for option in _PASSED:
        value = chosen.get(option.name or "")
        if value is None or value is False:
            continue
        for each in value if isinstance(value, list | tuple) else [value]:
            said = f"{each:.12g}" if isinstance(each, float) else str(each)
            said += "s" if isinstance(option.type, Duration) else ""
            words += [option.opts[0]] if option.is_flag else [option.opts[0], said]
    return words


def _assigned(assignments: Sequence[str]) -> dict[str, str]:
    found = {}
    for each in assignments:
        name, sign, value = each.partition("=")
        if not name.isidentifier() or (not sign and name not in os.environ):
            raise UsageError(
                f"--env {name!r} gives no variable.",
                "it is no name of one, or there is none of that name here.",
                "Write --env NAME=VALUE, or --env NAME for one that is set.",
            )
        found[name] = value if sign else os.environ[name]
    return found


def _file_name(name: str) -> str:
    full = name if name.endswith(".service") else f"{name}.service"
    if unit_name(Path(full)) != f"evertrain-{full}.service" or full.startswith((".", "-")):
        raise UsageError(
            f"--name {name!r} is no name of a unit.",
            "letters, digits, '_', '-' and '.' are.",
            "Write for example: --name trading",
        )
    return full


def _install(name: str, text: str, unit: Unit) -> Path:
    """Write the unit, over an older one of the same run only.

    Raises:
        ConfigError: There is another one of that name.
    """
    folder = _folder(is_user=unit.is_user)
    path = folder / name
    if os.path.lexists(path):
        head = read_regular(path, _MAX_UNIT_BYTES).decode(errors="replace").split("\n")[:2]
        if head != [MARK, f"# Run: {remark(str(unit.run))}"]:
            raise ConfigError(
                f"{path} is there, and is not the unit of {unit.run}.",
                "what it starts would be replaced.",
                "Choose another name: --name NAME",
            )
    make_dir(folder)
    write_atomic(path, text.encode(errors="surrogateescape"))
    return path


def _folder(*, is_user: bool) -> Path:
    if not is_user:
        return Path("/etc/systemd/system")
    config = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(config) / "systemd" / "user"


def _say_what_next(path: Path, *, is_user: bool) -> None:
    ours = "systemctl --user" if is_user else "systemctl"
    click.echo(f"Installed {path}")
    click.echo(f"Start it, now and at every boot: {ours} daemon-reload && ")
    click.echo(f"  {ours} enable --now {path.name}")
    if is_user:
        click.echo("So that it runs while you are logged out: loginctl enable-linger")
