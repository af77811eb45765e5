"""The directory that BlueSky works in: in the user's cache, made whole or not at all.

By itself BlueSky writes into `~/bluesky`, where its first start unpacks the
navigation data into a cache. A process that is killed meanwhile leaves a part of
it, and every later start ends with `EOFError`. Two that begin at once write over
each other.

Layer: integrations. Imports core only.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final

from evertrain.core.flock import guarded
from evertrain.core.fs import LOCAL_FS, Fs, make_dir, write_atomic

_WHOLE: Final = ".whole"
_PACKAGES: Final = ("bluesky-simulator", "bluesky-navdata")


def home() -> Path:
    """Return the directory for the versions that are installed; it need not be there yet."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    name = "-".join(version(each) for each in _PACKAGES)
    return Path(cache).expanduser() / "evertrain" / f"bluesky-{name}"


@contextmanager
def prepared(path: Path, *, fs: Fs = LOCAL_FS) -> Iterator[Path]:
    """Lend the directory, to one process alone until it has been used once to the end.

    Args:
        path: The directory.
        fs: Disk to write to.

    Durability:
        A directory counts as whole once everything in it is on the medium. What a
        process leaves that dies before is thrown away by the next one.
    """
    if not (path / _WHOLE).exists():
        make_dir(path.parent, fs=fs)
        with guarded(path):
            if not (path / _WHOLE).exists():
                fs.rmtree(path)
                make_dir(path, fs=fs)
                yield path
                _seal(path, fs)
                return
    yield path


def _seal(path: Path, fs: Fs) -> None:
    """Mark the directory as whole."""
    for each in path.rglob("*"):
        (fs.sync_dir if each.is_dir() else fs.sync_file)(each)
    write_atomic(path / _WHOLE, b"", fs=fs)
