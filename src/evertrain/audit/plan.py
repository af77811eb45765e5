"""What to audit, and where to kill: pure.

Layer: audit. Imports core.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evertrain.core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOptions:
    """How a training is audited.

    Attributes:
        kills: How often it is killed, 1 or more.
        steps: Steps between two saves, 1 or more; None is a twentieth of its length.
        until: Step at which it ends, 1 or more; None is where it would end anyway.
        keep: Directory for both runs, new or empty; None keeps them only if they differ.
        seed: Of the moments of the kills and of the hashes; None chooses one.

    Raises:
        ConfigError: Some values cannot work. All of them are named at once.
    """

    kills: int = 3
    steps: int | None = None
    until: int | None = None
    keep: Path | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        """Reject values that cannot work."""
        given = {
            "--kills": self.kills,
            "--steps-between-saves": self.steps,
            "--until": self.until,
        }
        broken = [
            f"{name} is {value}" for name, value in given.items() if value is not None and value < 1
        ]
        if broken:
            raise ConfigError(
                "; ".join(broken) + ".",
                "an audit needs a checkpoint to resume from, and a kill.",
                "Give 1 or more; see: evertrain audit --help",
            )


@dataclass(frozen=True, slots=True)
class Strike:
    """When to kill.

    Attributes:
        step: Not before the checkpoint of this step is there.
        delay_s: So long after it, seconds.
    """

    step: int
    delay_s: float


def strikes(steps: Sequence[int], kills: int, pace_s: float, rng: random.Random) -> list[Strike]:
    """Return random moments to kill at, spread over the training, ascending.

    Args:
        steps: Of the checkpoints of the undisturbed training, ascending.
        kills: How many.
        pace_s: Mean time between two of them, seconds.
        rng: Source of chance.

    Raises:
        ConfigError: There are too few checkpoints: each attempt must save before it is killed.
    """
    candidates = steps[:-1]
    if len(candidates) < kills:
        raise ConfigError(
            f"the training saves {len(steps)} checkpoints, and is to be killed {kills} times.",
            "each attempt has to save one of its own before it is killed, and one must be left.",
            "Save more often (--steps-between-saves N), or kill less often (--kills N).",
        )
    found = []
    for index in range(kills):
        low, high = (len(candidates) * each // kills for each in (index, index + 1))
        found.append(Strike(candidates[rng.randrange(low, high)], rng.uniform(0.0, pace_s)))
    return found


def next_strike(planned: Strike, steps: Sequence[int], newest: int | None) -> Strike | None:
    """Return `planned`, or where it may come at the earliest; None if it is too late.

    Args:
        planned: What was planned.
        steps: Of the checkpoints of the undisturbed training, ascending.
        newest: Of the newest checkpoint so far, or None: this attempt has to save another one.
    """
    if newest is None or planned.step > newest:
        return planned
    later = [each for each in steps[:-1] if each > newest]
    return Strike(later[0], planned.delay_s) if later else None
