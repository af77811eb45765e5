"""`evertrain run`: any command, supervised.

Layer: cli.
"""

import click

EPILOG = """
Examples:

\b
  evertrain run -- python train.py
  evertrain run --max-crashes 20 --delay 3 -- bash train.sh
  evertrain run --checkpoints 'models/model_ep*.pt' \\
      --resume-arg '--resume {path}' -- python train.py

Ctrl+C stops at the next safe point, twice forces, three times kills. Exit codes: 0 done,
11 locked, 20 gave up, 75 stopped (resumable), 78 configuration error.
"""


@click.command(
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
    epilog=EPILOG,
    options_metavar="[OPTIONS] --",
)
@click.option(
    "--run",
    "run_dir",
    metavar="DIR",
    help="Run directory, new or old.  [default: runs/ and the name of the script]",
)
@click.option(
    "--max-crashes",
    default=10,
    show_default=True,
    metavar="N",
    help="Stop at the N-th crash; 0 is unlimited.",
)
@click.option(
    "--delay",
    "delay_s",
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Pause before each restart.",
)
@click.option(
    "--grace",
    "grace_s",
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest time that a graceful stop may take.",
)
@click.option(
    "--checkpoints",
    metavar="GLOB",
    help="Files that the command itself saves, such as 'models/model_ep*.pt'.",
)
@click.option(
    "--resume-arg",
    metavar="TEMPLATE",
    help="Appended to the command when there is such a file, such as '--resume {path}'; "
    "{step} is the number in its name.",
)
@click.option(
    "--resume",
    default="auto",
    show_default=True,
    metavar="WHERE",
    help="Where the first attempt begins: auto, never, must, latest, best, a step, "
    "stage:N, last-stage or a path.",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="COMMAND...")
def run(  # noqa: PLR0913  (one parameter per option)
    command: tuple[str, ...],
    *,
    run_dir: str | None,
    max_crashes: int,
    delay_s: float,
    grace_s: float,
    checkpoints: str | None,
    resume_arg: str | None,
    resume: str,
) -> int:
    """Run COMMAND, and start it again whenever it crashes, until it is done.

    A program that uses evertrain resumes by itself. For any other one, say where its
    checkpoints are and how it is told to resume from one.
    """
    from evertrain.supervise.loop import supervise
    from evertrain.supervise.options import SuperviseOptions

    options = SuperviseOptions(
        max_crashes=max_crashes,
        delay_s=delay_s,
        grace_s=grace_s,
        checkpoints=checkpoints,
        resume_arg=resume_arg,
        resume=resume,
    )
    return supervise(command, run_dir, options)
