"""How the state of an algorithm's environments is kept: decided once for each run.

Layer: integrations. Imports its siblings.
"""

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from evertrain.integrations.envs.method import BARRIER

_KEEPINGS: WeakKeyDictionary[Any, "Keeping"] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Keeping:
    """How.

    Attributes:
        method: `state`, `attributes` or `replay`; `barrier` if none of these will do.
        reasons: Why others will not do: method and reason.
    """

    method: str
    reasons: tuple[tuple[str, str], ...] = ()

    @property
    def begins_anew(self) -> bool:
        """Whether episodes that are open are not kept."""
        return self.method == BARRIER

    def sentence(self) -> str:
        """Return it for people."""
        if not self.begins_anew:
            return f"environment state: by {self.method}"
        why = self.reasons[-1][1] if self.reasons else "it was asked for"
        return f"environment state: not kept, episodes begin anew ({why})"


def of(algorithm: Any) -> Keeping | None:
    """Return what was decided, or None."""
    return _KEEPINGS.get(algorithm)


def decide(algorithm: Any, keeping: Keeping) -> Keeping:
    """Remember it."""
    _KEEPINGS[algorithm] = keeping
    return keeping


def agree(algorithm: Any, method: str) -> None:
    """Keep it as the run does, whatever was decided when this attempt began."""
    mine = of(algorithm)
    if mine is None or mine.method != method:
        decide(algorithm, Keeping(method))
