"""`evertrain calibrate`: measure each rung of a ladder, and recommend one.

Layer: cli.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evertrain.cli.duration import DURATION
from evertrain.cli.render import Column, clean, json_option, print_json, print_table
from evertrain.core.errors import EXIT_OK, UsageError
from evertrain.core.rundir import RunDir

if TYPE_CHECKING:
    from evertrain.supervise.ladder.rung import Ladder
    from evertrain.supervise.ladder.table import Line

EPILOG = """
Examples:

\b
  evertrain calibrate --ladder ladder.yaml --budget 2h -- python train.py
  evertrain calibrate --ladder ladder.yaml --budget 30m --checkpoints 'models/*.pt' \\
      --resume-arg '--resume {path}' -- python train.py

The training goes on meanwhile: each turn resumes where the last one stopped. Ctrl+C keeps
what was measured, and the same command measures on. Exit codes: 0 measured, 20 gave up,
75 stopped, 78 configuration error.
"""


@click.command(
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
    epilog=EPILOG,
    options_metavar="[OPTIONS] --",
)
@click.option(
    "--ladder",
    required=True,
    metavar="FILE",
    help="Settings from most aggressive to safest.",
)
@click.option(
    "--budget", "budget_s", type=DURATION, required=True, metavar="TIME", help="Such as 2h or 90m."
)
@click.option("--run", "run_dir", metavar="DIR", help="Run directory, as of evertrain run.")
@click.option(
    "--delay",
    "delay_s",
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Pause before each restart after a crash.",
)
@click.option(
    "--grace",
    "grace_s",
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest time that a graceful stop may take.",
)
@click.option("--checkpoints", metavar="GLOB", help="As of evertrain run.")
@click.option("--resume-arg", metavar="TEMPLATE", help="As of evertrain run.")
@click.option("--progress", metavar="REGEX", help="As of evertrain run: it tells the speed.")
@json_option
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="COMMAND...")
def calibrate(  # noqa: PLR0913  (one parameter per option)
    command: tuple[str, ...],
    *,
    ladder: str,
    budget_s: float,
    run_dir: str | None,
    delay_s: float,
    grace_s: float,
    checkpoints: str | None,
    resume_arg: str | None,
    progress: str | None,
    as_json: bool,
) -> int:
    """Train COMMAND on each rung of a ladder in turn, and say which one gets on best.

    A table shows each rung's speed, its crashes an hour with a 95 % interval, and what is
    left of the speed after crashes; the run remembers it for evertrain run --ladder.
    """
    from evertrain.supervise.command import check_command, default_run_dir
    from evertrain.supervise.ladder.climber import mark_calibrated, view_in
    from evertrain.supervise.ladder.file import read_ladder
    from evertrain.supervise.ladder.policy import Survey
    from evertrain.supervise.ladder.table import lines_of, recommended
    from evertrain.supervise.loop import supervise
    from evertrain.supervise.options import SuperviseOptions
    from evertrain.supervise.screen import Screen

    if budget_s <= 0:
        raise UsageError("--budget is 0.", "nothing is measured in no time.", "Such as: 2h")
    options = SuperviseOptions(
        max_crashes=0,
        delay_s=delay_s,
        grace_s=grace_s,
        checkpoints=checkpoints,
        resume_arg=resume_arg,
        progress=progress,
        ladder=ladder,
    )
    check_command(list(command))
    place = Path(run_dir) if run_dir else default_run_dir(list(command))
    rungs = read_ladder(ladder, command)
    screen = Screen(sys.stderr.fileno()) if as_json else Screen()
    code = supervise(command, place, options, screen=screen, policy=Survey(budget_s))
    run = RunDir(place.absolute())
    view = view_in(run, rungs)
    best = recommended(view)
    if code == EXIT_OK:
        mark_calibrated(run, rungs, best)
    lines = lines_of(view, rungs)
    if as_json:
        print_json(_body(lines, rungs, best, is_complete=code == EXIT_OK))
    else:
        _print(lines, rungs, best, is_complete=code == EXIT_OK)
    return code


def _print(lines: "list[Line]", ladder: "Ladder", best: int | None, *, is_complete: bool) -> None:
    from evertrain.supervise.ladder.table import HEAD, cells

    print()
    columns = [Column(title, "left" if title in {"rung", "verdict"} else "right") for title in HEAD]
    print_table(columns, [cells(line) for line in lines])
    print()
    if best is None:
        print("No rung can be recommended: none was seen to make a step.")
        print("Of a program that is no Run, --checkpoints or --progress tells its steps.")
        return
    rung = ladder.rungs[best]
    word = "Recommended" if is_complete else "The best so far"
    print(clean(f"{word}: {rung.name}" + (f" ({rung.settings})" if rung.settings else "")))


def _body(
    lines: "list[Line]", ladder: "Ladder", best: int | None, *, is_complete: bool
) -> dict[str, Any]:
    return {
        "is_complete": is_complete,
        "recommended": None if best is None else ladder.rungs[best].name,
        "rungs": [
            {
                "name": line.name,
                "settings": line.settings,
                "trained_s": line.trained_s,
                "crashes": line.crashes,
                "steps_per_s": line.steps_per_s,
                "crashes_per_h": _interval(line.crashes_per_h),
                "net_steps_per_h": _interval(line.net_per_h),
                "verdict": line.verdict,
            }
            for line in lines
        ],
    }


def _interval(found: tuple[float, float, float] | None) -> dict[str, float] | None:
    if found is None:
        return None
    return {"expected": found[0], "low": found[1], "high": found[2]}
