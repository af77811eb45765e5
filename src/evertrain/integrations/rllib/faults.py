"""What went wrong in RLlib's runners: said by RLlib, or written to a runner's own log.

Both count only since the last step: a runner that was replaced yesterday is not today's cause.

Layer: integrations. Imports nothing from evertrain.
"""

import logging
import re
from pathlib import Path
from typing import Final

_LOGGER: Final = "ray.rllib.utils.actor_manager"
_FAULT: Final = re.compile(r"Worker exception caught during `apply\(\)`: (.+)")
_TAIL_BYTES: Final = 1 << 16


class _Said(logging.Handler):
    """Keeps the last thing that RLlib said about a runner that it lost, and counts them."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last, self.count = "", 0

    def emit(self, record: logging.LogRecord) -> None:
        self.last, self.count = " ".join(record.getMessage().split())[:500], self.count + 1


_SAID: Final = _Said()  # one for all watchdogs: a logger keeps its handlers for ever


class Faults:
    """What was said and written since the last call of `forget`."""

    def __init__(self) -> None:
        """Listen from now on."""
        logging.getLogger(_LOGGER).addHandler(_SAID)
        self._said = _SAID.count
        self._sizes: dict[Path, int] = {}
        self.forget()

    def forget(self) -> None:
        """Let nothing count that was said or written until now."""
        self._said = _SAID.count
        self._sizes = {path: _size(path) for path in _logs()}

    def last(self) -> str | None:
        """Return what RLlib said last; else the last exception in a runner's log; else None."""
        if _SAID.count > self._said:
            return _SAID.last
        found = [(path, self._sizes.get(path, 0)) for path in _logs()]
        grown = [(path, start) for path, start in found if _size(path) > start]
        for path, start in sorted(grown, key=lambda each: _changed_s(each[0]), reverse=True):
            faults = _FAULT.findall(_tail(path, start))
            if faults:
                return str(faults[-1]).strip()
        return None


def _logs() -> list[Path]:
    folder = _log_dir()
    return [] if folder is None else list(folder.glob("worker-*.err"))


def _log_dir() -> Path | None:
    import ray

    node = getattr(ray._private.worker, "_global_node", None)  # noqa: SLF001
    return None if node is None else Path(node.get_logs_dir_path())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it is gone
        return 0


def _changed_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # it is gone
        return 0.0


def _tail(path: Path, start: int) -> str:
    """Return what stands in a log from `start` on, or the end of it."""
    try:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - _TAIL_BYTES, start))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
