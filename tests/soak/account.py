"""What a soak comes to: faults by class, resumes, work done twice. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One fault, and what became of the run.

    Attributes:
        label: Class of the fault.
        what: What was hit, for people.
        problem: What was lost by it that must not be; None if nothing was.
        twice_steps: Steps that had to be done again.
        seconds: How long it took until the run was further than before.
    """

    label: str
    what: str
    problem: str | None = None
    twice_steps: int = 0
    seconds: float = 0.0


def table(labels: Sequence[str], cases: Sequence[Case]) -> list[str]:
    """Return a table of the classes in the order of `labels`, and a row for all of them."""
    lines = [
        "| fault | injected | survived | lost | steps done twice | until it was further, mean |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_row(label, [each for each in cases if each.label == label]) for label in labels]
    return [*lines, _row("all", cases)]


def _row(label: str, cases: Sequence[Case]) -> str:
    lost = sum(each.problem is not None for each in cases)
    twice = sum(each.twice_steps for each in cases)
    mean_s = sum(each.seconds for each in cases) / len(cases) if cases else 0.0
    numbers = f"{len(cases):,} | {len(cases) - lost:,} | {lost:,} | {twice:,} | {mean_s:.1f} s"
    return f"| {label} | {numbers} |"
