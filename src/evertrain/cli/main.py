"""The `evertrain` command: find the subcommand, turn errors into exit codes.

The table below is all that `--help` needs; a command's module is imported when
it runs. So start-up stays fast however many commands there are.

Layer: cli.
"""

import gc
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final, NoReturn

import click

from evertrain.core.errors import EXIT_FORCED, EXIT_USAGE, EvertrainError

# A command over ten thousand checkpoints makes as many objects, and none of them in a cycle.
_GC_THRESHOLD: Final = 100_000

# Section -> command -> (module:attribute, what the help says).
COMMANDS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "Train": {
        "train": ("evertrain.cli.train:train", "Train a shipped recipe, supervised."),
        "run": ("evertrain.cli.run:run", "Run any command, supervised."),
        "resume": ("evertrain.cli.resume:resume", "Go on with a run."),
        "stop": ("evertrain.cli.request:stop", "Stop a run at its next safe point."),
        "save": ("evertrain.cli.request:save", "Have a run save a checkpoint now."),
    },
    "Look": {
        "ls": ("evertrain.cli.ls:ls", "List runs, or the checkpoints of a run."),
        "show": ("evertrain.cli.show:show", "Show a run or one of its checkpoints."),
        "status": ("evertrain.cli.status:status", "Say how a run is doing."),
        "stats": ("evertrain.cli.stats:stats", "Say where its time went, and its figures."),
        "log": ("evertrain.cli.log:log", "Print what a run's attempts wrote."),
    },
    "Care": {
        "verify": ("evertrain.cli.verify:verify", "Prove that a run can be resumed."),
        "calibrate": ("evertrain.cli.calibrate:calibrate", "Measure the rungs of a ladder."),
        "audit": ("evertrain.cli.audit:audit", "Prove that a training resumes exactly."),
        "prune": ("evertrain.cli.prune:prune", "Remove the checkpoints that no rule keeps."),
        "rm": ("evertrain.cli.rm:rm", "Remove a checkpoint, or a whole run."),
        "archive": ("evertrain.cli.archive:archive", "Pack a run into one file."),
        "unarchive": ("evertrain.cli.archive:unarchive", "Unpack such a file."),
        "export": ("evertrain.cli.export:export", "Write weights for other programs."),
        "pin": ("evertrain.cli.request:pin", "Keep a checkpoint whatever retention says."),
        "unpin": ("evertrain.cli.request:unpin", "Give a checkpoint back to retention."),
    },
    "Operate": {
        "config": ("evertrain.cli.config:config", "Check a configuration, or show it."),
        "recipes": ("evertrain.cli.recipes:recipes", "List the shipped recipes."),
        "systemd": ("evertrain.cli.systemd:systemd", "Print or install a systemd unit for a run."),
        "doctor": ("evertrain.cli.doctor:doctor", "Examine this machine and a disk."),
    },
}


class ReaderLeftError(Exception):
    """Whoever read our output, such as `head`, has seen enough."""


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """Let a closed pipe end the command as it ends any program, not as click would."""
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderLeftError from error


class Lazy(click.Group):
    """A group that imports a subcommand when it is called, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every name, section by section."""
        del ctx
        return [name for section in COMMANDS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one subcommand, or None if there is none of that name."""
        del ctx
        for section in COMMANDS.values():
            if cmd_name in section:
                module, _, attribute = section[cmd_name][0].partition(":")
                found: click.Command = getattr(import_module(module), attribute)
                return found
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Refuse an unknown command with the name that was probably meant."""
        name = args[0]
        known = self.list_commands(ctx)
        if name in known or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        import difflib

        near = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"The commands are: {', '.join(known)}."
        raise click.UsageError(f"There is no command {name!r}. {hint}", ctx=ctx)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Parse the arguments; `--help` prints here."""
        with _reader_may_leave():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command and have its output out before saying how it went."""
        with _reader_may_leave():
            found = super().invoke(ctx)
            sys.stdout.flush()
            return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without importing any."""
        del ctx
        for title, section in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(name, summary) for name, (_, summary) in section.items()])

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        *,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> int:
        """Run one command. Exit with its status, or return it unless `standalone_mode`."""
        given = list(sys.argv[1:] if args is None else args)
        code = _run(super().main, given, prog_name or "evertrain", extra)
        if standalone_mode:
            sys.exit(code)
        return code


@click.group(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="A run is named by its path or by its name under ./runs; "
    "a checkpoint by RUN@latest, RUN@best, RUN@250.",
)
@click.version_option(package_name="evertrain", message="evertrain %(version)s")
def cli() -> None:
    """Training that survives everything.

    \b
    Example: evertrain run -- python train.py
             evertrain status runs/train
    """  # noqa: D301  (click's mark for lines that it must not join)


def main() -> NoReturn:
    """Run the command line of this process and exit."""
    gc.set_threshold(_GC_THRESHOLD)
    _open_streams()
    cli.main()
    raise AssertionError


def _open_streams() -> None:
    """Lead the streams that the caller has closed to nothing.

    Else printing fails, and the first file that is opened is what children take for stdout.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def _run(run: Any, args: list[str], prog_name: str, extra: dict[str, Any]) -> int:
    """Run click without its own error handling. Return the exit status."""
    try:
        code = run(args=args, prog_name=prog_name, standalone_mode=False, **extra)
    except EvertrainError as error:
        report(error, is_json=wants_json(args))
        return error.exit_code
    except OSError as error:
        from evertrain.core.refusal import refusal

        refused = refusal(error)
        report(refused, is_json=wants_json(args))
        return refused.exit_code
    except click.ClickException as error:
        _report_usage(error, is_json=wants_json(args))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("evertrain: interrupted", file=sys.stderr)
        return EXIT_FORCED
    except ReaderLeftError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return code if isinstance(code, int) else 0


def wants_json(args: Sequence[str]) -> bool:
    """Say whether `--json` is among the options, and not part of a supervised command."""
    own = args[: args.index("--")] if "--" in args else args
    return "--json" in own


def report(error: EvertrainError, *, is_json: bool) -> None:
    """Say on stderr what happened, why, and what to do."""
    if not is_json:
        print(f"evertrain: {error}", file=sys.stderr)
        return
    body = {"what": error.what, "why": error.why, "fix": error.fix}
    _print_json_error(type(error).__name__, error.exit_code, body)


def _report_usage(error: click.ClickException, *, is_json: bool) -> None:
    if not is_json:
        error.show()
        return
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "evertrain"
    body = {
        "what": error.format_message(),
        "why": "the command line cannot be understood.",
        "fix": f"{path} --help",
    }
    _print_json_error("UsageError", EXIT_USAGE, body)


def _print_json_error(kind: str, exit_code: int, body: dict[str, str]) -> None:
    error = {"kind": kind, "exit_code": exit_code, **body}
    print(json.dumps({"schema_version": 1, "error": error}), file=sys.stderr)
