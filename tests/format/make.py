"""Makes `tests/format/N.tar.xz`: a run as the version of today writes it, to be read for ever.

Run it once for each new format, and never again for an old one:

    cd tests && python -m format.make

A tar, because git keeps neither hard links nor directories without files. The run
went back once, failed once, was damaged once and finished, so that it has
something of everything: shared parts, a pin, a best one, stages, and what was
set aside. What it must give in later versions stands beside it, in `N.json`.
"""

import json
import shutil
import sys
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path

from evertrain.checkpoint import Store
from evertrain.core.rundir import FORMAT, RunDir
from evertrain.monitor.metrics import read_metrics
from format.program import LONGER, train

HERE = Path(__file__).parent


def make(path: Path) -> None:
    """Make the run: three attempts, of which one failed and one found damage."""
    with suppress(ValueError):
        train(path, fails_at=5)
    Store(path).pin(1)
    train(path, resume=2, now_s=1_700_001_000.0)
    file = path / "checkpoints" / "000000006" / "run_rng.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.unlink()
    file.write_bytes(data)
    train(path, now_s=1_700_002_000.0)


def expected(path: Path) -> dict[str, object]:
    """Return what a reader must find in the run, and in its continuation."""
    found = {
        "checkpoints": [[info.step, info.kind, info.stage] for info in Store(path).list()],
        "rows": _rows(path),
    }
    train(path, LONGER, now_s=1_700_003_000.0)
    return found | {"continued": _rows(path)}


def _rows(path: Path) -> list[dict[str, object]]:
    rows = read_metrics(RunDir(path))
    return [{k: repr(v) for k, v in row.items() if k not in {"time", "attempt"}} for row in rows]


def main() -> None:
    """Make both files, unless they are there."""
    out = HERE / f"{FORMAT}.tar.xz"
    if out.exists():
        sys.exit(f"{out} is there: what was released does not change")
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "run"
        make(path)
        for guard in path.glob(".*"):
            guard.unlink()
        with tarfile.open(out, "w:xz") as file:
            file.add(path, "run")
        copy = Path(place) / "copy"
        shutil.copytree(path, copy, symlinks=True)
        text = json.dumps(expected(copy), indent=1)
    out.with_name(f"{FORMAT}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
