"""What a diagnosis is: the kind of death, what speaks for it, and what to do about it.

Layer: supervise. Imports core only.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

Kind = Literal[
    "exit",
    "signal",
    "native crash",
    "kernel OOM",
    "CUDA OOM",
    "memory error",
    "exception",
    "NaN",
    "hang",
    "exit hang",
    "preemption",
    "disk full",
    "config",
    "lost",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Why an attempt died.

    Attributes:
        kind: One of fourteen words, for programs.
        summary: One line, for people.
        evidence: What speaks for it, a line each, the strongest first.
        advice: What a person can do, a line each; empty where nothing specific is known.
        fingerprint: Kind, exception, frame and step: two deaths with the same one died in the
            same way at the same place.
    """

    kind: Kind
    summary: str
    evidence: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    fingerprint: str = ""


def kind_of(text: object) -> Kind:
    """Return the kind that a file names; "exit", which says least, for anything else."""
    return next((each for each in KINDS if each == text), "exit")
