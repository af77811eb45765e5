"""`evertrain run`: any command, supervised.

Layer: cli.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evertrain.cli.beginning import check_beginning, check_command
from evertrain.cli.notification import notify_options
from evertrain.cli.supervision import resume_option, supervision_options

if TYPE_CHECKING:
    from evertrain.supervise.notify.courier import Subscription

EPILOG = """
Examples:

\b
  evertrain run -- python train.py
  evertrain run --max-crashes 20 --delay 3 -- bash train.sh
  evertrain run --checkpoints 'models/model_ep*.pt' \\
      --resume-arg '--resume {path}' -- python train.py
  evertrain run --max-crashes 0 --ladder ladder.yaml -- python train.py

Ctrl+C stops at the next safe point, twice forces, three times kills. Exit codes: 0 done,
11 locked, 20 gave up, 75 stopped (resumable), 78 configuration error, 130 forced.
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
@supervision_options
@notify_options
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
    "--progress",
    metavar="REGEX",
    help="Finds the command's step in its output; a group holds the number, such as 'step (\\d+)'.",
)
@click.option(
    "--progress-file",
    metavar="GLOB",
    help="Files that the command writes as it gets on, such as 'logs/*.csv'.",
)
@resume_option
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="COMMAND...")
def run(
    command: tuple[str, ...],
    *,
    run_dir: str | None,
    resume: str,
    subscription: "Subscription | None",
    **options: Any,
) -> int:
    """Run COMMAND, and start it again whenever it crashes, until it is done.

    A program that uses evertrain resumes by itself. For any other one, say where its
    checkpoints are, how it is told to resume from one, and what shows that it gets on.
    """
    from evertrain.supervise.command import default_run_dir
    from evertrain.supervise.loop import supervise
    from evertrain.supervise.options import SuperviseOptions

    chosen = SuperviseOptions(resume=resume, **options)
    if command:
        place = Path(run_dir) if run_dir else default_run_dir(list(command))
        check_command(place, command)
        if chosen.checkpoints is None:
            check_beginning(place, resume)
    return supervise(command, run_dir, chosen, subscription=subscription)
