"""Metric rows on their way to disk: merged within a step, flushed before each save.

Every row up to a checkpoint is durable before the checkpoint is committed, so a
resume neither misses one nor shows one twice.

Layer: run. Imports core only.
"""

from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from evertrain.core.clock import SYSTEM_CLOCK, Clock, iso_utc
from evertrain.core.errors import UsageError
from evertrain.core.fs import LOCAL_FS, Fs
from evertrain.core.journal import append_lines

FLUSH_AFTER_S: Final = 1.0
FLUSH_AFTER_ROWS: Final = 10_000
RESERVED: Final = frozenset({"step", "time", "attempt"})


class Rows:
    """The metrics of one attempt.

    Args:
        path: `metrics.jsonl`.
        attempt: Written into each row.
        fs: Disk to write to.
        clock: Source of the rows' times.

    Attributes:
        last: Metrics of the newest committed step.
    """

    def __init__(
        self, path: Path, attempt: int, *, fs: Fs = LOCAL_FS, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """Start with nothing pending."""
        self.last: dict[str, float] = {}
        self._path = path
        self._attempt = attempt
        self._fs = fs
        self._clock = clock
        self._open: dict[float | None, dict[str, Any]] = {}
        self._done: list[dict[str, Any]] = []
        self._flushed_at_s = clock.monotonic_s()

    def add(self, values: Mapping[str, Any], at: float | None) -> None:
        """Merge `values` into the row of the running step, or of the sub-step `at`.

        Raises:
            UsageError: A name is taken, or a value is not a number, string or bool.
        """
        self._open.setdefault(at, {}).update({key: _scalar(key, values[key]) for key in values})

    def drop_open(self) -> None:
        """Forget what the running step has logged: it did not end."""
        self._open.clear()

    def commit(self, step: int) -> dict[str, Any]:
        """End the running step as `step` and return its own metrics."""
        ended = self._open.pop(None, {})
        if self._open or ended:
            self._queue(step, ended)
        return ended

    def _queue(self, step: int, ended: dict[str, Any]) -> None:
        head = {"time": iso_utc(self._clock.now_s()), "attempt": self._attempt}
        inner = [(at, values) for at, values in self._open.items() if at is not None]
        self._open = {}
        for at, values in [*sorted(inner, key=itemgetter(0)), (step, ended)]:
            if values:
                self._done.append({"step": at} | head | values)
        if ended:
            numbers = (int, float)
            self.last = {key: value for key, value in ended.items() if isinstance(value, numbers)}
        waited_s = self._clock.monotonic_s() - self._flushed_at_s
        if waited_s >= FLUSH_AFTER_S or len(self._done) >= FLUSH_AFTER_ROWS:
            self.flush(sync=False)

    def flush(self, *, sync: bool) -> None:
        """Write what is pending.

        Durability:
            With `sync`, every committed row survives a power cut on return.
        """
        rows, self._done = self._done, []
        append_lines(self._path, rows, sync=sync, fs=self._fs)
        if sync and not rows and self._path.exists():
            self._fs.sync_file(self._path)
        self._flushed_at_s = self._clock.monotonic_s()


def _scalar(key: object, value: Any) -> Any:
    """Return `value` as JSON has it; 0-d arrays and tensors become numbers."""
    if not isinstance(key, str) or key in RESERVED:
        raise UsageError(
            f"run.log got the name {key!r}.",
            f"names are strings, and {', '.join(sorted(RESERVED))} are written by evertrain.",
            "Choose another name.",
        )
    if isinstance(value, (bool, int, float, str)) or value is None:
        return float(value) if isinstance(value, float) else value
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "size", 1) in {1, item}:
        return item()
    if callable(item) and callable(getattr(value, "numel", None)) and value.numel() == 1:
        return item()
    raise UsageError(
        f"run.log({key}=...) got a {type(value).__name__}.",
        "a metric is one number, string or bool.",
        f"Log a summary of it, e.g. run.log({key}=float(value.mean()))",
    )
