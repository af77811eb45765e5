"""What is kept when an attempt dies by its own error or by force.

The state is from the middle of a step, so it never resumes by itself. Nothing
here may mask the error that led here, nor take longer than its deadline.

Layer: run. Imports checkpoint and core.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from evertrain.checkpoint.info import CheckpointInfo, Kind
from evertrain.core.errors import first_line
from evertrain.core.journal import Journal

LIMIT_S: Final = 30.0
_MAX_TEXT: Final = 2000

SaveNow = Callable[[Kind, str], CheckpointInfo]


@dataclass(frozen=True, slots=True)
class Emergency:
    """Keeps the wreck of one attempt.

    Attributes:
        attempt: Its number.
        journal: Where its end is written down.
        save: Captures and writes the state as it is.
        say: Prints one line.
    """

    attempt: int
    journal: Journal
    save: SaveNow
    say: Callable[[str], None]

    def after_error(self, error: BaseException, step: int, *, has_state: bool) -> None:
        """Write `error` down and keep the state, within 30 seconds, whatever else breaks."""
        kind: Kind = "interrupted" if isinstance(error, KeyboardInterrupt) else "error"
        text = _text(error)[:_MAX_TEXT]
        self._record("failed", step=step, kind=kind, error=text)
        if has_state:
            job = threading.Thread(target=self._try_save, args=(kind, text), daemon=True)
            try:
                job.start()
            except (RuntimeError, MemoryError) as broken:  # no thread to be had
                self.say(f"evertrain: no emergency checkpoint: {first_line(broken)}")
                return
            job.join(LIMIT_S)

    def after_force(self, step: int) -> None:
        """Keep the state after a second signal. Runs beside the loop, in a thread."""
        self._try_save("interrupted", "forced by a second signal")
        self._record("stopped", step=step, why="forced")

    def _try_save(self, kind: Kind, why: str) -> None:
        try:
            info = self.save(kind, why)
        except Exception as broken:  # noqa: BLE001  (it must not mask what led here)
            self.say(f"evertrain: no emergency checkpoint: {first_line(broken)}")
            return
        self.say(f"Emergency checkpoint saved: {info.path} (for manual recovery)")

    def _record(self, event: str, **fields: object) -> None:
        try:
            self.journal.record(event, fields, attempt=self.attempt)
        except OSError as broken:
            self.say(f"evertrain: the journal cannot be written: {broken}")


def _text(error: BaseException) -> str:
    """Return class and message, whatever the message does when it is asked for."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001  (somebody's `__str__`)
        return type(error).__name__
