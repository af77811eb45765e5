"""What an audit found.

Layer: audit. Imports its siblings.
"""

from dataclasses import dataclass
from pathlib import Path

from evertrain.audit.cause import Cause, Nature
from evertrain.audit.compare import Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome of one audit.

    Attributes:
        kills: Newest checkpoint at each kill, in order.
        seed: Of the moments of the kills and of the hashes.
        leaves: Leaves of the last checkpoint.
        bytes: Its size.
        checkpoints: How many were compared.
        metrics: How many rows of metrics were compared.
        ignored: Metrics that differ between two undisturbed trainings, too.
        difference: The first one, or None.
        resumed_at: Step of the last resume before it, or None.
        nature: What it takes to differ, or None.
        cause: Why, or None.
        failure: Why the killed training could not go on, or None.
        kept: Where both runs are, or None.
    """

    kills: tuple[int, ...]
    seed: int
    leaves: int = 0
    bytes: int = 0
    checkpoints: int = 0
    metrics: int = 0
    ignored: tuple[str, ...] = ()
    difference: Difference | None = None
    resumed_at: int | None = None
    nature: Nature | None = None
    cause: Cause | None = None
    failure: str | None = None
    kept: Path | None = None

    @property
    def is_exact(self) -> bool:
        """Whether the killed training ended where it would have ended."""
        return self.difference is None and self.failure is None
