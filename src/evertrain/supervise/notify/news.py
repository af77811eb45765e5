"""What is new in a run since the last look: rows of its journal, and metrics gone wrong.

Layer: supervise. Imports core only.
"""

import os
from collections import deque
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Final

from evertrain.core.document import CARD_BYTES, parse_json
from evertrain.core.journal import Row, parse_lines
from evertrain.core.printable import printable
from evertrain.core.regular import open_regular, read_regular
from evertrain.core.rundir import RunDir, step_name
from evertrain.supervise.notify.event import Note, note_of, wanted, worded

_READ_BYTES: Final = 4 << 20
_NOT_FINITE: Final = frozenset({"NaN", "Infinity", "-Infinity"})
_MAX_METRICS: Final = 10_000
_MAX_VALUE: Final = 100


class News:
    """The notes of a run from now on.

    Args:
        run_dir: The run.
        events: Which are wanted.
    """

    def __init__(self, run_dir: RunDir, events: Collection[str]) -> None:
        """Stand at the end of what there is."""
        self._events = events
        self._checkpoints = run_dir.checkpoints
        self._journal = _Tail(run_dir.journal)
        self._metrics = _Tail(run_dir.metrics) if "nan" in events else None
        self._sound: set[str] = set()
        self._told_attempt: object = None
        self._lately: deque[str] = deque(maxlen=100)

    def read(self) -> list[Note]:
        """Return what is new, oldest first."""
        found = [note for row in self._journal.rows() for note in self.of_row(row)]
        if self._metrics is not None:
            found += [note for row in self._metrics.rows() if (note := self._turned(row))]
        return found

    def of_row(self, row: Row) -> list[Note]:
        """Return what a row of the journal is worth to those who want to know."""
        note = self._note(row)
        note = wanted(note, self._events) if note is not None else None
        if note is None:
            return []
        return [self._valued(note) if note.event == "best" else note]

    def _note(self, row: Row) -> Note | None:
        """Return what a row is worth, once: it may stand in the journal twice."""
        key = (row.get("event"), row.get("time"), row.get("attempt"), row.get("step"))
        if str(key) in self._lately:
            return None
        note = note_of(row)
        if note is not None:
            self._lately.append(str(key))
        return note

    def _valued(self, note: Note) -> Note:
        """Return the note of a new best with the value that makes it that."""
        path = self._checkpoints / step_name(note.step or 0) / "metadata.json"
        try:
            about = parse_json(read_regular(path, CARD_BYTES))
            name, value = about["metric_name"], about["metric_value"]
        except (OSError, ValueError, TypeError, KeyError):
            return note
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        shown = printable(f"{name}: {value:.6g}")[:_MAX_VALUE] if is_number else ""
        return replace(note, text=f"{note.text}, {shown}") if shown else note

    def _turned(self, row: Row) -> Note | None:
        """Return a note for the first metric of an attempt that was finite and is not now."""
        attempt = row.get("attempt")
        for name, value in row.items():
            if isinstance(value, int | float) and len(self._sound) < _MAX_METRICS:
                self._sound.add(name)
            elif _is_not_finite(value) and name in self._sound and attempt != self._told_attempt:
                self._told_attempt = attempt
                return worded("nan", f"{name} is {value} at step {row.get('step')}", row)
        return None


def _is_not_finite(value: object) -> bool:
    return isinstance(value, str) and value in _NOT_FINITE  # a file may hold a list, too


class _Tail:
    """The whole lines that are added to a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = self._size() or 0

    def rows(self) -> tuple[Row, ...]:
        """Return what was added since the last call, at most a few megabytes of it."""
        size_bytes = self._size()
        if size_bytes is None or size_bytes == self._offset:
            return ()
        if size_bytes < self._offset:  # another file
            self._offset = size_bytes
            return ()
        try:
            with open_regular(self._path) as file:
                file.seek(self._offset)
                data = file.read(_READ_BYTES)
        except OSError:
            return ()
        whole = data.rfind(b"\n") + 1 or (len(data) if len(data) == _READ_BYTES else 0)
        self._offset += whole
        return parse_lines(data[:whole]).rows

    def _size(self) -> int | None:
        try:
            return os.stat(self._path).st_size  # noqa: PTH116  (asked once a second)
        except OSError:
            return None
