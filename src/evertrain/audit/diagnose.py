"""What it takes for two trainings to differ, and the likely cause.

A difference alone does not blame the resume. So the training runs undisturbed once more with
the same seed of the hashes, then with another one: what differs there needs no kill to differ.

Layer: audit. Imports its siblings, checkpoint and core.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evertrain.audit import evidence
from evertrain.audit.cause import Cause, Evidence, Nature, likely_cause
from evertrain.audit.compare import Difference, first_difference, manifest_of
from evertrain.checkpoint.catalog import step_names
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir

# Trains undisturbed: where, with which seed of the hashes, through which step.
Train = Callable[[RunDir, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Two runs that differ.

    Attributes:
        whole: The undisturbed one.
        whole_seed: Its seed of the hashes.
        killed: The other one.
        killed_seeds: Those of its attempts, in order.
        difference: The first one.
        train: Trains once more.
    """

    whole: RunDir
    whole_seed: int
    killed: RunDir
    killed_seeds: Sequence[int]
    difference: Difference
    train: Train

    @property
    def again(self) -> RunDir:
        """A second undisturbed run, if there is one."""
        return RunDir(self.whole.path.with_name("again"))

    @property
    def resumes(self) -> list[int]:
        """Steps that the killed run resumed from, before the difference, in order."""
        rows = Journal(self.killed.journal).events("resumed")
        steps = [int(row["step"]) for row in rows]
        return [each for each in steps if 0 < each < self.difference.step]


def nature_of(case: Case) -> Nature:
    """Train undisturbed once or twice more, to see what it takes to differ.

    A metric that differs without a kill was left out already.
    """
    if case.difference.part == "metrics":
        return Nature.RESUME
    if _differs(case, case.again, case.whole_seed):
        return Nature.CHANCE
    other = RunDir(case.whole.path.with_name("other-hashes"))
    return Nature.HASHES if _differs(case, other, _seed_of(case)) else Nature.RESUME


def cause_of(case: Case, nature: Nature) -> Cause:
    """Return the likely cause of the difference."""
    seen, whole = evidence.read_looks(case.killed), evidence.read_looks(case.whole)
    resumes = case.resumes
    guilty = [step for step in resumes if evidence.forgotten(seen, step)]
    resumed_at = next(reversed(guilty or resumes), None)
    between = [
        step for step in steps_of(case.whole) if (resumed_at or 0) < step < case.difference.step
    ]
    return likely_cause(
        Evidence(
            first=case.difference,
            nature=nature,
            resumed_at=resumed_at,
            is_first_save=resumed_at is not None and not between,
            forgotten=[] if resumed_at is None else evidence.forgotten(seen, resumed_at),
            unlike=evidence.unlike_at_start(whole, evidence.read_looks(case.again)),
            clocks=evidence.clocks(whole),
            sets=evidence.sets(whole),
        )
    )


def steps_of(run: RunDir) -> list[int]:
    """Return the steps of a run's checkpoints, ascending."""
    return [int(name) for name in step_names(run.checkpoints)]


def _differs(case: Case, run: RunDir, hash_seed: int) -> bool:
    case.train(run, hash_seed, case.difference.step)
    return first_difference(case.whole, run, through=case.difference.step) is not None


def _seed_of(case: Case) -> int:
    """Return the seed of the hashes of the attempt that wrote the checkpoint that differs."""
    step = case.difference.step
    if step in steps_of(case.killed):
        attempt = manifest_of(case.killed, step).attempt
        if 0 < attempt <= len(case.killed_seeds):
            return case.killed_seeds[attempt - 1]
    return case.killed_seeds[-1]
