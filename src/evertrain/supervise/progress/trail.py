"""How far one attempt of a foreign command got. Pure.

Layer: supervise. Imports core only.
"""

from dataclasses import asdict, dataclass, replace
from typing import Final

from evertrain.core.journal import Row
from evertrain.core.kinds import is_count, misfit, or_none


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """What was seen of its progress.

    Attributes:
        first: First step seen, or None: of files that grow there is none.
        last: Last step seen, or None.
        moves: How often it was seen to have got on.
        went_back: Whether a step was lower than one before it: it counts anew in each epoch.
        is_behind: Whether output behind the last step was left unread: it may be further.
    """

    first: int | None = None
    last: int | None = None
    moves: int = 0
    went_back: bool = False
    is_behind: bool = False

    def moved(self, step: int | None) -> "Trail":
        """Return the trail with one more sign of progress, at `step` if that is known."""
        went_back = step is not None and self.last is not None and step < self.last
        return Trail(
            first=step if self.first is None else self.first,
            last=step,
            moves=self.moves + 1,
            went_back=self.went_back or went_back,
        )

    def left_behind(self) -> "Trail":
        """Return the trail with output behind it that nobody has read."""
        return replace(self, is_behind=True)

    def caught_up(self) -> "Trail":
        """Return the trail with its last step seen once more, behind all that was left unread."""
        return replace(self, is_behind=False)

    def is_progress(self, reached: int | None) -> bool | None:
        """Say whether it got somewhere; None where that is not known.

        Args:
            reached: Furthest step of earlier attempts, or None. Whoever only repeats what
                they did gets nowhere.
        """
        if self.went_back:
            return None
        if self.last is None:
            is_stuck = self.moves == 0 and reached is not None and not self.is_behind
            return True if self.moves > 1 else (False if is_stuck else None)
        if reached is None:
            return True if self.moves > 1 else None
        return True if self.last > reached else (None if self.is_behind else False)


def encode_trail(trail: Trail) -> Row:
    """Return `trail` as a row of JSON values."""
    return asdict(trail)


def decode_trail(row: object) -> Trail | None:
    """Return the trail that `row` describes, or None if it is none."""
    if not isinstance(row, dict) or row.keys() != _KINDS.keys() or misfit(row, _KINDS):
        return None
    return Trail(**row)


_KINDS: Final = {
    "first": or_none(is_count),
    "last": or_none(is_count),
    "moves": is_count,
    "went_back": lambda value: isinstance(value, bool),
    "is_behind": lambda value: isinstance(value, bool),
}
