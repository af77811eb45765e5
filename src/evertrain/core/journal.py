"""Append-only JSON lines: the run's memory of what happened.

Each append, under a short file lock, first ends an unfinished line, so a torn
tail costs one line and never the file. Readers skip and count what does not
parse, wherever it stands.

Layer: core. Imports core only.
"""

import io
import json
import math
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from evertrain.core.clock import SYSTEM_CLOCK, Clock, iso_utc
from evertrain.core.document import LINES_BYTES, parse_line
from evertrain.core.flock import exclusive
from evertrain.core.fs import LOCAL_FS, Fs
from evertrain.core.refusal import refusal
from evertrain.core.regular import open_regular, read_regular, regular_handle

Row = dict[str, Any]

_ENCODER: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
# Of whoever watches a training: that may hang with the journal in its hands.
PATIENCE_S: Final = 2.0
NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True, slots=True)
class Lines:
    """What a file of JSON lines holds.

    Attributes:
        rows: The objects that parsed, oldest first.
        bad_count: Lines that did not: torn, garbage, or not an object.
    """

    rows: tuple[Row, ...]
    bad_count: int


def append_lines(  # noqa: PLR0913  (what a writer to a shared file has to say)
    path: Path,
    rows: Iterable[Mapping[str, Any]],
    *,
    sync: bool,
    is_named: bool = False,
    patience_s: float | None = None,
    fs: Fs = LOCAL_FS,
) -> None:
    """Add one line for each of `rows` at the end of `path`.

    Numbers that JSON cannot hold become the strings "NaN", "Infinity", "-Infinity".

    Args:
        path: The file; created if missing.
        rows: What to add. Nothing is touched if there is none.
        sync: Whether the lines must survive a power cut.
        is_named: Whether the caller has synced this file before, so that its
            name is durable already; saves one sync.
        patience_s: Longest wait for somebody else who writes, seconds; None has no end.
        fs: Disk to write to.

    Raises:
        OSError: The disk refused, or that wait was too long (TimeoutError).

    Durability:
        With `sync`, the lines survive a power cut once this returns. A crash
        in the middle leaves at most one unfinished line.
    """
    data = b"".join(encode_line(row) for row in rows)
    if not data:
        return
    is_new = not path.exists()
    if is_new:
        fs.append(path, b"")
    with exclusive(regular_handle(path), patience_s=patience_s):
        if _has_torn_tail(path):
            data = b"\n" + data
        fs.append(path, data)
        if sync:
            fs.sync_file(path)
    if sync and (is_new or not is_named):
        fs.sync_dir(path.parent)


def encode_line(row: Mapping[str, Any]) -> bytes:
    """Return `row` as one line of strict JSON, newline included."""
    try:
        text = _ENCODER.encode(row)
    except (ValueError, TypeError):  # a number that is not finite, or an unusual container
        text = _ENCODER.encode(finite(row))
    return text.encode() + b"\n"


def read_lines(path: Path) -> Lines:
    """Read what is there; a missing file is empty. Takes no lock.

    Raises:
        EvertrainError: It is no file, may not be read, or is too large. A memory that
            is there but closed must not pass for an empty one.
    """
    return parse_lines(_read(path))


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, LINES_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        raise refusal(error, path) from error


def parse_lines(data: bytes) -> Lines:
    """Parse JSON lines, skipping and counting whatever is not an object."""
    rows: list[Row] = []
    bad_count = 0
    for line in io.BytesIO(data):  # one by one: a gibibyte of newlines must not become a list
        if not line.strip():
            continue
        row = _parse(line)
        if row is None:
            bad_count += 1
        else:
            rows.append(row)
    return Lines(tuple(rows), bad_count)


