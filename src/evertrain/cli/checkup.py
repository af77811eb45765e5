"""The checks of `evertrain doctor`: this machine, and the disk that a run would live on.

Each check is a function that returns what it found and what to do. The disk
checks write into one hidden directory and remove it.

Layer: cli.
"""

import importlib.util
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import psutil

from evertrain.cli.render import size
from evertrain.core import proc
from evertrain.core.clock import SYSTEM_CLOCK, Clock, iso_utc
from evertrain.core.disk import room_at
from evertrain.core.fs import NO_DIR_SYNC, Fs, write_atomic

Verdict = Literal["ok", "warn", "bad"]

_LOW_DISK_BYTES: Final = 2 * 10**9
_FEW_FILES: Final = 10_000
_SLOW_FSYNC_S: Final = 0.1
_SKEW_S: Final = 5.0
_FEW_CORES: Final = 4
_SANE_AFTER_S: Final = 1_704_067_200  # 2024-01-01
_EXTRAS: Final = {
    "torch": "torch",
    "sb3": "stable_baselines3",
    "plot": "matplotlib",
    "recipes": "scipy",
}
_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "lustre", "gpfs", "ceph", "9p", "afs"}
)
_MEMORY: Final = frozenset({"tmpfs", "ramfs"})


@dataclass(frozen=True, slots=True)
class Check:
    """One answer.

    Attributes:
        name: What was looked at.
        verdict: "ok", "warn" (works, with a limit) or "bad" (evertrain cannot keep its promises).
        found: What is there.
        fix: What to do; empty if nothing.
    """

    name: str
    verdict: Verdict
    found: str
    fix: str = ""


def machine_checks(clock: Clock = SYSTEM_CLOCK) -> list[Check]:
    """Return what is known of Python, the extras, the processors, memory, clock and GPU."""
    return [_python(), _extras(), _processors(), _memory(), _clock(clock), _gpu()]


def disk_checks(path: Path, *, fs: Fs, clock: Clock = SYSTEM_CLOCK) -> list[Check]:
    """Return what is known of the disk at `path`, an existing directory."""
    checks = [_free_space(path), _filesystem(path)]
    if not os.access(path, os.W_OK | os.X_OK):
        fix = f"Choose another directory, or: chmod u+w {path}"
        return [*checks, Check("permissions", "bad", f"{path} is not writable", fix)]
    checks.append(Check("permissions", "ok", f"{path} is writable"))
    try:
        with _probe_dir(path, fs) as probe:
            checks += [each(probe, fs, clock) for each in _PROBES]
    except OSError as error:
        checks.append(
            Check("write", "bad", f"writing fails: {error}", "Free space, or check the disk.")
        )
    return checks


def _python() -> Check:
    return Check("python", "ok", f"{platform.python_version()} ({sys.executable})")


def _extras() -> Check:
    there = {extra: importlib.util.find_spec(name) is not None for extra, name in _EXTRAS.items()}
    absent = [extra for extra, is_there in there.items() if not is_there]
    found = ", ".join(f"{extra}: {'yes' if there[extra] else 'no'}" for extra in there)
    fix = f"If you need them: pip install 'evertrain[{','.join(absent)}]'" if absent else ""
    return Check("extras", "ok", found, fix)


def _processors() -> Check:
    count = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else count
    found = f"{usable} usable of {count}"
    if usable > _FEW_CORES or "OMP_NUM_THREADS" in os.environ:
        return Check("processors", "ok", found)
    fix = "Several torch processes at once slow each other down: export OMP_NUM_THREADS=1"
    return Check("processors", "ok", f"{found}; OMP_NUM_THREADS is not set", fix)


def _memory() -> Check:
    memory = psutil.virtual_memory()
    limit_bytes = _cgroup_limit()
    found = f"{size(memory.available)} free of {size(memory.total)}"
    if limit_bytes is not None and limit_bytes < memory.total:
        found += f"; this control group may use {size(limit_bytes)}"
    if memory.available < 0.05 * memory.total:
        return Check("memory", "warn", found, "End other programs, or the kernel may end yours.")
    return Check("memory", "ok", found)


