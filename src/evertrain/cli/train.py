"""`evertrain train RECIPE`: a shipped training, supervised.

Layer: cli.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evertrain import recipes
from evertrain.cli.beginning import check_beginning, check_command
from evertrain.cli.notification import notify_options
from evertrain.cli.supervision import resume_option, supervision_options
from evertrain.core.errors import UsageError
from evertrain.recipes.flags import FlagCommand
from evertrain.recipes.options import arguments, run_option, settings_options, settle

if TYPE_CHECKING:
    from evertrain.supervise.notify.courier import Subscription


@click.command(
    cls=FlagCommand,
    context_settings={"allow_extra_args": True},  # told below, better than click would
    epilog="Example: evertrain train structure --preset small --run runs/first\n\n"
    "The settings: evertrain config show RECIPE --origin. Ctrl+C stops at the next safe "
    "point, twice forces. The same command again goes on with the same run.",
)
@click.argument("recipe")
@settings_options
@run_option
@resume_option
@supervision_options
@notify_options
@click.pass_context
def train(  # noqa: PLR0913  (one parameter per option of a recipe)
    context: click.Context,
    /,
    *,
    recipe: str,
    file: Path | None,
    preset: str,
    overrides: tuple[str, ...],
    run_dir: str | None,
    resume: str,
    subscription: "Subscription | None",
    **options: Any,
) -> int:
    """Train RECIPE, and start it again whenever it crashes, until it is done.

    Faults of the configuration are all told before anything starts.
    """
    from evertrain.supervise.loop import supervise
    from evertrain.supervise.options import SuperviseOptions

    if context.args:
        raise _too_much(recipe, context.args[0])
    settle(recipes.find(recipe), file=file, preset=preset, overrides=overrides)
    words = arguments(file=file, preset=preset, overrides=overrides)
    command = [sys.executable, "-m", "evertrain.recipes", recipe, *words]
    place = run_dir or f"runs/{recipe}"
    check_command(Path(place), command)
    resume = recipes.find(recipe).place(resume, Path(place))
    chosen = SuperviseOptions(resume=resume, **options)
    check_beginning(Path(place), resume, is_recipe=True)
    return supervise(command, place, chosen, subscription=subscription)


def _too_much(recipe: str, word: str) -> UsageError:
    return UsageError(
        f"train {recipe} was also given {word!r}.",
        "it takes the name of a recipe, and options; a run goes on where it was by itself.",
        f"To go back to a checkpoint: evertrain train {recipe} --resume {word}",
    )
