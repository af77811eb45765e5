"""What is derived from the checkpoints, for people and scripts: two links and a listing.

Everything here can be lost and is written again by the next save or `recover`.
The listing saves a reader the manifests: a row counts while the manifest is
the very file that it was written from.

Layer: checkpoint. Imports core only.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.manifest import take_kind, take_numbers
from evertrain.checkpoint.rank import ranked
from evertrain.checkpoint.strict import Fields, check_seal, dumps, float_to_json, loads, seal
from evertrain.core.clock import iso_utc
from evertrain.core.document import DOCUMENT_BYTES
from evertrain.core.errors import CorruptError
from evertrain.core.fs import NO_LINK, Fs, symlink_atomic, write_atomic
from evertrain.core.regular import read_regular
from evertrain.core.rundir import step_name

if TYPE_CHECKING:
    from evertrain.checkpoint.commit import Tools  # saving is not part of listing

# Identifies the bytes of a manifest without reading them: inode, time (ns), size (bytes).
Stamp = tuple[int, int, int]
Known = dict[str, tuple[Stamp, CheckpointInfo | None]]

INDEX: Final = "index.json"
LATEST: Final = "latest"
BEST: Final = "best"
FORMAT: Final = 1
_NO_STAMP: Final = (0, 0, 0)


def refresh(
    root: Path, infos: Sequence[CheckpointInfo], stamps: Mapping[str, Stamp], tools: "Tools"
) -> None:
    """Point `latest` and `best` at what they say, and write `index.json`.

    Args:
        root: Directory of the checkpoints.
        infos: What is there, ascending by step.
        stamps: The manifests that `infos` were read from, by name of the checkpoint.
        tools: Disk and clock.

    Raises:
        OSError: The disk refused.
    """
    if not infos and not root.is_dir():
        return
    best = next(iter(ranked(infos)), None)
    _point(root / LATEST, infos[-1] if infos else None, tools.fs)
    _point(root / BEST, best, tools.fs)
    rows = [
        dumps(_row(info, stamps.get(info.path.name, _NO_STAMP), is_best=info is best))
        for info in infos
    ]
    data = seal(
        {
            "format": str(FORMAT),
            "updated_at": dumps(iso_utc(tools.clock.now_s())),
            "checkpoints": "[\n" + ",\n".join(rows) + "\n]" if rows else "[]",
        }
    )
    write_atomic(root / INDEX, data, fs=tools.fs)


def read_index(root: Path) -> Known:
    """Return what `index.json` knows; nothing if it is missing, damaged or of another format."""
    path = root / INDEX
    try:
        data = read_regular(path, DOCUMENT_BYTES)
        check_seal(data, path)
        top = Fields(loads(data, path), path)
        if top.take("format", int) != FORMAT:
            return {}
        rows = [Fields(row, path) for row in top.take("checkpoints", list)]
        return dict(_known(root, row) for row in rows)
    except (OSError, CorruptError):
        return {}


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


def _row(info: CheckpointInfo, stamp: Stamp, *, is_best: bool) -> dict[str, Any]:
    return {
        "step": info.step,
        "name": info.path.name,
        "kind": info.kind,
        "saved_at": iso_utc(info.saved_at_s),
        "saved_at_s": info.saved_at_s,
        "metrics": {name: float_to_json(value) for name, value in info.metrics.items()},
        "score": None if info.score is None else float_to_json(info.score),
        "metric_name": info.metric_name,
        "is_best": is_best,
        "is_pinned": info.is_pinned,
        "bytes": info.size_bytes,
        "stage": info.stage,
        "stage_index": info.stage_index,
        "attempt": info.attempt,
        "manifest": list(stamp),
    }


def _known(root: Path, row: Fields) -> tuple[str, tuple[Stamp, CheckpointInfo]]:
    step, stamp = row.count("step"), row.take("manifest", list)
    name = step_name(step)
    if [type(each) for each in stamp] != [int, int, int]:
        row.fail(f"'manifest' is {stamp!r:.60}")
    info = CheckpointInfo(
        step=step,
        saved_at_s=row.time("saved_at_s"),
        kind=take_kind(row),
        score=row.number_or_none("score"),
        metric_name=row.take_or_none("metric_name", str),
        attempt=row.count("attempt"),
        size_bytes=row.count("bytes"),
        metrics=take_numbers(row.inner("metrics")),
        stage=row.take_or_none("stage", str),
        stage_index=row.count_or_none("stage_index"),
        path=root / name,
    )
    return name, ((stamp[0], stamp[1], stamp[2]), info)
