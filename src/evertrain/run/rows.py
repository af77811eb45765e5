"""Metric rows on their way to disk: merged within a step, flushed before each save.

Every row up to a checkpoint is durable before the checkpoint is committed, so a
resume neither misses one nor shows one twice. Rows that the disk refuses wait
for the next flush: a row that got there twice merges with itself.

Layer: run. Imports core only.
"""

import math
import sys
from collections.abc import Callable, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from evertrain.core.clock import SYSTEM_CLOCK, Clock, iso_utc
from evertrain.core.errors import UsageError
from evertrain.core.fs import LOCAL_FS, Fs
from evertrain.core.journal import append_lines

FLUSH_AFTER_S: Final = 1.0
FLUSH_AFTER_ROWS: Final = 10_000
_MAX_INT: Final = int(sys.float_info.max)
RESERVED: Final = frozenset({"step", "time", "attempt"})


# A row that waits: its place, its time (Unix seconds), its metrics.
_Ended = tuple[float, float, dict[str, Any]]


class Rows:
    """The metrics of one attempt.

    Args:
        path: `metrics.jsonl`.
        attempt: Written into each row.
        best: Metric that ranks the steps, and so must be a number; None ranks nothing.
        say: Prints one line.
        fs: Disk to write to.
        clock: Source of the rows' times.
    """

    def __init__(  # noqa: PLR0913  (what, for whom, and the outside world)
        self,
        path: Path,
        attempt: int,
        *,
        best: str | None = None,
        say: Callable[[str], None] = print,
        fs: Fs = LOCAL_FS,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Start with nothing pending."""
        self._last: tuple[int | None, Mapping[str, Any]] = (None, {})
        self._best = best
        self._say = say
        self._path = path
        self._attempt = attempt
        self._fs = fs
        self._clock = clock
        self._open: dict[float | None, dict[str, Any]] = {}
        self._done: list[_Ended] = []
        self._flushed_at_s = clock.monotonic_s()
        self._is_refused = self._is_named = False

    def add(self, values: Mapping[Any, Any], at: float | None) -> None:
        """Merge `values` into the row of the running step, or of the sub-step `at`.

        Raises:
            UsageError: A name is taken, a value is not a number, string, bool or None
                (not measured), or `at` is no place. Nothing was merged.
        """
        place = None if at is None else _place(at)
        found = {
            # Nearly every metric is a float with a name: a fast loop asks no more.
            key: value
            if type(value) is float and type(key) is str and key not in RESERVED
            else _scalar(key, value)
            for key, value in values.items()
        }
        ranking = None if self._best is None else found.get(self._best)
        if isinstance(ranking, str):
            raise UsageError(
                f"run.log({self._best}={ranking!r}) got a string.",
                f"{self._best} says which step is the best, so it must be a number.",
                "Log a number, or name another metric in best=.",
            )
        self._open.setdefault(place, {}).update(found)

    def of(self, step: int) -> dict[str, float]:
        """Return the numbers of the step that was committed last, if that is `step`.

        A step that logged nothing need not be committed: it has none.
        """
        at, ended = self._last
        values = ended if at == step else {}
        return {key: each for key, each in values.items() if isinstance(each, (int, float))}

    @property
    def is_open(self) -> bool:
        """Whether the running step has logged something."""
        return bool(self._open)

    def drop_open(self) -> None:
        """Forget what the running step has logged: it did not end."""
        self._open.clear()

    def require_until(self, step: int) -> None:
        """Refuse to end the running step as `step` while a row lies beyond.

        Raises:
            UsageError: A crash behind this step would lose that row.
        """
        ahead = [at for at in self._open if at is not None and at > step]
        if ahead:
            raise UsageError(
                f"run.log(at={ahead[0]!r}) lies beyond step {step}, which ends here.",
                "a row is committed with its step: a resume behind it would lose this one.",
                "Log it in the step that it belongs to.",
            )

    def commit(self, step: int) -> dict[str, Any]:
        """End the running step as `step` and return its own metrics."""
        ended = self._open.pop(None, {})
        self._last = (step, ended)
        if self._open or ended:
            self._queue(step, ended)
        return ended

    def flush_if_due(self) -> None:
        """Write what has waited for a second; the caller looks now and then."""
        if self._done and self._clock.monotonic_s() - self._flushed_at_s >= FLUSH_AFTER_S:
            self.flush(sync=False)

    def _queue(self, step: int, ended: dict[str, Any]) -> None:
        now_s = self._clock.now_s()
        if self._open:
            inner = [(at, values) for at, values in self._open.items() if at is not None]
            self._open = {}
            self._done += [(at, now_s, row) for at, row in sorted(inner, key=itemgetter(0)) if row]
        if ended:
            self._done.append((step, now_s, ended))
        if len(self._done) >= FLUSH_AFTER_ROWS and not self._is_refused:
            self.flush(sync=False)

    def _row(self, ended: "_Ended") -> dict[str, Any]:
        at, time_s, values = ended
        return {"step": at, "time": iso_utc(time_s), "attempt": self._attempt, **values}

    def flush(self, *, sync: bool, must: bool = False) -> bool:
        """Write what is pending; what the disk refuses stays pending.

        Args:
            sync: Whether the rows must survive a power cut before this returns.
            must: Whether the caller cannot go on without that. Otherwise a
                refusal is told once, and the next flush tries again.

        Returns:
            Whether everything is written; always, if it must be.

        Raises:
            OSError: The disk refused, and `must` is true.

        Durability:
            With `sync`, every committed row survives a power cut once this
            returns true.
        """
        self._flushed_at_s = self._clock.monotonic_s()  # after a refusal, too, the next waits
        count = len(self._done)
        try:
            self._write(sync=sync)
        except OSError as error:
            if must:
                raise
            self._note_refusal(error)
            return False
        del self._done[:count]
        self._is_refused = False
        return True

    def sync(self) -> None:
        """Make durable what was flushed. May run beside the loop.

        Raises:
            OSError: The disk refused.

        Durability:
            Every row flushed before survives a power cut after return.
        """
        if not self._path.exists():
            return
        self._fs.sync_file(self._path)
        if not self._is_named:
            self._fs.sync_dir(self._path.parent)

    def _write(self, *, sync: bool) -> None:
        rows = map(self._row, self._done)
        append_lines(self._path, rows, sync=sync, is_named=self._is_named, fs=self._fs)
        if not sync or not self._path.exists():
            return
        if not self._done:
            self._fs.sync_file(self._path)
            if not self._is_named:
                self._fs.sync_dir(self._path.parent)
        self._is_named = True

    def _note_refusal(self, error: OSError) -> None:
        if not self._is_refused:
            self._say(f"evertrain: the metrics could not be written, and wait: {error}")
        self._is_refused = True


def merged(mapping: object, more: Mapping[str, Any]) -> Mapping[Any, Any]:
    """Return what one call of `run.log` records, by name.

    Raises:
        UsageError: `mapping` is none.
    """
    if mapping is None:
        return more
    if type(mapping) is dict and not more:
        return mapping
    if isinstance(mapping, Mapping):
        return {**mapping, **more}
    raise UsageError(
        f"run.log got {mapping!r:.80} without a name.",
        "a metric is found again by its name.",
        "Write run.log(loss=0.1) or run.log({'loss': 0.1}).",
    )


def place_in(at: Any, after: int, until: int | None) -> float:
    """Return the place of a row inside the running step.

    Args:
        at: What the program gave.
        after: The last step that ended. A resume may go on from there, so what lies
            at or before it would be there twice, or not at all.
        until: The step about to end; None is not known yet.

    Raises:
        UsageError: It is no number, or not inside.
    """
    place = _place(at)
    if after < place and (until is None or place <= until):
        return place
    inside = f"after {after}" if until is None else f"after {after}, up to {until}"
    raise UsageError(
        f"run.log(at={place!r}) lies outside the running step ({inside}).",
        "a row is committed with its step: elsewhere, a resume would lose it or keep it twice.",
        "Log it in the step that it belongs to; one that counts more than the stride says so"
        " first: run.advance(count)",
    )


def _place(at: Any) -> float:
    """Return the step, or the place inside one, at which a row stands."""
    found = at.item() if not _is_plain(at) and _is_single(at) else at
    is_number = isinstance(found, (int, float)) and not isinstance(found, bool)
    if is_number and _is_plain(found) and math.isfinite(found):
        return found if isinstance(found, int) else float(found)
    raise UsageError(
        f"run.log(at={at!r:.80}) is no place in a step.",
        "it is counted in steps, so that rows can be put in order.",
        "Give a finite number, e.g. at=10.5 for the middle of step 11.",
    )


def _scalar(key: object, value: Any) -> Any:
    """Return `value` as JSON has it; 0-d arrays and tensors become numbers."""
    if not isinstance(key, str) or key in RESERVED:
        raise UsageError(
            f"run.log got the name {key!r}.",
            f"names are strings, and {', '.join(sorted(RESERVED))} are written by evertrain.",
            "Choose another name.",
        )
    found = value if _is_plain(value) or not _is_single(value) else value.item()
    if _is_plain(found):
        return float(found) if isinstance(found, float) else found
    raise UsageError(
        f"run.log({key}=...) got a {type(value).__name__}"
        + (" beyond the range of a float." if isinstance(found, int) else "."),
        "a metric is one number, string or bool.",
        f"Log a summary of it, e.g. run.log({key}=float(value.mean()))",
    )


def _is_plain(value: object) -> bool:
    """Say whether JSON, and whoever draws a curve of it, can hold `value` as it is."""
    if isinstance(value, int):
        return -_MAX_INT <= value <= _MAX_INT
    return value is None or isinstance(value, (float, str))  # None: not measured


def _is_single(value: Any) -> bool:
    """Say whether `value` is an array, a tensor or a scalar of one element."""
    count = getattr(value, "numel", None)
    size = count() if callable(count) else getattr(value, "size", 1)
    return callable(getattr(value, "item", None)) and isinstance(size, int) and size == 1
