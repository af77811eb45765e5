"""How the benchmarks measure: cases in turn, in one run, on the same machine and disk.

Loads and disks of shared machines drift, so no number stands alone: what is
compared is measured in alternation, and judged by ratios of medians. Each
round has every case once, in an order of its own (A B C, B C A, ...; shuffled
by a fixed seed), so that nobody always comes behind the one that leaves the
disk busy. A case that fails is reported with its error, never left out.
"""

import argparse
import gc
import logging
import os
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

PACKAGES = (
    "evertrain",
    "numpy",
    "torch",
    "safetensors",
    "blake3",
    "stable-baselines3",
    "lightning",
    "orbax-checkpoint",
    "jax",
    "transformers",
    "accelerate",
    "ray",
    "tqdm",
)
PATIENCE_S = 12.0  # a case that takes longer is not repeated
_LINE = 150  # longest error that a table shows

T = TypeVar("T")
Numbers = dict[str, float]
Case = Callable[[], Numbers]


@dataclass
class Measured:
    """What the cases took.

    Attributes:
        samples: Case -> quantity -> one value a round, without the warm-ups.
        errors: Case -> why it does not run.
    """

    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def median(self, case: str, quantity: str) -> float | None:
        """Return the middle of what `case` took, or None if it did not run."""
        values = self.samples.get(case, {}).get(quantity)
        return statistics.median(values) if values else None

    def ratio(self, case: str, other: str, quantity: str) -> float | None:
        """Return the median of `case` divided by that of `other`."""
        mine, theirs = self.median(case, quantity), self.median(other, quantity)
        return None if mine is None or not theirs else mine / theirs


def alternate(cases: Mapping[str, Case], rounds: int, warmups: int = 1) -> Measured:
    """Run every case once a round, shuffled; the first rounds only warm up.

    A case that takes very long is not repeated: its first sample, warm or not, is all.
    """
    found = Measured({title: {} for title in cases})
    done: set[str] = set()
    gc.collect()
    gc.freeze()  # what the libraries brought along need not be looked through each time
    shuffle = random.Random(0).shuffle
    for number in range(warmups + rounds):
        order = list(cases.items())
        shuffle(order)
        for title, case in order:
            if title in found.errors or title in done:
                continue
            settle()
            with stopwatch() as elapsed_s:
                numbers = attempt(found, title, case)
                if elapsed_s() > PATIENCE_S:
                    done.add(title)
            if numbers is not None and (number >= warmups or title in done):
                mine = found.samples[title]
                for quantity, value in numbers.items():
                    mine.setdefault(quantity, []).append(value)
    return found


def attempt(found: Measured, title: str, action: Callable[[], T]) -> T | None:
    """Return what `action` returns; None where it fails, which is written down."""
    try:
        return action()
    except Exception as error:  # noqa: BLE001  (a peer may fail as it likes: the table says how)
        found.errors[title] = describe(error)
        found.samples.pop(title, None)
        return None


def describe(error: BaseException) -> str:
    """Return an error as one short line."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:_LINE]


def settle() -> None:
    """Let nobody pay for what the case before left in memory or in the disk's cache."""
    gc.collect()
    os.sync()


@contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    """Yield a function that returns the seconds since the block began."""
    began_s = time.perf_counter()
    yield lambda: time.perf_counter() - began_s


def hush() -> None:
    """Let evertrain and its peers keep what they have to say: the tables are to be read."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  (open until the end)


def arguments(about: str | None) -> argparse.Namespace:
    """Return what was asked for on the command line; every benchmark takes the same."""
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: does it run at all?")
    parser.add_argument("--dir", type=Path, help="directory on the disk to measure")
    parser.add_argument("--rounds", type=int, help="rounds of the alternation")
    parser.add_argument("--out", type=Path, help="folder of the JSON (default: results/)")
    parser.add_argument("--only-evertrain", action="store_true", help="leave the peers out")
    return parser.parse_args()


@contextmanager
def scratch(where: Path | None) -> Iterator[Path]:
    """Yield an empty directory on the disk to measure; remove it afterwards."""
    path = Path(tempfile.mkdtemp(prefix="evertrain-bench-", dir=where))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def remove(path: Path) -> None:
    """Remove a file or a directory, whichever it is."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync_tree(path: Path) -> None:
    """Make a file, or a directory and all in it, survive a power cut."""
    inner = sorted(path.rglob("*")) if path.is_dir() else []
    for each in (*inner, path, path.parent):
        handle = os.open(each, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def drop_cache(path: Path) -> None:
    """Ask the kernel to forget the contents of the files at `path`; they must be synced."""
    files = path.rglob("*") if path.is_dir() else [path]
    for each in files:
        if each.is_file():
            handle = os.open(each, os.O_RDONLY)
            try:
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(handle)


def written() -> Numbers:
    """Return what this process wrote so far: bytes to storage, and bytes given to `write`."""
    rows = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return {"stored_bytes": float(rows["write_bytes"]), "asked_bytes": float(rows["wchar"])}


def disk_bytes(path: Path) -> int:
    """Return the blocks that a directory takes, each file once however many names it has."""
    stats = {
        (found.st_dev, found.st_ino): found.st_blocks
        for found in (each.lstat() for each in path.rglob("*"))
    }
    return 512 * sum(stats.values())


def memory_bytes(name: str) -> int:
    """Return a line of /proc/self/status: VmRSS is the memory now, VmHWM its peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"this system does not tell {name}")


def forget_peak() -> None:
    """Let VmHWM begin anew at what is used now."""
    Path("/proc/self/clear_refs").write_text("5")


def machine(place: Path) -> dict[str, Any]:
    """Return what is needed to judge the numbers."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "python": platform.python_version(),
        "disk": _disk(place),
    }


def versions() -> dict[str, str | None]:
    """Return the installed version of everything that is compared, None where it is not."""
    return {name: _version(name) for name in PACKAGES}


def load() -> dict[str, Any]:
    """Return how busy the machine was, with us and with others.

    The load average of 1, 5 and 15 minutes, and the share of the last minute in
    which something had to wait for a processor.
    """
    found: dict[str, Any] = {"average": [round(each, 2) for each in os.getloadavg()]}
    path = Path("/proc/pressure/cpu")
    if path.exists():
        words = dict(word.split("=") for word in path.read_text().splitlines()[0].split()[1:])
        found["waiting_percent"] = float(words["avg60"])
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _disk(place: Path) -> dict[str, Any]:
    """Return the file system under `place`: its type and its free space."""
    found = "?"
    longest = -1
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, kind, *_ = line.split()
        if place.resolve().is_relative_to(mount) and len(mount) > longest:
            found, longest = kind, len(mount)
    return {"filesystem": found, "free_bytes": shutil.disk_usage(place).free}