def _cgroup_limit() -> int | None:
    """Return the memory limit of this control group (version 2), or None."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        place = next(line for line in lines if line.startswith("0::"))[3:].strip("/")
        text = Path("/sys/fs/cgroup", place, "memory.max").read_text().strip()
    except (OSError, StopIteration):
        return None
    return int(text) if text.isascii() and text.isdecimal() else None


def _clock(clock: Clock) -> Check:
    now_s = clock.now_s()
    found = f"{iso_utc(now_s)}, boot {proc.boot_id()[:8]}"
    if now_s < _SANE_AFTER_S:
        return Check("clock", "warn", found, "Set the clock: the journal's times would mislead.")
    return Check("clock", "ok", found)


def _gpu() -> Check:
    """Look for devices; no framework is imported for it."""
    names = []
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        lines = file.read_text(errors="replace").splitlines()
        names += [line.partition(":")[2].strip() for line in lines if line.startswith("Model")]
    names = names or [each.name for each in sorted(Path("/dev").glob("nvidia[0-9]*"))]
    if Path("/dev/kfd").exists():
        names.append("AMD (/dev/kfd)")
    return Check("gpu", "ok", ", ".join(names) or "none: training runs on the processor")


def _free_space(path: Path) -> Check:
    room = room_at(path)
    if room is None:
        return Check("disk space", "ok", "the file system does not say")
    found = f"{size(room.free_bytes)} free of {size(room.total_bytes)}"
    if room.free_files is not None and room.free_files < _FEW_FILES:
        found += f", room for {room.free_files} more files"
        return Check("disk space", "warn", found, "Delete files: the disk runs out of names.")
    if room.free_bytes < _LOW_DISK_BYTES:
        return Check("disk space", "warn", found, "Free some: a save that does not fit is lost.")
    return Check("disk space", "ok", found)


def _filesystem(path: Path) -> Check:
    kind, mount = filesystem_of(path)
    found = f"{kind} at {mount}"
    if kind in _NETWORK:
        fix = "Keep runs on a local disk: leases of a network file system cannot be trusted."
        return Check("file system", "warn", found, fix)
    if kind in _MEMORY:
        return Check("file system", "warn", found, "It is memory: a power cut takes everything.")
    return Check("file system", "ok", found)


def filesystem_of(path: Path) -> tuple[str, str]:
    """Return type and mount point of the file system that holds `path`."""
    real = path.resolve()
    mounts = {Path(each.mountpoint): each.fstype for each in psutil.disk_partitions(all=True)}
    for parent in (real, *real.parents):
        if parent in mounts:
            return mounts[parent], str(parent)
    return "unknown", "/"


@contextmanager
def _probe_dir(path: Path, fs: Fs) -> Iterator[Path]:
    probe = path / f".evertrain-doctor-{os.getpid()}"
    try:
        fs.mkdir(probe)
        yield probe
    finally:
        fs.rmtree(probe)


def _fsync(probe: Path, fs: Fs, clock: Clock) -> Check:
    """Time what each save does several times: a small durable write."""
    took: list[float] = []
    for index in range(5):
        began_s = clock.monotonic_s()
        write_atomic(probe / f"fsync-{index % 2}", b"x" * 4096, fs=fs)
        took.append(clock.monotonic_s() - began_s)
    middle_s = sorted(took)[len(took) // 2]
    found = f"a durable write of 4 kB takes {1000 * middle_s:.1f} ms"
    if middle_s > _SLOW_FSYNC_S:
        return Check("fsync", "warn", found, "Save less often, or use a faster disk.")
    return Check("fsync", "ok", found)


def _rename(probe: Path, fs: Fs, clock: Clock) -> Check:
    del clock
    write_atomic(probe / "old", b"old", fs=fs)
    write_atomic(probe / "new", b"new", fs=fs)
    fs.replace(probe / "new", probe / "old")
    if (probe / "old").read_bytes() == b"new" and not (probe / "new").exists():
        return Check("rename", "ok", "a file is replaced in one step")
    fix = "Use another file system: checkpoints are committed by a rename."
    return Check("rename", "bad", "renaming over a file does not replace it", fix)


def _dir_sync(probe: Path, fs: Fs, clock: Clock) -> Check:
    del fs, clock
    handle = os.open(probe, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_DIR_SYNC:
            raise
        fix = "Use a local disk: after a power cut the newest checkpoint could be missing."
        return Check("directory fsync", "warn", f"refused: {error.strerror}", fix)
    finally:
        os.close(handle)
    return Check("directory fsync", "ok", "names are made durable")


def _hard_links(probe: Path, fs: Fs, clock: Clock) -> Check:
    del clock
    fs.write(probe / "one", (b"x",))
    fs.link(probe / "one", probe / "two")
    if (probe / "two").stat().st_nlink > 1:
        return Check("hard links", "ok", "unchanged parts are shared between checkpoints")
    return Check("hard links", "warn", "refused", "Each checkpoint will take its full size.")


def _times(probe: Path, fs: Fs, clock: Clock) -> Check:
    fs.write(probe / "now", (b"x",))
    skew_s = (probe / "now").stat().st_mtime - clock.now_s()
    found = f"the disk's clock differs by {abs(skew_s):.1f} s"
    if abs(skew_s) > _SKEW_S:
        return Check("disk clock", "warn", found, "Set the clock of the file server.")
    return Check("disk clock", "ok", found)


_PROBES: Final[tuple[Callable[[Path, Fs, Clock], Check], ...]] = (
    _fsync,
    _rename,
    _dir_sync,
    _hard_links,
    _times,
)
