"""Run a training to its end: left alone, or killed again and again.

The shim of the supervisor holds each attempt: nothing of it survives, also when the audit
itself is killed.

Layer: audit. Imports run, supervise, checkpoint and core.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evertrain.audit.killer import Killer, newest_step
from evertrain.audit.plan import Strike, next_strike
from evertrain.core.errors import ConfigError, EvertrainError
from evertrain.core.fs import make_dir
from evertrain.core.rundir import RunDir
from evertrain.run.audited.mandate import Mandate
from evertrain.supervise.attempt import Later, Outcome, run_attempt
from evertrain.supervise.cause import name_of, read_tail
from evertrain.supervise.history import read_story
from evertrain.supervise.options import SuperviseOptions
from evertrain.supervise.task import Task, World
from evertrain.supervise.wire import Order

GRACE_S: Final = 5.0  # of a training that nobody will resume
_LINES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """The command to audit.

    Attributes:
        command: Program and arguments.
        mandate: How it saves, and where it ends.
        world: Signals to obey, and a screen that nobody looks at.
    """

    command: tuple[str, ...]
    mandate: Mandate
    world: World


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A training that was killed again and again.

    Attributes:
        steps: Newest checkpoint at each kill, in order.
        failure: Why an attempt could not go on after a kill, or None.
    """

    steps: tuple[int, ...]
    failure: str | None = None


def undisturbed(training: Training, run: RunDir, *, hash_seed: int) -> None:
    """Train in `run` to the end.

    Raises:
        KeyboardInterrupt: A person asked to stop.
        ConfigError: It is no training of evertrain's, or saved nothing.
        EvertrainError: It failed.
    """
    outcome = _attempt(training, run, 1, hash_seed)
    story = read_story(run, 1)
    if outcome.code == 0 and story.is_finished:
        return
    if outcome.code == 0 and not story.is_run:
        raise ConfigError(
            f"{training.command[0]!r} has ended, and never opened a Run.",
            "an audit compares the checkpoints that evertrain's Run saves.",
            "Save the training's state with Run (docs/api.md), then audit it.",
        )
    if outcome.code == 0:
        raise EvertrainError(
            "the training has ended without finishing its run.",
            "without an end there is nothing to compare at last.",
            "Let its loop run until it ends by itself, or give an end: --until STEP",
        )
    raise EvertrainError(
        f"the undisturbed training failed with {name_of(outcome.code)}.",
        f"it ends with: {_last_words(run, 1)}",
        f"Mend it first; its whole output is in {run.log(1)}",
    )


def disturbed(
    training: Training,
    run: RunDir,
    *,
    planned: Sequence[Strike],
    steps: Sequence[int],
    hash_seeds: Iterator[int],
) -> Interrupted:
    """Train in `run` to the end, killed with SIGKILL at `planned` moments.

    Args:
        training: What to train.
        run: Where.
        planned: When to kill.
        steps: Of the checkpoints of the undisturbed training, ascending.
        hash_seeds: Another one for each attempt.

    Raises:
        KeyboardInterrupt: A person asked to stop.
    """
    hits: list[int] = []
    number = 0
    while True:
        number += 1
        newest = newest_step(run) if hits else None
        strike = (
            next_strike(planned[len(hits)], steps, newest) if len(hits) < len(planned) else None
        )
        with Killer(run, strike, clock=training.world.clock) as killer:
            outcome = _attempt(training, run, number, next(hash_seeds))
        is_finished = read_story(run, number).is_finished
        if killer.has_hit and not is_finished:
            hits.append(newest_step(run))
        elif is_finished:
            return Interrupted(tuple(hits))
        else:
            return Interrupted(tuple(hits), _why_not(run, number, outcome, is_resumed=bool(hits)))


def _attempt(training: Training, run: RunDir, number: int, hash_seed: int) -> Outcome:
    command = list(training.command)
    options, cwd = SuperviseOptions(), Path.cwd()
    task = Task(command=command, run_dir=run, shown=run.path, options=options, cwd=cwd)
    env = task.environment(number, resume="auto" if number > 1 else None)
    env |= training.mandate.environment() | {"PYTHONHASHSEED": str(hash_seed)}
    make_dir(run.logs)
    order = Order(
        command=command,
        env=env,
        run=str(run.path),
        attempt=number,
        grace_s=GRACE_S,
        size=None,
    )
    never = Later(math.inf, lambda: None)
    with training.world.signals:
        outcome = run_attempt(order, training.world, never)
    if outcome.stop_requested:
        raise KeyboardInterrupt
    return outcome


def _why_not(run: RunDir, number: int, outcome: Outcome, *, is_resumed: bool) -> str:
    when = "the attempt after it" if is_resumed else "the training, not yet killed,"
    return f"{when} ended with {name_of(outcome.code)}: {_last_words(run, number)}"


def _last_words(run: RunDir, number: int) -> str:
    """Return the end of an attempt's output: its exception, with what belongs to it."""
    tail = read_tail(run.log(number))
    lines = [line.strip() for line in tail.lines if line.strip()]
    if tail.exception in lines:
        place = len(lines) - 1 - lines[::-1].index(tail.exception)
        return " / ".join(lines[place : place + _LINES])
    return " / ".join(lines[-_LINES:]) or "no output"
