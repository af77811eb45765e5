"""Ten thousand small checkpoints, made quickly: saved in small stores, then moved into one.

A checkpoint is a directory that may be copied or moved; `recover` writes the
index anew. Nothing here is measured, so nothing is synced.
"""

import shutil
from pathlib import Path

import numpy as np

from evertrain import Run, Store
from evertrain.checkpoint import About
from evertrain.core.fs import LocalFs

_BATCH = 100


class Unsynced(LocalFs):
    """A disk that is not waited for."""

    def sync_file(self, path: Path) -> None:
        """Do nothing."""

    def sync_dir(self, path: Path) -> None:
        """Do nothing."""


def start_run(path: Path) -> Path:
    """Make a run with one checkpoint; return where its checkpoints are."""
    with Run(path, total=1) as run:
        run.attach(w=np.zeros(16))
        for _ in run:
            run.log(reward=0.0)
    return run.store.path


def fill(checkpoints: Path, begin: int, end: int) -> None:
    """Add the checkpoints of the steps `begin` to `end`, the last one not included."""
    part = checkpoints.parent / "part"
    for start in range(begin, end, _BATCH):
        store = Store(part, best="max:reward", fs=Unsynced())
        for step in range(start, min(start + _BATCH, end)):
            about = About(metrics={"reward": float(step % 97)}, attempt=1)
            info = store.save(step, {"w": np.full(16, float(step))}, about=about)
            shutil.move(info.path, checkpoints / info.path.name)
        shutil.rmtree(part)
    Store(checkpoints).recover()
