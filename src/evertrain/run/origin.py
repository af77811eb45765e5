"""Where an attempt goes on from: chosen when the run is opened, gone on from at its first step.

In between the program sets itself up, and may still find that it cannot go on. So what
the choice abandons is set aside only when it has put everything back.

Layer: run. Imports monitor, checkpoint and core.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evertrain.checkpoint.commit import Tools
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.manifest import MANIFEST
from evertrain.checkpoint.plugin import Tree
from evertrain.checkpoint.shelf import demote, quarantine, supersede
from evertrain.checkpoint.store import Store
from evertrain.core.errors import CorruptError, NotFoundError, StateError
from evertrain.core.journal import Journal, Row
from evertrain.monitor.poison import deadly
from evertrain.run.capture import RUN
from evertrain.run.choose import Choice, Resume, choose
from evertrain.run.position import Standing, standing_of


@dataclass(slots=True)
class Origin:
    """The checkpoint that an attempt goes on from, or none.

    Attributes:
        store: The checkpoints.
        journal: Where it is written down what was chosen, and what had to go.
        tools: Disk and clock.
        attempt: Number of the attempt.
        say: Prints one line.
        choice: What was chosen.
    """

    store: Store
    journal: Journal
    tools: Tools
    attempt: int
    say: Callable[[str], None]
    choice: Choice = field(default_factory=lambda: Choice(None, "nothing was chosen"))
    _is_taken: bool = False

    def choose(self, resume: Resume) -> None:
        """Choose; set aside the damaged checkpoints that are passed on the way.

        Raises:
            NotFoundError: An import was begun, and what it was to go on from is gone.
            EvertrainError: As `choose`.
        """
        begun = unfinished_import(self.journal.events("importing", "resumed"))
        if begun is not None and resume in {"auto", "must"}:
            resume = _there(begun)
        self.choice = choose(self.store, resume, self._set_aside, deadly(self.journal.events()))
        loaded = self.choice.loaded
        if loaded is not None and not self.choice.is_import:  # an import is another run's
            self.store.share_with(loaded.info.path, loaded.manifest)

    @property
    def info(self) -> CheckpointInfo | None:
        """The checkpoint; None on a fresh start."""
        return self.choice.loaded.info if self.choice.loaded else None

    def known(self) -> list[CheckpointInfo]:
        """Return the checkpoint and those of the run before it; none on a fresh start."""
        info = self.info
        if info is None:
            return []
        before = [] if self.choice.is_import else self.store.list()
        return [*(each for each in before if each.step < info.step), info]

    def standing(self) -> Standing:
        """Return where the run stood there.

        Raises:
            StateError: It was not saved by a run.
        """
        loaded = self.choice.loaded
        if loaded is None:
            return Standing()
        if RUN in loaded.state:
            return standing_of(loaded.state[RUN], str(loaded.info.path))
        raise StateError(
            f"{loaded.info.path} was not saved by a Run.",
            "it does not say where in its training it was taken.",
            f"Start from its weights instead: Run(..., init_from={str(loaded.info.path)!r})",
        )

    def take_state(self, copying: Collection[str]) -> dict[str, Tree]:
        """Return its state, by part; nobody else holds it any more.

        Args:
            copying: Parts of which the caller copies every array that it keeps.
        """
        loaded = self.choice.loaded
        if loaded is None:
            raise AssertionError("a fresh start has no state")
        trees = loaded.apart(copying)
        self.choice = self.choice.without_state()
        return trees

    def take(self, total: int | None, save_import: Callable[[], object]) -> None:
        """Go on from here, once: from now on, whatever lies behind it is abandoned.

        Args:
            total: Steps wanted, for the journal.
            save_import: Saves what was put back as a checkpoint of this run.

        Raises:
            OSError: The disk refused.
        """
        if self._is_taken:
            return
        for step, attempts in sorted(self.choice.passed_over.items(), reverse=True):
            self._demote(step, attempts)
        info = self.info
        if self.choice.is_import and info is not None:  # until it is saved, there is none here
            about = {"step": info.step, "path": str(info.path.absolute())}
            self.journal.record("importing", about, attempt=self.attempt)
        if self.choice.is_rewind:
            self._abandon()
        if self.choice.is_import:  # from now on a checkpoint of this run
            save_import()
        self.journal.record(
            "resumed",
            {"from": info.path.name if info else None},
            attempt=self.attempt,
            step=self.choice.step,
            kind=info.kind if info else None,
            total=total,
            why=self.choice.why,
        )
        self._is_taken = True

    def announcement(self, unit: str, total: int | None) -> list[str]:
        """Return what people are told of it, a line each."""
        info = self.info
        if info is None:
            return [f"Starting fresh training ({self.choice.why})"]
        lines = [f"Resuming from {unit} {info.step}: {info.path} ({self.choice.why})"]
        if total is not None and info.step < total:
            lines.append(f"Resuming training from {unit} {info.step + 1}/{total}")
        return lines

    def _set_aside(self, step: int, error: CorruptError) -> None:
        path = quarantine(self.store.path, step, error.what, self.tools)
        about = {"step": step, "reason": error.what, "path": str(path)}
        self.journal.record("quarantined", about, must=False)
        self.say(f"evertrain: checkpoint {step} is damaged and set aside: {error.what}")

    def _demote(self, step: int, attempts: Sequence[int]) -> None:
        """Set aside what kills whoever restores it, now that an older one has proved better."""
        died = ", ".join(map(str, attempts))
        why = f"the attempts {died} restored it, and died before a step had ended"
        path = demote(self.store.path, step, why, self.tools)
        about = {"step": step, "attempts": list(attempts), "reason": why, "path": str(path)}
        self.journal.record("demoted", about, must=False)
        self.say(f"evertrain: checkpoint {step} is demoted: {why}; it lies in {path}")

    def _abandon(self) -> None:
        """Set aside the branch that was left."""
        is_new_branch = self.info is None or self.choice.is_import
        after_step = -1 if is_new_branch else self.choice.step
        moved = supersede(self.store.path, after_step, self.tools)
        if moved:
            self.journal.record("superseded", must=False, after=self.choice.step, steps=moved)


def unfinished_import(journal_rows: Sequence[Row]) -> Row | None:
    """Return the import that was begun last, if no attempt has gone on since. Pure.

    What was here before is set aside then, and what was to come may not be here yet.

    Args:
        journal_rows: Events `importing` and `resumed`, oldest first.
    """
    last = journal_rows[-1] if journal_rows else {}
    return last if last.get("event") == "importing" else None


def _there(begun: Row) -> Path:
    path = Path(str(begun.get("path")))
    if (path / MANIFEST).is_file():
        return path
    raise NotFoundError(
        f"{path} is gone, which attempt {begun.get('attempt')} was to go on from.",
        "that attempt set aside what was here before, and ended before its first step.",
        "Bring it back, or say where to begin: --resume PATH (what was here lies in"
        " checkpoints/superseded/), or --resume never",
    )
