"""A run as it is at one moment, held still by second names of its files.

Layer: checkpoint. Imports core only.
"""

import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evertrain.checkpoint.care.listing import LISTING
from evertrain.checkpoint.catalog import DEMOTED, PINS, pinned_names, step_names
from evertrain.checkpoint.commit import Tools, sweep
from evertrain.checkpoint.shelf import EMERGENCY, QUARANTINE, SUPERSEDED
from evertrain.core import proc
from evertrain.core.errors import EvertrainError, NotFoundError, UsageError
from evertrain.core.journal import Journal
from evertrain.core.layout import check_link
from evertrain.core.rundir import RunDir, step_name

# Of the moment, or made anew.
_LEFT_OUT: Final = frozenset(
    {"lock", "supervisor.lock", "shim.lock", "heartbeat", "inbox", "checkpoints", LISTING}
)
_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Still:
    """One file of a snapshot.

    Attributes:
        path: Where its bytes are.
        bytes: How many of them count: a file that grows is cut.
        mtime_s: When it was last written.
        is_read_only: Whether nobody may write to it.
        inode: What tells it from others, whatever it is called.
    """

    path: Path
    bytes: int
    mtime_s: int
    is_read_only: bool
    inode: tuple[int, int]


@contextmanager
def snapshot(
    run_dir: RunDir, steps: Collection[int] | None, tools: Tools
) -> Iterator[dict[str, Still]]:
    """Give the files of a run, by path inside it, as they are now.

    Checkpoints come first, then journal and metrics up to a full line, so that
    these reach at least as far. If an attempt begins meanwhile, it is done again.

    Args:
        run_dir: The run; it may be training.
        steps: Its checkpoints to take; None takes all, and those set aside.
        tools: Disk and clock.

    Raises:
        NotFoundError: One of `steps` is not there.
        UsageError: There is something that is neither a file nor a directory.
        ConfigError: A directory of the run is a link to something else.
        EvertrainError: Attempts begin faster than a snapshot is taken.
        OSError: The disk refused.
    """
    for each in run_dir.directories:
        check_link(each)
    pid = os.getpid()
    place = run_dir.path / f".tmp-archive-{pid}-{proc.start_time(pid) or 0}"
    sweep(run_dir.path, tools.fs, prefix=".tmp-archive-")
    try:
        for _ in range(_TRIES):
            before = _attempts(run_dir)
            tools.fs.rmtree(place)
            tools.fs.mkdir(place)
            _hold_checkpoints(run_dir, steps, place, tools)
            _hold_others(run_dir, place, tools)
            _hold_logs(run_dir.logs, place / "logs", tools)
            files = _found(place) | _growing(run_dir)
            if _attempts(run_dir) == before:
                break
        else:
            raise EvertrainError(
                f"attempts of {run_dir.path} begin faster than it can be copied.",
                "an archive is of one moment.",
                "Try again when it trains, or is stopped.",
            )
        yield files
    finally:
        tools.fs.rmtree(place)


def _attempts(run_dir: RunDir) -> int:
    names = ("attempt_started", "resumed", "superseded", "quarantined", "demoted", "disowned")
    return len(Journal(run_dir.journal).events(*names))


def _hold_checkpoints(
    run_dir: RunDir, steps: Collection[int] | None, place: Path, tools: Tools
) -> None:
    root, target = run_dir.checkpoints, place / "checkpoints"
    names = step_names(root) if steps is None else [step_name(step) for step in sorted(steps)]
    for name in names:
        try:
            _hold(root / name, target / name, tools)
        except FileNotFoundError as error:
            tools.fs.rmtree(target / name)
            if steps is not None:
                raise NotFoundError(
                    f"{run_dir.path} has no checkpoint {int(name)}.",
                    "it was never saved, or it is gone already.",
                    f"List what there is with: evertrain ls {run_dir.path}",
                ) from error
    for shelf in (EMERGENCY, SUPERSEDED, DEMOTED, QUARANTINE) if steps is None else ():
        if (root / shelf).is_dir():
            _hold(root / shelf, target / shelf, tools)
    for name in sorted(pinned_names(root) & set(names)):
        with suppress(FileNotFoundError):
            tools.fs.mkdir(target / PINS)
            tools.fs.link(root / PINS / name, target / PINS / name)


def _hold_others(run_dir: RunDir, place: Path, tools: Tools) -> None:
    for path in sorted(run_dir.path.iterdir()):
        if path.name in _LEFT_OUT or _is_temporary(path.name) or path in _grow(run_dir):
            continue
        with suppress(FileNotFoundError):
            _hold(path, place / path.name, tools)


def _hold_logs(logs: Path, target: Path, tools: Tools) -> None:
    """Give the logs second names: under their first ones they may be cut, packed and dropped."""
    for _ in range(_TRIES):
        before = _log_names(logs)
        tools.fs.rmtree(target)
        for name in before:
            with suppress(FileNotFoundError):
                tools.fs.mkdir(target)
                tools.fs.link(logs / name, target / name)
        if _log_names(logs) == before:
            return


def _log_names(logs: Path) -> list[str]:
    found = sorted(logs.iterdir()) if logs.is_dir() else []
    return [each.name for each in found if each.is_file() and not each.is_symlink()]


def _hold(path: Path, target: Path, tools: Tools) -> None:
    """Give everything below `path` a second name below `target`.

    Raises:
        FileNotFoundError: It is gone.
    """
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode):
        tools.fs.mkdir(target)
        for each in sorted(path.iterdir()):
            if not _is_temporary(each.name):
                _hold(each, target / each.name, tools)
    elif stat.S_ISREG(mode):
        tools.fs.link(path, target)
    else:
        raise UsageError(
            f"{path} is neither a file nor a directory.",
            "an archive holds nothing else: a link could lead anywhere when it is unpacked.",
            "Move it out of the run, or put there what it leads to.",
        )


def _grow(run_dir: RunDir) -> tuple[Path, ...]:
    return (run_dir.journal, run_dir.metrics, run_dir.logs)


def _growing(run_dir: RunDir) -> dict[str, Still]:
    """Return the files that only ever grow, up to where they are now."""
    found = {}
    for path in (run_dir.metrics, run_dir.journal):
        if path.is_file() and not path.is_symlink():
            length = _end_of_lines(path, path.stat().st_size)
            found[str(path.relative_to(run_dir.path))] = _still(path, length)
    return found


def _end_of_lines(path: Path, length: int) -> int:
    """Return the length up to the last full line."""
    with path.open("rb") as file:
        while length:
            start = max(0, length - 65_536)
            file.seek(start)
            at = file.read(length - start).rfind(b"\n")
            if at >= 0:
                return start + at + 1
            length = start
    return 0


def _found(place: Path) -> dict[str, Still]:
    paths = sorted(path for path in place.rglob("*") if path.is_file())
    return {str(path.relative_to(place)): _still(path) for path in paths}


def _still(path: Path, length: int | None = None) -> Still:
    found = path.stat()
    return Still(
        path,
        found.st_size if length is None else length,
        int(found.st_mtime),
        not found.st_mode & 0o222,
        (found.st_dev, found.st_ino),
    )


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and (".tmp-" in name or name.endswith(".guard"))
