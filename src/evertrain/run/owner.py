"""Whose run it is: the process that opened it, and none that it forked.

A forked worker has the trainer's `Run` in its memory. What it journals, saves
or gives back there would be said in the trainer's name.

Layer: run. Imports core only.
"""

import os

from evertrain.core.errors import UsageError


class OwnProcess:
    """Remembers the process that made it."""

    def __init__(self) -> None:
        """Take note of this process."""
        self._pid = os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether this is still that process, and no child of it."""
        return os.getpid() == self._pid

    def require(self, call: str) -> None:
        """Refuse `call` in a forked child.

        Raises:
            UsageError: This is another process.
        """
        if self.is_here:
            return
        raise UsageError(
            f"{call} was called in pid {os.getpid()}, which was forked from the trainer,"
            f" pid {self._pid}.",
            "only the process that opened a run counts, measures and saves in its name.",
            "Let a forked child do its own work and leave by os._exit; return results to the"
            " trainer, and log them there.",
        )
