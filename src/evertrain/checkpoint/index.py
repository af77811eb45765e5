"""What is derived from the checkpoints, for people and scripts: two links and a listing.

Everything here can be lost and is written again by the next save or `recover`.

Layer: checkpoint. Imports core only.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from evertrain.checkpoint.commit import Tools
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.rank import ranked
from evertrain.checkpoint.strict import dumps, float_to_json
from evertrain.core.clock import iso_utc
from evertrain.core.fs import NO_LINK, Fs, symlink_atomic, write_atomic

INDEX: Final = "index.json"
LATEST: Final = "latest"
BEST: Final = "best"
FORMAT: Final = 1


def refresh(root: Path, infos: Sequence[CheckpointInfo], tools: Tools) -> None:
    """Point `latest` and `best` at what they say, and write `index.json`.

    Args:
        root: Directory of the checkpoints.
        infos: What is there, ascending by step.
        tools: Disk and clock.

    Raises:
        OSError: The disk refused.
    """
    if not infos and not root.is_dir():
        return
    best = next(iter(ranked(infos)), None)
    _point(root / LATEST, infos[-1] if infos else None, tools.fs)
    _point(root / BEST, best, tools.fs)
    rows = ",\n".join(dumps(_row(info, is_best=info is best)) for info in infos)
    head = dumps({"format": FORMAT, "updated_at": iso_utc(tools.clock.now_s())})[:-1]
    text = f'{head},"checkpoints":[\n{rows}\n]}}\n' if rows else f'{head},"checkpoints":[]}}\n'
    write_atomic(root / INDEX, text.encode(), fs=tools.fs)


def _point(link: Path, info: CheckpointInfo | None, fs: Fs) -> None:
    there = str(link.readlink()) if link.is_symlink() else None
    if info is None:
        if there is not None:
            fs.unlink(link)
            fs.sync_dir(link.parent)
    elif there != info.path.name:
        try:
            symlink_atomic(info.path.name, link, fs=fs)
        except OSError as error:
            if error.errno not in NO_LINK:  # a file system without links does without
                raise


def _row(info: CheckpointInfo, *, is_best: bool) -> dict[str, Any]:
    return {
        "step": info.step,
        "name": info.path.name,
        "kind": info.kind,
        "saved_at": iso_utc(info.saved_at_s),
        "metrics": {name: float_to_json(value) for name, value in info.metrics.items()},
        "score": None if info.score is None else float_to_json(info.score),
        "is_best": is_best,
        "is_pinned": info.is_pinned,
        "bytes": info.size_bytes,
        "stage": info.stage,
    }
