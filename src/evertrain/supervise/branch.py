"""Which checkpoints of a foreign program still count after it was sent back.

A `Run` sets the abandoned branch aside. The files of other programs are not ours
to move: what they left behind the checkpoint of the rewind is ignored until it is
written anew.

Layer: supervise. Imports core only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evertrain.core.clock import Clock
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir
from evertrain.supervise.foreign import Choice, Found, found_at
from evertrain.supervise.notes import Notes


@dataclass(frozen=True, slots=True)
class Branch:
    """What the training goes on from, since when.

    Attributes:
        base: Absolute path of the checkpoint that it was sent back to; None is a fresh start.
        since_s: Unix time of that, seconds. 0.0: it was never sent back.
    """

    base: Path | None = None
    since_s: float = 0.0

    def split(self, found: Sequence[Found]) -> tuple[list[Found], list[Found]]:
        """Return what counts of `found` and what is abandoned, both in the order of `found`.

        A base that is not among them comes first: whatever was written since is newer.
        """
        if not self.since_s:
            return list(found), []
        place = next((i for i, each in enumerate(found) if each.path.absolute() == self.base), -1)
        abandoned = [each for each in found[place + 1 :] if each.changed_at_s < self.since_s]
        kept = [each for each in found if each not in abandoned]
        outside = found_at(self.base) if self.base is not None and place < 0 else []
        return [*outside, *kept], abandoned


def remembered(run_dir: RunDir) -> Branch:
    """Return the branch of the last rewind that the journal of `run_dir` knows."""
    row = Journal(run_dir.journal).last("rewound") or {}
    since_s, path = row.get("since_s"), row.get("path")
    if not isinstance(since_s, (int, float)) or isinstance(since_s, bool):
        return Branch()
    return Branch(Path(path) if isinstance(path, str) else None, float(since_s))


def send_back(choice: Choice, notes: Notes, clock: Clock) -> Branch:
    """Begin a new branch at what was chosen, and have the journal remember it.

    Durability:
        The journal's event survives a power cut, unless the disk refuses it.
    """
    found, since_s = choice.found, clock.now_s()
    base = None if found is None else found.path.absolute()
    step = None if found is None else found.step
    notes.record("rewound", step=step, path=None if base is None else str(base), since_s=since_s)
    return Branch(base, since_s)
