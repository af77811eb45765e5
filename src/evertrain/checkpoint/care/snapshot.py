"""A run as it is at one moment: its files are held still by second names where it takes some.

Layer: checkpoint. Imports core only.
"""

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from evertrain.checkpoint.care.hold import UNHELD, Held, Holder, Seen, Still, still
from evertrain.checkpoint.care.listing import LISTING
from evertrain.checkpoint.catalog import DEMOTED, PINS, pinned_names, step_names
from evertrain.checkpoint.commit import Tools, sweep
from evertrain.checkpoint.shelf import EMERGENCY, QUARANTINE, SUPERSEDED
from evertrain.core import proc
from evertrain.core.errors import CorruptError, EvertrainError, NotFoundError, UsageError
from evertrain.core.journal import Journal
from evertrain.core.layout import check_link
from evertrain.core.rundir import RunDir, step_name

# Of the moment, or made anew.
_LEFT_OUT: Final = frozenset(
    {"lock", "supervisor.lock", "shim.lock", "heartbeat", "inbox", "checkpoints", LISTING}
)
_TRIES: Final = 5


@contextmanager
def snapshot(
    run_dir: RunDir, steps: Collection[int] | None, tools: Tools
) -> Iterator[dict[str, Still]]:
    """Give the files of a run, by path inside it, as they are now.

    Checkpoints come first, then journal and metrics up to a full line, so that
    these reach at least as far. If an attempt begins meanwhile, it is done again.
    A run that cannot be written is looked at where it is: what it loses meanwhile is an error.

    Args:
        run_dir: The run; it may be training.
        steps: Its checkpoints to take; None takes all, and those set aside.
        tools: Disk and clock.

    Raises:
        NotFoundError: One of `steps` is not there.
        UsageError: There is something that is neither a file nor a directory.
        ConfigError: A directory of the run is a link to something else.
        EvertrainError: Attempts begin faster than a snapshot is taken, or the run could not be
            held still, and changed.
        OSError: The disk refused.
    """
    for each in run_dir.directories:
        check_link(each)
    pid = os.getpid()
    place = run_dir.path / f".tmp-archive-{pid}-{proc.start_time(pid) or 0}"
    refused: OSError | None = None
    files: dict[str, Still] = {}
    try:
        try:
            sweep(run_dir.path, tools.fs, prefix=".tmp-archive-")
            files = _taken(run_dir, steps, Held(place, tools.fs))
        except OSError as error:
            if error.errno not in UNHELD:
                raise
            refused = error
            files = _taken(run_dir, steps, Seen())
        yield files
        if refused is not None:
            _refuse_changed(run_dir, files, refused)
    except (OSError, CorruptError):
        if refused is not None:
            _refuse_changed(run_dir, files, refused)
        raise
    finally:
        tools.fs.rmtree(place)


def _taken(run_dir: RunDir, steps: Collection[int] | None, holder: Holder) -> dict[str, Still]:
    for _ in range(_TRIES):
        before = _attempts(run_dir)
        holder.drop(Path())
        _hold_checkpoints(run_dir, steps, holder)
        _hold_others(run_dir, holder)
        _hold_logs(run_dir.logs, holder)
        files = dict(sorted((holder.files | _growing(run_dir)).items()))
        if _attempts(run_dir) == before:
            return files
    raise EvertrainError(
        f"attempts of {run_dir.path} begin faster than it can be copied.",
        "an archive is of one moment.",
        "Try again when it trains, or is stopped.",
    )


def _refuse_changed(run_dir: RunDir, files: Mapping[str, Still], refused: OSError) -> None:
    if all(each.is_there() for each in files.values()):
        return
    raise EvertrainError(
        f"{run_dir.path} changed while it was packed.",
        f"its files can be held still only where it can be written: {refused.strerror}.",
        "Archive it again when it does not train, or from where it can be written.",
    )


def _attempts(run_dir: RunDir) -> int:
    names = ("attempt_started", "resumed", "superseded", "quarantined", "demoted", "disowned")
    return len(Journal(run_dir.journal).events(*names))


def _hold_checkpoints(run_dir: RunDir, steps: Collection[int] | None, holder: Holder) -> None:
    root, target = run_dir.checkpoints, Path(run_dir.checkpoints.name)
    names = step_names(root) if steps is None else [step_name(step) for step in sorted(steps)]
    for name in names:
        try:
            _hold(root / name, target / name, holder)
        except FileNotFoundError as error:
            holder.drop(target / name)
            if steps is not None:
                raise NotFoundError(
                    f"{run_dir.path} has no checkpoint {int(name)}.",
                    "it was never saved, or it is gone already.",
                    f"List what there is with: evertrain ls {run_dir.path}",
                ) from error
    for shelf in (EMERGENCY, SUPERSEDED, DEMOTED, QUARANTINE) if steps is None else ():
        if (root / shelf).is_dir():
            _hold(root / shelf, target / shelf, holder)
    for name in sorted(pinned_names(root) & set(names)):
        with suppress(FileNotFoundError):
            holder.hold(root / PINS / name, target / PINS / name)


def _hold_others(run_dir: RunDir, holder: Holder) -> None:
    for path in sorted(run_dir.path.iterdir()):
        if path.name in _LEFT_OUT or _is_temporary(path.name) or path in _grow(run_dir):
            continue
        with suppress(FileNotFoundError):
            _hold(path, Path(path.name), holder)


def _hold_logs(logs: Path, holder: Holder) -> None:
    """Hold the logs: under their names they may be cut, packed and dropped."""
    for _ in range(_TRIES):
        before = _log_names(logs)
        holder.drop(Path(logs.name))
        for name in before:
            with suppress(FileNotFoundError):
                holder.hold(logs / name, Path(logs.name) / name)
        if _log_names(logs) == before:
            return


def _log_names(logs: Path) -> list[str]:
    found = sorted(logs.iterdir()) if logs.is_dir() else []
    return [each.name for each in found if each.is_file() and not each.is_symlink()]


def _hold(path: Path, at: Path, holder: Holder) -> None:
    """Hold `path`, and everything below it.

    Raises:
        FileNotFoundError: It is gone.
    """
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode):
        for each in sorted(path.iterdir()):
            if not _is_temporary(each.name):
                _hold(each, at / each.name, holder)
    elif stat.S_ISREG(mode):
        holder.hold(path, at)
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
            found[str(path.relative_to(run_dir.path))] = still(path, length)
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


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and (".tmp-" in name or name.endswith(".guard"))
