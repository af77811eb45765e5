"""Writing one checkpoint so that it is there whole, or not at all.

Every file is written and synced in a temporary directory, the manifest last;
one rename makes it a checkpoint.

Layer: checkpoint. Imports core only.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from evertrain.checkpoint import manifest as manifests
from evertrain.checkpoint import provenance
from evertrain.checkpoint.about import About
from evertrain.checkpoint.files import LostError, fill_files
from evertrain.checkpoint.group import digest_of
from evertrain.checkpoint.manifest import FileEntry, Manifest
from evertrain.checkpoint.plugin import Tree
from evertrain.checkpoint.snapshot import Snapshot, take
from evertrain.checkpoint.strict import float_to_json
from evertrain.core import proc
from evertrain.core.clock import SYSTEM_CLOCK, Clock, iso_utc
from evertrain.core.errors import BaseLostError, SaveError, UsageError
from evertrain.core.fs import DIR_MODE, FILE_MODE, LOCAL_FS, Fs, make_dir

_TMP_DIR: Final = re.compile(r"\.tmp-.+-(\d+)-(\d+)")
_TMP_FILE: Final = re.compile(r"\..+\.tmp-(\d+)")
_IN_FLIGHT: Final[set[Path]] = set()


@dataclass(frozen=True, slots=True)
class Tools:
    """The outside world, as the store uses it.

    Attributes:
        fs: Disk.
        clock: Time.
    """

    fs: Fs = LOCAL_FS
    clock: Clock = SYSTEM_CLOCK


def write_checkpoint(
    target: Path, step: int, state: Mapping[str, Tree], about: About, tools: Tools
) -> Manifest:
    """Write a checkpoint that shares nothing, as the directory `target`.

    Args:
        target: Where it will be; the directory above is created if needed.
        step: Step that it is the state after.
        state: Trees by name. They must not change until this returns.
        about: Everything else.
        tools: Disk and clock.

    Raises:
        StateError: Something in `state` cannot be stored.
        EvertrainError: As `write_snapshot`.

    Durability:
        As `write_snapshot`.
    """
    return write_snapshot(target, take(state), draft(step, about, tools), about, tools)


def write_snapshot(
    target: Path, snapshot: Snapshot, about_it: Manifest, about: About, tools: Tools
) -> Manifest:
    """Write a checkpoint as the directory `target`, which does not exist yet.

    Args:
        target: Where it will be; the directory above is created if needed.
        snapshot: The state.
        about_it: Its manifest, as far as it is known: see `draft`.
        about: Where the fence is.
        tools: Disk and clock.

    Raises:
        SaveError: The disk refused, or the bytes did not arrive, or a file to
            share is gone (`BaseLostError`).
        FencedError: `about.fence` says that this process lost the run.

    Durability:
        After return the checkpoint survives a power cut. Before that, there
        is either nothing at `target` or all of it. A crash can leave
        `.tmp-*` beside `target`; `sweep` removes it.
    """
    tmp = hidden(target)
    _IN_FLIGHT.add(tmp.absolute())
    try:
        make_dir(target.parent, fs=tools.fs)
        manifest = _fill(tmp, snapshot, about_it, tools.fs)
        if about.fence is not None:
            about.fence()
        _publish(tmp, target, manifest, tools.fs)
    except OSError as error:
        _discard(tmp, tools.fs)
        raise _save_error(target, error) from error
    except Exception:
        _discard(tmp, tools.fs)
        raise
    finally:
        _IN_FLIGHT.discard(tmp.absolute())
    return manifest


def hidden(target: Path) -> Path:
    """Return the name beside `target` of what is not there yet, or not any more; see `sweep`."""
    pid = os.getpid()
    return target.with_name(f".tmp-{target.name}-{pid}-{proc.start_time(pid) or 0}")


def sweep(directory: Path, fs: Fs, *, prefix: str = ".") -> list[str]:
    """Remove what dead processes left unfinished in `directory`; return its names.

    Where other programs have files too, a longer `prefix` says which are meant.
    """
    try:
        names = sorted(os.listdir(directory))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []
    gone = [each for each in names if each.startswith(prefix) and _is_leftover(directory / each)]
    for name in gone:
        path = directory / name
        if path.is_dir() and not path.is_symlink():
            fs.rmtree(path)
        else:  # also a link that leads to a checkpoint
            fs.unlink(path)
    return gone


def _is_leftover(path: Path) -> bool:
    found = _TMP_DIR.fullmatch(path.name)
    if found:
        pid, started = int(found[1]), int(found[2])
        is_ours = pid == os.getpid() and path.absolute() in _IN_FLIGHT
        is_others = pid != os.getpid() and proc.is_alive(pid, started)
        return not is_ours and not is_others
    found = _TMP_FILE.fullmatch(path.name)
    return found is not None and proc.start_time(int(found[1])) is None


def draft(step: int, about: About, tools: Tools) -> Manifest:
    """Return what a manifest says of a state, except the state itself.

    Raises:
        UsageError: A metric or the score is no float.
    """
    now_s = tools.clock.now_s()
    git = provenance.git_commit()
    return Manifest(
        step=step,
        kind=about.kind,
        unit=about.unit,
        saved_at=iso_utc(now_s),
        saved_at_s=now_s,
        run_id=about.run_id,
        attempt=about.attempt,
        stage=about.stage,
        stage_index=about.stage_index,
        metrics={str(name): _number(name, value) for name, value in about.metrics.items()},
        metric_name=about.metric_name,
        metric_value=_number_or_none("metric_value", about.metric_value),
        score=_number_or_none("score", about.score),
        is_best=bool(about.is_best),
        parent=about.parent,
        skeletons={},
        arrays={},
        files={},
        versions=provenance.versions(),
        git=None if git is None else dict(git),
    )


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(
            f"the metric {name!r} is {value!r:.60}.",
            f"a manifest holds floats, and this is none: {error}.",
            "Leave it out, or give a number.",
        ) from error


def _number_or_none(name: str, value: Any) -> float | None:
    return None if value is None else _number(name, value)


def _fill(tmp: Path, snapshot: Snapshot, about_it: Manifest, fs: Fs) -> Manifest:
    """Write every file into `tmp`, durably, and return the manifest."""
    fs.rmtree(tmp)
    fs.mkdir(tmp)
    fs.chmod(tmp, DIR_MODE)
    files, arrays = fill_files(tmp, snapshot, fs)
    data = _metadata(about_it)
    _write_file(tmp / manifests.METADATA, data, fs)
    files[manifests.METADATA] = FileEntry(len(data), digest_of(data), len(data))
    skeletons = snapshot.skeletons
    manifest = replace(about_it, skeletons=skeletons, arrays=arrays, files=files)
    data = manifests.encode(manifest)
    _write_file(tmp / manifests.MANIFEST, data, fs)
    fs.sync_dir(tmp)
    return manifests.sealed(manifest, data, tmp / manifests.MANIFEST)


def _publish(tmp: Path, target: Path, manifest: Manifest, fs: Fs) -> None:
    """Give the checkpoint its name, durably; take the name back where that fails."""
    fs.replace(tmp, target)
    try:
        fs.sync_dir(target.parent)
        _check_sizes(target, manifest)
    except OSError:
        with suppress(OSError):  # the first failure is the one to report
            fs.replace(target, tmp)
        raise


def _write_file(path: Path, data: bytes, fs: Fs) -> None:
    fs.write(path, (data,))
    fs.chmod(path, FILE_MODE)
    fs.sync_file(path)


def _metadata(about_it: Manifest) -> bytes:
    """Return `metadata.json`: what a person, or jq, wants to know."""
    import json

    document = {
        "step": about_it.step,
        "unit": about_it.unit,
        "time": about_it.saved_at,
        "stage": about_it.stage,
        "kind": about_it.kind,
        "metrics": {name: float_to_json(value) for name, value in about_it.metrics.items()},
        "is_best": about_it.is_best,
        "metric_name": about_it.metric_name,
        "metric_value": None
        if about_it.metric_value is None
        else float_to_json(about_it.metric_value),
    }
    document.setdefault(about_it.unit, about_it.step)
    return (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()


def _check_sizes(target: Path, manifest: Manifest) -> None:
    """Look that every byte arrived.

    Raises:
        OSError: A file has another size than was written.
    """
    for name, entry in manifest.files.items():
        size_bytes = (target / name).stat().st_size
        if size_bytes != entry.bytes:
            raise OSError(f"{target / name} has {size_bytes} bytes, {entry.bytes} were written")


def _discard(tmp: Path, fs: Fs) -> None:
    with suppress(OSError):  # the first failure is the one to report
        fs.rmtree(tmp)


def _save_error(target: Path, error: OSError) -> SaveError:
    if isinstance(error, LostError):
        return BaseLostError(
            f"the checkpoint {target} could not be written: {error}.",
            "it was to share files with a checkpoint that somebody has removed meanwhile.",
            "Nothing: the next save shares nothing and writes everything.",
        )
    return SaveError(
        f"the checkpoint {target} could not be written: {error}.",
        "the run goes on, but a crash now costs everything since the last checkpoint.",
        f"Make room or repair the disk: df -h {target.parent}",
    )
