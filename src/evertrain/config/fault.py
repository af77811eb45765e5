"""One thing that is wrong with a setting, and all of them as one error.

Layer: config. Imports core only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from evertrain.core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One wrong setting.

    Attributes:
        where: "train.yaml:6:5", "-o ppo.lr=1", "EVERTRAIN_PPO__LR" or the file.
        key: Its dotted key; empty for the whole.
        problem: What is wrong, with the value found.
        suggestion: The valid key that was probably meant, or None.
        line: Line in the file, from 1, or None.
        column: Column in the file, from 1, or None.
    """

    where: str
    key: str
    problem: str
    suggestion: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        """Return `where: key: problem; did you mean 'x'?`."""
        hint = f"; did you mean {self.suggestion!r}?" if self.suggestion else ""
        return ": ".join(part for part in (self.where, self.key, self.problem) if part) + hint


def error_of(faults: Sequence[Fault], title: str) -> ConfigError:
    """Return one error that lists all `faults` of the configuration called `title`."""
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    listed = "".join(f"\n  {fault}" for fault in faults)
    return ConfigError(
        f"{title} has {count}:{listed}",
        "a run with a setting that nobody reads, or that cannot work, would waste its time.",
        f"Correct {'it' if len(faults) == 1 else 'them'}, then look again with: "
        "evertrain config check",
    )
