"""What a training came to, and what it left behind."""

from pathlib import Path
from typing import Any

from evertrain import Store
from evertrain.checkpoint.manifest import state_digest
from evertrain.core.journal import read_lines
from evertrain.monitor.metrics import read_metrics


def end_of(path: Path) -> dict[str, Any]:
    """Return what a training came to, and what it left that should not be there."""
    store, unlike = Store(path), {"time", "attempt"}
    loaded = store.load()
    rows = [{k: v for k, v in row.items() if k not in unlike} for row in read_metrics(path)]
    litter = [str(each.relative_to(path)) for each in path.rglob(".*tmp*")]
    litter += [str(each.relative_to(path)) for each in path.glob("checkpoints/trash/*")]
    return {
        "kind": loaded.info.kind,
        "digest": state_digest(loaded.manifest),
        "rows": rows,
        "bad": [str(each.problem) for each in store.verify()] + litter,
        "aside": [each.name for each in path.glob("checkpoints/quarantine/0*") if each.is_dir()],
    }


def committed(path: Path) -> list[int]:
    """Return the steps of the checkpoints that are there."""
    return sorted(int(each.name) for each in path.glob("checkpoints/0*"))


def resumed_at(path: Path) -> list[int]:
    """Return the step at which each attempt began."""
    rows = read_lines(path / "journal.jsonl").rows
    return [row["step"] for row in rows if row["event"] == "resumed"]
