"""What is to be trained, and where it is to begin: looked at before anything is started for it.

Layer: cli.
"""

from collections.abc import Sequence
from pathlib import Path

from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir
from evertrain.run.whose import check_recipe, recipe_in


def check_command(run_dir: Path, command: Sequence[str]) -> None:
    """Refuse a command that starts a recipe in a run of something else.

    What other commands train shows only when they open their run.

    Args:
        run_dir: The run, old or new.
        command: What is to be supervised there.

    Raises:
        ConfigError: The run is not that recipe's. Nothing was touched.
    """
    recipe = recipe_in(command)
    if recipe is not None:
        check_recipe(RunDir(run_dir), recipe, command)


def check_beginning(run_dir: Path, where: str, *, is_recipe: bool = False) -> None:
    """Refuse a checkpoint that is not there: no restart of the command would bring it.

    Only for what a `Run` has trained, or will train. What other commands resume from is the
    supervisor's to find.

    Args:
        run_dir: The run, old or new.
        where: Value of `--resume` or `--from`.
        is_recipe: Whether a recipe is to be started: then a `Run` trains in a new run, too.

    Raises:
        NotFoundError: It names what is not there.
        UsageError: It means nothing.
    """
    from evertrain.checkpoint.store import Store
    from evertrain.run.choose import check

    place = RunDir(run_dir.absolute())
    if where in {"auto", "never"}:
        return
    if is_recipe or Journal(place.journal).last("attempt_started") is not None:
        check(Store(place.checkpoints), where)
