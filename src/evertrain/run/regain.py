"""Who a run is when its `run.json` is damaged or lost: checkpoints and journal say it too.

Layer: run. Imports checkpoint and core.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Final

from evertrain.checkpoint.catalog import step_names
from evertrain.checkpoint.directory import opened
from evertrain.checkpoint.read import read_manifest
from evertrain.core.errors import CorruptError, EvertrainError
from evertrain.core.fs import Fs
from evertrain.core.journal import Journal
from evertrain.core.rundir import Identity, RunDir, read_identity

DAMAGED: Final = "run.json.damaged"


def look_up(run_dir: RunDir) -> tuple[Identity | None, str | None]:
    """Return what `run.json` says, and what is wrong with it.

    Returns:
        The identity, or None; and None, or why a run that there is has none.
    """
    try:
        known = read_identity(run_dir)
    except CorruptError as error:
        return None, error.why
    is_lost = known is None and bool(step_names(run_dir.checkpoints))
    return known, "it was missing" if is_lost else None


def remembered(identity: Identity, run_dir: RunDir, journal: Journal) -> Identity:
    """Return a new identity with what of the lost one is known from elsewhere: id and age."""
    for name in reversed(step_names(run_dir.checkpoints)):
        with suppress(EvertrainError, OSError), opened(run_dir.checkpoints / name) as directory:
            manifest = read_manifest(directory)
            first = next((str(row["time"]) for row in journal.events() if _has_time(row)), None)
            return replace(identity, id=manifest.run_id, created_at=first or manifest.saved_at)
    return identity


def set_aside(run_dir: RunDir, fs: Fs) -> None:
    """Keep a damaged `run.json` for people, as `run.json.damaged`."""
    if run_dir.identity.is_file():
        fs.replace(run_dir.identity, run_dir.path / DAMAGED)


def _has_time(row: dict[str, object]) -> bool:
    return isinstance(row.get("time"), str)
