"""Of which checkpoint of which run a model's files are: `stage1_50kN.json` beside the zip.

Layer: recipes. Imports its siblings and core.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from evertrain.core.kinds import is_count, is_text
from evertrain.recipes.cardfile import fields_of

_KINDS: Final = {
    "run": is_text,
    "run_id": is_text,
    "step": is_count,
    "model": is_text,
    "statistics": is_text,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What stands in a `.json`.

    Attributes:
        run: Directory of the run, absolute.
        run_id: Its name, which no other run has.
        step: Of the checkpoint.
        saved_at_s: Unix time of its save, seconds: a step may be saved twice, on two branches.
        model: SHA-256 of the zip.
        statistics: SHA-256 of the pickle beside it.
    """

    run: str
    run_id: str
    step: int
    saved_at_s: float
    model: str
    statistics: str

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return the card that is the file `path`; None if there is none of ours."""
        found = fields_of(path, _KINDS, cls.__dataclass_fields__)
        return None if found is None else cls(**found)
