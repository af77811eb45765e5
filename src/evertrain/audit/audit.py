"""The audit: train undisturbed, train with kills, compare.

Layer: audit. Imports run, supervise, monitor, checkpoint and core.
"""

import os
import random
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from evertrain.audit import evidence
from evertrain.audit.attempts import Interrupted, Training, disturbed, undisturbed
from evertrain.audit.compare import (
    Difference,
    first_difference,
    manifest_of,
    unstable_metrics,
)
from evertrain.audit.diagnose import Case, cause_of, nature_of, steps_of
from evertrain.audit.leaves import leaves
from evertrain.audit.plan import AuditOptions, strikes
from evertrain.audit.verdict import Verdict
from evertrain.checkpoint.store import Store
from evertrain.core import proc
from evertrain.core.clock import SYSTEM_CLOCK, Clock, human_duration
from evertrain.core.errors import ConfigError
from evertrain.core.fs import LOCAL_FS, make_dir
from evertrain.core.rundir import RunDir
from evertrain.monitor.metrics import read_metrics
from evertrain.run.audited.mandate import Mandate
from evertrain.supervise.command import check_command
from evertrain.supervise.reserve import Reserve
from evertrain.supervise.screen import Screen
from evertrain.supervise.signals import Signals
from evertrain.supervise.task import World

Say = Callable[[str], None]

_TRIES: Final = 3  # a fast training may be over before it is hit
_HASHES: Final = 2**32 - 1


def audit(
    command: Sequence[str],
    options: AuditOptions | None = None,
    *,
    say: Say = print,
    clock: Clock = SYSTEM_CLOCK,
) -> Verdict:
    """Train with `command` undisturbed and killed, and compare.

    Takes SIGINT, SIGTERM and SIGHUP while a training runs. Both runs are deleted if they are equal
    and `options.keep` names no place for them.

    Args:
        command: Program and arguments; it saves by way of `Run`.
        options: How often to kill, and the like.
        say: Gets one line for each thing that happens.
        clock: Source of the time.

    Raises:
        ConfigError: The command does not exist, uses no `Run`, saves too rarely, or is over too
            soon to be killed.
        EvertrainError: It fails although nobody disturbs it.
        KeyboardInterrupt: A person asked to stop.
    """
    check_command(command)
    options = options or AuditOptions()
    place = _place(options.keep)
    try:
        verdict = _audit(command, options, place, say, clock)
    except (KeyboardInterrupt, ConfigError):
        _tidy(place, options)
        raise
    if not verdict.is_exact or options.keep is not None:
        return replace(verdict, kept=place)
    _tidy(place, options)
    return verdict


def _audit(
    command: Sequence[str], options: AuditOptions, place: Path, say: Say, clock: Clock
) -> Verdict:
    proc.become_subreaper()
    nowhere = Screen(os.open(os.devnull, os.O_WRONLY), clock=clock)
    training = Training(
        command=tuple(command),
        mandate=Mandate(steps=options.steps, until=options.until),
        world=World(screen=nowhere, signals=Signals(), clock=clock, reserve=Reserve(nowhere)),
    )
    return _Audit(training, options, place, say).verdict()


def _place(keep: Path | None) -> Path:
    """Return a new directory for the runs.

    Raises:
        ConfigError: There is something in it.
    """
    if keep is None:
        place = Path(tempfile.gettempdir()) / f"evertrain-audit-{secrets.token_hex(4)}"
    else:
        place = keep.absolute()
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise ConfigError(
            f"--keep {keep}: there is something already.",
            "an audit needs a place where no run has trained.",
            "Name a new directory.",
        )
    make_dir(place)
    return place


def _tidy(place: Path, options: AuditOptions) -> None:
    if options.keep is None:
        LOCAL_FS.rmtree(place)


