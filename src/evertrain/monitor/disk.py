"""How long the disk of a run will do.

Layer: monitor. Imports checkpoint and core.
"""

from collections.abc import Sequence
from pathlib import Path

from evertrain.checkpoint.share import freed
from evertrain.checkpoint.space import Outlook
from evertrain.core.disk import room_at
from evertrain.core.journal import Row
from evertrain.monitor.metrics import int_of


def last_written_bytes(journal_rows: Sequence[Row]) -> int | None:
    """Return about how much the newest save wrote, and did not share; None is not known."""
    saved = (row for row in reversed(journal_rows) if row.get("event") == "saved")
    return next((int_of(row, "written") for row in saved if "written" in row), None)


def outlook_of(root: Path, journal_rows: Sequence[Row], newest: Path | None) -> Outlook | None:
    """Return how long the disk of a run will do; None where its file system does not say.

    Args:
        root: Where its checkpoints lie.
        journal_rows: What its journal says.
        newest: Its newest checkpoint, if there is one.
    """
    room = room_at(root)
    if room is None:
        return None
    next_bytes = last_written_bytes(journal_rows)
    if next_bytes is None and newest is not None:
        next_bytes = freed([newest]).bytes
    return Outlook(room, next_bytes)
