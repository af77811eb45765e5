"""Which checkpoints of a foreign program still count after it was sent back.

A `Run` sets the abandoned branch aside. The files of other programs are not ours
to move: what they left behind the checkpoint of the rewind is ignored until it is
written anew. Which that is, its time of change tells, and no clock: that may jump.

Layer: supervise. Imports core only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir
from evertrain.supervise.foreign import Choice, Found, found_at
from evertrain.supervise.notes import Notes


@dataclass(frozen=True, slots=True)
class Branch:
    """What the training goes on from, and what it has left.

    Attributes:
        base: Absolute path of the checkpoint that it was sent back to; None is a fresh start.
        left: What lay behind that one then: absolute path -> Unix time of its last change.
    """

    base: Path | None = None
    left: Mapping[str, float] = field(default_factory=dict)

    def split(self, found: Sequence[Found]) -> tuple[list[Found], list[Found]]:
        """Return what counts of `found` and what is abandoned, both in the order of `found`.

        A base that is not among them comes first: whatever was written since is newer.
        """
        abandoned = [each for each in found if self._is_as_it_was_left(each)]
        kept = [each for each in found if not self._is_as_it_was_left(each)]
        is_among_them = any(each.path.absolute() == self.base for each in found)
        outside = found_at(self.base) if self.base is not None and not is_among_them else []
        return [*outside, *kept], abandoned

    def _is_as_it_was_left(self, each: Found) -> bool:
        return self.left.get(str(each.path.absolute())) == each.changed_at_s


def remembered(run_dir: RunDir) -> Branch:
    """Return the branch of the last rewind that the journal of `run_dir` knows."""
    row = Journal(run_dir.journal).last("rewound") or {}
    left, path = row.get("left"), row.get("path")
    if not isinstance(left, dict):
        return Branch()
    known = {name: at_s for name, at_s in left.items() if isinstance(at_s, (int, float))}
    return Branch(Path(path) if isinstance(path, str) else None, known)


def send_back(choice: Choice, there: Sequence[Found], notes: Notes) -> Branch:
    """Begin a new branch at what was chosen, and have the journal remember it.

    Args:
        choice: What to go on from.
        there: All checkpoints that there are, oldest first.
        notes: Who writes it down.

    Durability:
        The journal's event survives a power cut, unless the disk refuses it.
    """
    found = choice.found
    base = None if found is None else found.path.absolute()
    step = None if found is None else found.step
    place = next((i for i, each in enumerate(there) if each.path.absolute() == base), -1)
    left = {str(each.path.absolute()): each.changed_at_s for each in there[place + 1 :]}
    notes.record("rewound", step=step, path=None if base is None else str(base), left=left)
    return Branch(base, left)
