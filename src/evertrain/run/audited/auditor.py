"""The audit's eyes inside a training: it decides when to save, and notes what it sees.

Layer: run. Imports its siblings, checkpoint and core.
"""

from collections.abc import Callable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final, Self

from evertrain.checkpoint.keep import keep_all
from evertrain.core.fs import LOCAL_FS, Fs
from evertrain.core.journal import append_lines
from evertrain.run.audited.census import census
from evertrain.run.audited.clocks import clock_reads
from evertrain.run.audited.mandate import Mandate
from evertrain.run.capture import Capture
from evertrain.run.saver import Saver
from evertrain.run.state import values_of

NOTES: Final = "audit.jsonl"


class Auditor:
    """What a `Run` asks and tells while it is audited.

    Args:
        mandate: How it saves, and where it ends.
        notes: File for what is seen.
        attempt: Number of this attempt.
        say: Prints one line.
        fs: Disk of the notes.
    """

    def __init__(
        self,
        mandate: Mandate,
        notes: Path,
        attempt: int,
        *,
        say: Callable[[str], None],
        fs: Fs = LOCAL_FS,
    ) -> None:
        """See nothing yet."""
        self._mandate = mandate
        self._notes = notes
        self._attempt = attempt
        self._say = say
        self._fs = fs
        self._is_blind = False
        self._steps: int | None = None

    @classmethod
    def of(
        cls, environ: Mapping[str, str], run_dir: Path, attempt: int, say: Callable[[str], None]
    ) -> Self:
        """Return the auditor whom the environment sends.

        Raises:
            ConfigError: It sends nonsense.
        """
        return cls(Mandate.of(environ), run_dir / NOTES, attempt, say=say)

    def take_over(self, saver: Saver, total: int | None) -> None:
        """Save at fixed steps, and keep everything."""
        saves = self._mandate.saves(total)
        saver.follow(saves, keep_all())
        self._steps = saves.every.steps
        until = "" if saves.until is None else f", ends at {saves.until}"
        self._say(f"evertrain: audited: {saves.every}, keeps every checkpoint{until}")

    def ends(self, step: int) -> bool:
        """Say whether the audited training ends at `step`."""
        return self._mandate.until is not None and step >= self._mandate.until

    def look(self, at: str, step: int, capture: Capture) -> None:
        """Note what the program's variables are like.

        Args:
            at: "begin" or "resume", behind a restore; "save", at a save.
            step: The last step that ended.
            capture: What is attached, and `run.state`.
        """
        if self._is_blind:
            return
        row: dict[str, Any] = {"at": at, "step": step, "attempt": self._attempt}
        try:
            attached = {name: thing for name, (thing, _) in capture.things.items()}
            found = census(attached, values_of(capture.state))
            row["found"] = [list(astuple(each)) for each in found]
            if at == "begin":
                row |= {"clocks": clock_reads(), "steps": self._steps}
            append_lines(self._notes, [row], sync=False, fs=self._fs)
        except Exception as error:  # noqa: BLE001  (it looks at foreign objects: only less is known)
            self._is_blind = True
            self._say(f"evertrain: audited: the variables cannot be looked at ({error!r})")
