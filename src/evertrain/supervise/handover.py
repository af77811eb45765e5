"""Which checkpoint of a command of its own kind the next attempt begins with.

Layer: supervise. Imports core only.
"""

from dataclasses import replace
from typing import Final

from evertrain.core.errors import ConfigError, NotFoundError
from evertrain.supervise import foreign
from evertrain.supervise.branch import remembered, send_back
from evertrain.supervise.foreign import Choice, Split
from evertrain.supervise.notes import Notes
from evertrain.supervise.options import GOES_ON
from evertrain.supervise.task import Task

# What needs no file to be there, or is nobody's fault once it is gone.
_NEED_NONE: Final = frozenset({"auto", "latest", "never"})


class Handover:
    """Chooses among the files that `--checkpoints` finds, again before each attempt.

    Args:
        task: What is supervised.
        notes: Remember where the command was sent back to.

    Attributes:
        choice: What the next attempt gets; nothing of a `Run`, which chooses by itself.

    Raises:
        NotFoundError: `--resume` insists on a file that is not there.
        ConfigError: That file is damaged, or has no number that `--resume-arg` wants.
    """

    def __init__(self, task: Task, notes: Notes) -> None:
        """Look for what has to be there, while nothing is touched yet."""
        self._options, self._notes = task.options, notes
        self._branch = remembered(task.run_dir)
        self.choice = Choice(None)
        if task.options.resume not in _NEED_NONE:
            self.choice = self._choose(task.options.resume)
            self.arguments()

    @property
    def split(self) -> Split:
        """Which files count, and which are abandoned."""
        return self._branch.split

    def begin(self, resume: str) -> None:
        """Choose again, for somebody may have saved; going back abandons what is newer."""
        pattern = self._options.checkpoints
        self.choice = self._choose(resume)
        if pattern is not None and resume not in GOES_ON:
            there = foreign.list_found(pattern)
            self._branch = send_back(self.choice, there, self._notes)
            _, abandoned = self._branch.split(there)
            self.choice = replace(self.choice, abandoned=tuple(each.path for each in abandoned))

    def go_on(self, from_: str | None) -> None:
        """Choose for the next attempt: `from_`, or where that is gone or damaged now, the newest.

        Which one it was, a supervisor may have decided that is dead; no person waits for an error.
        """
        try:
            self.begin(from_ or "auto")
        except (NotFoundError, ConfigError):
            self.begin("auto")

    def older(self) -> str | None:
        """Return the path of the one before the newest, or None."""
        pattern, template = self._options.checkpoints, self._options.resume_arg
        if pattern is None or template is None:
            return None
        found = foreign.before_newest(pattern, self.split, template)
        return str(found.path) if found is not None else None

    def arguments(self) -> list[str]:
        """Return what tells the command of it; none where there is none."""
        return foreign.resume_arguments(self._options.resume_arg, self.choice.found)

    def _choose(self, resume: str) -> Choice:
        pattern, template = self._options.checkpoints, self._options.resume_arg
        if pattern is None:
            return Choice(None)
        return foreign.choose(pattern, resume, split=self.split, template=template)
