"""What an attempt tells the next one about the checkpoint that it restored: whether it lived.

Layer: run. Imports checkpoint and core.
"""

import atexit
from dataclasses import dataclass
from pathlib import Path

from evertrain.checkpoint.info import CheckpointInfo
from evertrain.core.journal import Journal
from evertrain.run.owner import OwnProcess


@dataclass(slots=True, eq=False)
class Trial:
    """Runs from just before the restore to the end of the first step behind it.

    Attributes:
        journal: Where it is written down.
        attempt: Number of the attempt.
        process: Whose trial it is; a process that it forks has no word in it.
    """

    journal: Journal
    attempt: int
    process: OwnProcess
    _step: int | None = None

    def begin(self, info: CheckpointInfo, root: Path) -> None:
        """Say what is going to be restored, in case it is the last thing that is heard.

        Args:
            info: The checkpoint.
            root: Directory of the run's checkpoints.
        """
        inside = info.path.is_relative_to(root)
        self.journal.record(
            "restoring",
            must=False,
            attempt=self.attempt,
            step=info.step,
            path=str(info.path.relative_to(root) if inside else info.path),
        )
        self._step = info.step
        atexit.register(self.leave)  # a script without a `with` block, and its exceptions

    def survive(self, step: int) -> None:
        """Say, once, that a step behind it has ended: what was restored kills nobody."""
        if self._step is not None:
            self._end("stepped", step)

    def leave(self) -> None:
        """Say that this process ended by itself before that: nobody has killed it."""
        if self._step is not None and self.process.is_here:
            self._end("closed", self._step)

    def _end(self, event: str, step: int) -> None:
        self._step = None
        atexit.unregister(self.leave)
        self.journal.record(event, sync=False, must=False, attempt=self.attempt, step=step)
