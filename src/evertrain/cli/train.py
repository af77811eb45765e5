"""`evertrain train RECIPE`: a shipped training, supervised.

Layer: cli.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evertrain import recipes
from evertrain.cli.beginning import check_beginning
from evertrain.cli.notification import notify_options
from evertrain.cli.supervision import resume_option, supervision_options
from evertrain.recipes.options import arguments, run_option, settings_options, settle

if TYPE_CHECKING:
    from evertrain.supervise.notify.courier import Subscription


@click.command(
    epilog="Example: evertrain train structure --preset small --run runs/first\n\n"
    "The settings: evertrain config show RECIPE --origin. Ctrl+C stops at the next safe "
    "point, twice forces. The same command again goes on with the same run."
)
@click.argument("recipe")
@settings_options
@run_option
@resume_option
@supervision_options
@notify_options
def train(  # noqa: PLR0913  (one parameter per option)
    *,
    recipe: str,
    file: Path | None,
    preset: str,
    overrides: tuple[str, ...],
    run_dir: str | None,
    resume: str,
    max_crashes: int | None,
    window_s: float | None,
    delay_s: float,
    backoff: bool,
    reseed: bool,
    min_goodput: float | None,
    grace_s: float,
    hang: str,
    hang_timeout_s: float | None,
    ladder: str | None,
    subscription: "Subscription | None",
) -> int:
    """Train RECIPE, and start it again whenever it crashes, until it is done.

    Faults of the configuration are all told before anything starts.
    """
    from evertrain.supervise.loop import supervise
    from evertrain.supervise.options import SuperviseOptions

    settle(recipes.find(recipe), file=file, preset=preset, overrides=overrides)
    words = arguments(file=file, preset=preset, overrides=overrides)
    command = [sys.executable, "-m", "evertrain.recipes", recipe, *words]
    options = SuperviseOptions(
        max_crashes=max_crashes,
        window_s=window_s,
        delay_s=delay_s,
        backoff=backoff,
        reseed=reseed,
        min_goodput=min_goodput,
        grace_s=grace_s,
        resume=resume,
        hang=hang,
        hang_timeout_s=hang_timeout_s,
        ladder=ladder,
    )
    place = run_dir or f"runs/{recipe}"
    check_beginning(Path(place), resume)
    return supervise(command, place, options, subscription=subscription)