def finite(value: Any) -> Any:
    """Return `value` with every non-finite float as its name, ready for strict JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(key): finite(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [finite(each) for each in value]
    return value


class Journal:
    """The events of one run, in order, as `journal.jsonl`.

    Args:
        path: The file. Its directory must exist when something is recorded.
        fs: Disk to write to.
        clock: Source of the events' times.
        patience_s: Longest wait for somebody else who writes, seconds. None has no end: so
            does the training itself, but nobody who is there to end it (`PATIENCE_S`).
    """

    def __init__(
        self,
        path: Path,
        *,
        fs: Fs = LOCAL_FS,
        clock: Clock = SYSTEM_CLOCK,
        patience_s: float | None = None,
    ) -> None:
        """Open nothing yet: reading a journal must not create one."""
        self.path = path
        self._patience_s = patience_s
        self._fs = fs
        self._clock = clock
        self._refused: list[Row] = []
        self._swapping = threading.Lock()
        self._is_named = False

    def record(
        self,
        event: str,
        fields: Mapping[str, Any] | None = None,
        /,
        *,
        sync: bool = True,
        must: bool = True,
        **more: Any,
    ) -> bool:
        """Add one event, behind those that the disk has refused so far.

        Args:
            event: Its name, one of those in `docs/format.md`.
            fields: JSON values that describe it; None is left out.
            sync: Whether it must survive a power cut before this returns.
            must: Whether the caller cannot go on without it. Otherwise an event
                that the disk refuses waits here for the next one.
            **more: As `fields`.

        Returns:
            Whether it is written; always, if it must be.

        Raises:
            OSError: The disk refused, or somebody else held the journal for longer than
                this one's patience, and `must` is true.
        """
        row = {"time": iso_utc(self._clock.now_s()), "event": event}
        every = {**more, **(fields or {})}
        row |= {key: value for key, value in every.items() if value is not None}
        try:
            self._write([row], [] if must else [row], sync=sync)
        except OSError:
            if must:
                raise
            return False
        return True

    def catch_up(self) -> None:
        """Try once more to write what was refused."""
        with suppress(OSError):
            self._write([], [], sync=True)

    def _write(self, rows: list[Row], kept: list[Row], *, sync: bool) -> None:
        """Write `rows` behind what was refused; where that fails, keep `kept` of them."""
        with self._swapping:  # the loop and a save beside it both tell
            late, self._refused = self._refused, []
        try:
            append_lines(
                self.path,
                [*late, *rows],
                sync=sync,
                is_named=self._is_named,
                patience_s=self._patience_s,
                fs=self._fs,
            )
        except OSError:
            with self._swapping:
                self._refused = [*late, *kept, *self._refused]
            raise
        self._is_named = self._is_named or (sync and bool(late or rows))

    def events(self, *names: str) -> tuple[Row, ...]:
        """Return the events called one of `names` (all without names), oldest first."""
        rows = _named(read_lines(self.path).rows)
        return tuple(row for row in rows if row["event"] in names) if names else rows

    def last(self, *names: str) -> Row | None:
        """Return the newest event called one of `names`, or None."""
        found = self.events(*names)
        return found[-1] if found else None


class Reader:
    """Reads a journal again and again, and parses only what is new.

    What was read before is kept, and compared byte by byte with what stands there now: a
    file that somebody has changed or replaced is parsed anew.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        """Read nothing yet."""
        self._path = path
        self._known = b""  # whole lines only: the last one may not be finished
        self._rows: tuple[Row, ...] = ()

    def events(self, *names: str) -> tuple[Row, ...]:
        """Return what `Journal.events` does. Change nothing in the rows: they are read again."""
        data = _read(self._path)
        if not data.startswith(self._known):
            self._known, self._rows = b"", ()
        end = data.rfind(b"\n") + 1
        self._rows += _named(parse_lines(data[len(self._known) : end]).rows)
        self._known = data[:end]
        rows = self._rows + _named(parse_lines(data[end:]).rows)
        return tuple(row for row in rows if row["event"] in names) if names else rows


def _named(rows: Iterable[Row]) -> tuple[Row, ...]:
    return tuple(row for row in rows if isinstance(row.get("event"), str))


def _parse(line: bytes) -> Row | None:
    try:
        row = parse_line(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _has_torn_tail(path: Path) -> bool:
    with open_regular(path) as file:
        size_bytes = file.seek(0, os.SEEK_END)
        if size_bytes == 0:
            return False
        file.seek(size_bytes - 1)
        return file.read(1) != b"\n"
