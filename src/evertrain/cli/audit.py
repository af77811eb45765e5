"""`evertrain audit`: prove that a training resumes exactly, or say what does not.

Layer: cli.
"""

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evertrain import recipes
from evertrain.cli.render import clean, json_option, print_json, size
from evertrain.core.errors import EXIT_CORRUPT, EXIT_OK, UsageError
from evertrain.recipes.flags import FlagCommand
from evertrain.recipes.options import arguments, settings_options, settle

if TYPE_CHECKING:
    from evertrain.audit.compare import Difference
    from evertrain.audit.verdict import Verdict

EPILOG = """
Examples:

\b
  evertrain audit -- python train.py
  evertrain audit --kills 5 --until 2000 -- python train.py --lr 1e-3
  evertrain audit structure --preset small --until 24000

Exit codes: 0 bit-exact, 12 a difference, 1 the training fails undisturbed, 78 it uses
no Run, saves too rarely, or is over too soon.
"""


@click.command(cls=FlagCommand, epilog=EPILOG, options_metavar="[OPTIONS] --")
@click.option("--kills", default=3, show_default=True, metavar="N", help="How often to kill it.")
@click.option(
    "--steps-between-saves",
    "steps",
    type=int,
    metavar="N",
    help="Save at each multiple of N steps.  [default: a twentieth of the training]",
)
@click.option("--until", type=int, metavar="STEP", help="End the training there.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep both runs in DIR.  [default: only if they differ]",
)
@click.option("--seed", type=int, metavar="N", help="Seed of the moments of the kills.")
@settings_options
@json_option
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="COMMAND... | RECIPE")
def audit(  # noqa: PLR0913  (one parameter per option)
    words: tuple[str, ...],
    *,
    kills: int,
    steps: int | None,
    until: int | None,
    keep: Path | None,
    seed: int | None,
    file: Path | None,
    preset: str,
    overrides: tuple[str, ...],
    as_json: bool,
) -> int:
    """Train COMMAND undisturbed, then killed at random moments, and compare every checkpoint.

    Prints what was equal, or the first leaf that differs, with both values and the likely
    cause. The training must save by way of Run. Its output goes to the logs of the runs.
    """
    from evertrain.audit.audit import audit as examine
    from evertrain.audit.plan import AuditOptions

    options = AuditOptions(kills=kills, steps=steps, until=until, keep=keep, seed=seed)
    command = _command(words, file=file, preset=preset, overrides=overrides)
    say = partial(print, file=sys.stderr if as_json else sys.stdout, flush=True)
    verdict = examine(command, options, say=lambda line: say(clean(line)))
    if as_json:
        print_json(_body(verdict))
    else:
        for line in _lines(verdict):
            print(clean(line))
    return EXIT_OK if verdict.is_exact else EXIT_CORRUPT


def _command(
    words: tuple[str, ...], *, file: Path | None, preset: str, overrides: tuple[str, ...]
) -> list[str]:
    """Return the command that the words mean: themselves, or the training of a recipe.

    What a recipe writes for other programs would go where the real training has its own.
    """
    if len(words) == 1 and words[0] in recipes.names():
        recipe = recipes.find(words[0])
        if recipe.exports is not None:
            overrides += (f"{recipe.exports}=null",)
        settle(recipe, file=file, preset=preset, overrides=overrides)
        more = arguments(file=file, preset=preset, overrides=overrides)
        return [sys.executable, "-m", "evertrain.recipes", words[0], *more]
    if not words:
        raise UsageError(
            "there is nothing to audit.",
            "evertrain audit trains a command, given after --, or a recipe.",
            "For example: evertrain audit -- python train.py",
        )
    if file is not None or overrides or preset != "default":
        raise UsageError(
            f"--config, --preset and -o are settings of a recipe, and {words[0]!r} is none.",
            f"the recipes are: {', '.join(recipes.names())}.",
            "Give the command its own arguments behind --",
        )
    return list(words)


def _lines(verdict: "Verdict") -> list[str]:
    kills = f"{len(verdict.kills)} kill{'' if len(verdict.kills) == 1 else 's'}"
    lines = _compared(verdict)
    if verdict.failure is not None:
        lines.append(f"cannot resume: after {kills}, {verdict.failure}")
    if verdict.difference is not None:
        lines += _difference(verdict, verdict.difference)
    if verdict.kept is not None:
        lines.append(f"both runs: {verdict.kept}")
    if verdict.is_exact:
        leaves = f"{verdict.leaves} {'leaf' if verdict.leaves == 1 else 'leaves'}"
        lines.append(f"bit-exact: {leaves}, {size(verdict.bytes)}, {kills}")
    return lines


def _compared(verdict: "Verdict") -> list[str]:
    if not verdict.is_exact:
        return []
    lines = [f"equal: {verdict.checkpoints} checkpoints, {verdict.metrics} rows of metrics"]
    if verdict.ignored:
        names = ", ".join(verdict.ignored)
        lines.append(f"not compared, for two undisturbed trainings differ in them: {names}")
    return lines


def _difference(verdict: "Verdict", found: "Difference") -> list[str]:
    what = {"state": "leaf", "metrics": "metric", "checkpoints": "checkpoint"}[found.part]
    since = f", after the resume from step {verdict.resumed_at}" if verdict.resumed_at else ""
    lines = [
        f"different: {what} {found.path} at step {found.step}{since}",
        f"  undisturbed: {found.one}",
        f"  killed:      {found.two}",
    ]
    lines += [f"  {found.detail}"] if found.detail else []
    if found.part != "checkpoints":
        lines.append(
            f"  of the others at this step, {found.others} differ and {found.equal} do not"
        )
    if verdict.cause is not None:
        lines += [f"likely cause: {verdict.cause.what}", f"  fix: {verdict.cause.fix}"]
    return lines


def _body(verdict: "Verdict") -> dict[str, object]:
    difference = verdict.difference
    return {
        "ok": verdict.is_exact,
        "leaves": verdict.leaves,
        "bytes": verdict.bytes,
        "kills": list(verdict.kills),
        "checkpoints": verdict.checkpoints,
        "metrics": verdict.metrics,
        "ignored": list(verdict.ignored),
        "difference": None if difference is None else asdict(difference),
        "resumed_at": verdict.resumed_at,
        "nature": verdict.nature.value if verdict.nature else None,
        "cause": None if verdict.cause is None else asdict(verdict.cause),
        "failure": verdict.failure,
        "seed": verdict.seed,
        "kept": None if verdict.kept is None else str(verdict.kept),
    }
