"""`evertrain train RECIPE`: a shipped training, supervised.

Layer: cli.
"""

import os
import sys
from pathlib import Path

import click

from evertrain import recipes
from evertrain.cli.config import override_option
from evertrain.cli.supervision import resume_option, supervision_options


@click.command(
    epilog="Example: evertrain train structure --preset small --run runs/first\n\n"
    "The settings: evertrain config show RECIPE --origin. Ctrl+C stops at the next safe "
    "point, twice forces. The same command again goes on with the same run."
)
@click.argument("recipe")
@click.option("--config", "file", type=click.Path(), help="YAML file over the preset.")
@click.option("--preset", default="default", show_default=True, help="Settings below the file.")
@override_option
@click.option("--run", "run_dir", metavar="DIR", help="Run directory.  [default: runs/RECIPE]")
@resume_option
@supervision_options
def train(  # noqa: PLR0913  (one parameter per option)
    *,
    recipe: str,
    file: str | None,
    preset: str,
    overrides: tuple[str, ...],
    run_dir: str | None,
    resume: str,
    max_crashes: int,
    delay_s: float,
    grace_s: float,
) -> int:
    """Train RECIPE, and start it again whenever it crashes, until it is done.

    Faults of the configuration are all told before anything starts.
    """
    from evertrain.config import resolve
    from evertrain.supervise.loop import supervise
    from evertrain.supervise.options import SuperviseOptions

    found = recipes.find(recipe)
    resolve(
        found.config_model,
        file=file,
        overrides=overrides,
        environ=os.environ,
        preset=found.preset_named(preset),
    )
    command = [sys.executable, "-m", "evertrain.recipes", recipe, "--preset", preset]
    if file is not None:
        command += ["--config", str(Path(file).absolute())]
    for each in overrides:
        command += ["-o", each]
    options = SuperviseOptions(
        max_crashes=max_crashes, delay_s=delay_s, grace_s=grace_s, resume=resume
    )
    return supervise(command, run_dir or f"runs/{recipe}", options)
