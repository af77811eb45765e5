"""A Ray of one's own on this machine, of which nothing is left when its training dies.

Killed by SIGKILL, a driver leaves two of Ray's agents (75 MB each) to nobody, and with each
start Ray adds a directory of logs. Below a supervisor the agents are swept with
everything else; without one, the next start finds them by what they were started with.

Layer: integrations. Imports core only.
"""

import hashlib
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from evertrain.core import proc
from evertrain.core.fs import LOCAL_FS, Fs, make_dir
from evertrain.core.lock import take
from evertrain.integrations.extras import require

MARK: Final = "EVERTRAIN_RAY"
_MAX_CHARS: Final = 40  # Ray's sockets lie 65 characters below, and 107 are all that there is
_GRACE_S: Final = 3.0


@contextmanager
def local_ray(owner: Path | str, *, fs: Fs = LOCAL_FS, **options: Any) -> Iterator[None]:
    """Start a Ray for one training; it ends with the block.

    What an earlier process of the same training has left is ended and removed first:
    its daemons, and its directory of logs. So there is never more than one.

    Args:
        owner: The run directory, or another path that only this training has.
        fs: Disk to remove from.
        options: Arguments of `ray.init`, such as num_cpus=4.

    Raises:
        LockedError: A live process of the same training has one.
    """
    home = home_of(owner)
    make_dir(home.parent, fs=fs)
    with take(home.with_name(f"{home.name}.lock"), fs=fs):
        end_leftovers(home, fs=fs)
        ray = require("ray", extra="rllib")
        defaults = {"include_dashboard": False, "log_to_driver": False}
        with keeping_sigterm(), _marking(home):
            ray.init(**{**defaults, **options}, _temp_dir=str(home))
        try:
            yield
        finally:
            ray.shutdown()
            end_leftovers(home, fs=fs)


@contextmanager
def _marking(home: Path) -> Iterator[None]:
    """Mark what is started meanwhile, and nothing that the training starts afterwards."""
    os.environ[MARK] = str(home)
    try:
        yield
    finally:
        os.environ.pop(MARK, None)


@contextmanager
def keeping_sigterm() -> Iterator[None]:
    """Put back who listens to SIGTERM, such as a run that is to save: Ray takes it for itself."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        is_known = before is not None  # else it was not Python that set it, and cannot be put back
        if is_known and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def home_of(owner: Path | str) -> Path:
    """Return the directory in which the Ray of `owner` lives: a short one, for its sockets."""
    name = hashlib.blake2b(str(Path(owner).absolute()).encode(), digest_size=4).hexdigest()
    folder = Path(tempfile.gettempdir()) / f"evertrain-ray-{os.getuid()}"
    if len(str(folder / name)) > _MAX_CHARS:
        folder = Path("/tmp") / folder.name  # noqa: S108  (as Ray itself)
    return folder / name


def end_leftovers(home: Path, *, fs: Fs = LOCAL_FS) -> list[int]:
    """End the daemons that were started for `home`, and remove it. Return their process ids.

    The process that calls this is left alone, with what started it.
    """
    mine = {os.getpid(), *proc.ancestors(os.getpid())}
    found = [each for each in proc.started_with(f"{MARK}={home}") if each.pid not in mine]
    proc.kill_trees(found, grace_s=_GRACE_S)
    with suppress(OSError):  # a daemon may still write its last line; the next start removes it
        fs.rmtree(home)
    return [each.pid for each in found]