class _Audit:
    """One audit, from its first training to its last."""

    def __init__(self, training: Training, options: AuditOptions, place: Path, say: Say) -> None:
        self._training = training
        self._options = options
        self._place = place
        self._say = say
        self._seed = secrets.randbelow(2**32) if options.seed is None else options.seed
        self._chance = random.Random(self._seed)  # noqa: S311  (when to kill is no secret)
        self._seeds = _distinct(self._chance)
        self._whole_seed = next(self._seeds)
        self._killed_seeds: list[int] = []
        self._whole = RunDir(place / "undisturbed")

    def verdict(self) -> Verdict:
        """Train, compare, judge.

        Raises:
            EvertrainError: As `audit`.
        """
        self._train(self._training, self._whole, self._whole_seed, "undisturbed")
        steps = steps_of(self._whole)
        if not steps:
            raise ConfigError(
                "the training has saved no checkpoint.",
                "there is nothing to compare, and nothing to resume from.",
                "Let it take at least one step.",
            )
        killed, story = self._kill(steps)
        known = replace(self._measured(steps), kills=story.steps, failure=story.failure)
        if story.failure is not None:
            return known
        difference = first_difference(self._whole, killed)
        if difference is not None and difference.part == "metrics":
            known, difference = self._without_noise(known, killed)
        return known if difference is None else self._explained(known, killed, difference)

    def _train(self, training: Training, run: RunDir, hash_seed: int, what: str) -> None:
        clock = training.world.clock
        began_s = clock.monotonic_s()
        undisturbed(training, run, hash_seed=hash_seed)
        took = human_duration(clock.monotonic_s() - began_s)
        steps = steps_of(run)
        last = f", the last one of step {steps[-1]}" if steps else ""
        self._say(f"{what}: {len(steps)} checkpoints{last}, {took}")

    def _kill(self, steps: list[int]) -> tuple[RunDir, Interrupted]:
        """Train with kills; once more from the beginning if it was over too soon for one."""
        kills, training = self._options.kills, self._paced(self._options.until)
        pace_s, hits = self._pace_s(), 0
        for number in range(1, _TRIES + 1):
            run = RunDir(self._place / ("killed" if number == 1 else f"killed-{number}"))
            planned = strikes(steps, kills, pace_s / number, self._chance)
            self._killed_seeds = []
            story = disturbed(
                training, run, planned=planned, steps=steps, hash_seeds=self._next_seeds()
            )
            at, hits = ", ".join(map(str, story.steps)) or "none", len(story.steps)
            is_over = hits == kills or story.failure is not None
            missed = "" if is_over else f"; {kills - hits} of {kills} missed"
            self._say(f"killed: SIGKILL behind the checkpoints {at} (--seed {self._seed}){missed}")
            if is_over:
                return run, story
        raise ConfigError(
            f"only {hits} of {kills} kills hit: the training was over too soon.",
            "each attempt has to save a checkpoint before it is killed.",
            "Train longer, save more often (--steps-between-saves N), or kill less (--kills N).",
        )

    def _paced(self, until: int | None) -> Training:
        """Return the training with the saves of the undisturbed one, wherever it ends."""
        every = evidence.steps_between_saves(evidence.read_looks(self._whole))
        steps = self._options.steps if every is None else every
        return replace(self._training, mandate=Mandate(steps=steps, until=until))

    def _next_seeds(self) -> Iterator[int]:
        for seed in self._seeds:
            self._killed_seeds.append(seed)
            yield seed

    def _pace_s(self) -> float:
        """Return the mean time between two checkpoints of the undisturbed training, seconds."""
        found = Store(self._whole.checkpoints).list()
        return (found[-1].saved_at_s - found[0].saved_at_s) / max(1, len(found) - 1)

    def _measured(self, steps: list[int]) -> Verdict:
        last = manifest_of(self._whole, steps[-1])
        return Verdict(
            kills=(),
            seed=self._seed,
            leaves=len(leaves(last)),
            bytes=last.size_bytes,
            checkpoints=len(steps),
            metrics=len(read_metrics(self._whole)),
        )

    def _without_noise(self, known: Verdict, killed: RunDir) -> tuple[Verdict, Difference | None]:
        """Compare without the metrics that are never the same twice, such as a speed."""
        again = RunDir(self._place / "again")
        self._train(self._training, again, self._whole_seed, "undisturbed again")
        ignored = unstable_metrics(read_metrics(self._whole), read_metrics(again))
        known = replace(known, ignored=tuple(sorted(ignored)))
        return known, first_difference(self._whole, killed, ignoring=ignored)

    def _explained(self, known: Verdict, killed: RunDir, difference: Difference) -> Verdict:
        def train(run: RunDir, hash_seed: int, through: int) -> None:
            what = "again" if hash_seed == self._whole_seed else "with another PYTHONHASHSEED"
            self._train(self._paced(through), run, hash_seed, f"undisturbed {what}")

        case = Case(
            whole=self._whole,
            whole_seed=self._whole_seed,
            killed=killed,
            killed_seeds=self._killed_seeds,
            difference=difference,
            train=train,
        )
        nature = nature_of(case)
        return replace(
            known,
            difference=difference,
            resumed_at=next(reversed(case.resumes), None),
            nature=nature,
            cause=cause_of(case, nature),
        )


def _distinct(chance: random.Random) -> Iterator[int]:
    """Yield seeds of the hashes, each another one; 0 would switch them off."""
    seen: set[int] = set()
    while True:
        seed = chance.randint(1, _HASHES)
        if seed not in seen:
            seen.add(seed)
            yield seed
