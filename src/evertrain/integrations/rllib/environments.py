"""How the state of an algorithm's environments is kept: decided once for each run.

Layer: integrations. Imports its siblings, `integrations.envs` and core.
"""

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from evertrain.core.errors import StateError
from evertrain.integrations.envs.method import AUTO, BARRIER

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


def insist(algorithm: Any, wanted: str) -> None:
    """Refuse to let episodes begin anew where the program has named another way.

    A resumed run is judged by what stands in its checkpoints: a trial of today, on a
    machine that is too busy for it, ends no training.

    Raises:
        StateError: They would.
    """
    keeping = of(algorithm)
    if wanted not in {AUTO, BARRIER} and keeping is not None and keeping.begins_anew:
        raise StateError(
            f"env_state={wanted!r}, but that is not how it is. {keeping.sentence()}.",
            "episodes would begin anew behind each iteration.",
            'Use env_state="auto", which takes what works, or correct the environment.',
        )


def agree(algorithm: Any, method: str) -> None:
    """Keep it as the run does, whatever was decided when this attempt began."""
    mine = of(algorithm)
    if mine is None or mine.method != method:
        decide(algorithm, Keeping(method))
