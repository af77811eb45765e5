"""How long a person waits before evertrain does anything.

Measures whole processes, best of N, with nothing subtracted (the first line is
the bare interpreter), the cases in turn so that all see the same load. Writes
`results/startup.json`, the load average included. The limits: 50 ms for
`import evertrain`, 150 ms for the commands.

Usage: python benchmarks/startup.py [N]
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from evertrain.checkpoint import About, Store
from evertrain.core.fs import LOCAL_FS, write_atomic
from evertrain.core.rundir import RunDir, new_identity, write_identity

RESULTS = Path(__file__).with_name("results") / "startup.json"

# What, its arguments to the interpreter, and its limit in milliseconds, or None.
CASES: list[tuple[str, list[str], float | None]] = [
    ("python -c pass", ["-c", "pass"], None),
    ("import evertrain", ["-c", "import evertrain"], 50.0),
    ("evertrain --help", ["-m", "evertrain", "--help"], 150.0),
    ("evertrain ls", ["-m", "evertrain", "ls"], 150.0),
    ("evertrain ls RUN", ["-m", "evertrain", "ls", "trading"], 150.0),
    ("evertrain status RUN", ["-m", "evertrain", "status", "trading"], 150.0),
]


def main(count: int = 20) -> int:
    """Measure, print, write. Return 1 if a limit is missed."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        make_runs(place / "runs")
        rounds = [[run_ms(args, place) for _, args, _ in CASES] for _ in range(count + 1)][1:]
    rows = [
        judge(title, limit_ms, sorted(took_ms))
        for (title, _, limit_ms), took_ms in zip(CASES, zip(*rounds, strict=True), strict=True)
    ]
    for row in rows:
        limit = f"limit {row['limit_ms']:.0f} ms" if row["limit_ms"] else ""
        word = "" if row["is_met"] else "MISSED"
        print(f"{row['what']:<22} {row['best_ms']:7.1f} ms  {limit:<14} {word}".rstrip())
    write(rows, count)
    return int(not all(row["is_met"] for row in rows))


def make_runs(path: Path) -> None:
    """Make three runs with ten checkpoints each: what a person has after a week."""
    for name in ("trading", "structure", "atc"):
        run_dir = RunDir(path / name)
        write_identity(run_dir, new_identity(unit="episode"))
        store = Store(run_dir.checkpoints, best="max:reward")
        for step in range(10, 101, 10):
            about = About(metrics={"reward": float(step)}, attempt=1)
            store.save(step, {"agent": {"w": [0.0] * 100}}, about=about)


def judge(title: str, limit_ms: float | None, took_ms: list[float]) -> dict[str, object]:
    """Return what one case took, best first in `took_ms`, and whether that meets its limit."""
    return {
        "what": title,
        "best_ms": round(took_ms[0], 1),
        "median_ms": round(took_ms[len(took_ms) // 2], 1),
        "limit_ms": limit_ms,
        "is_met": limit_ms is None or took_ms[0] <= limit_ms,
    }


def run_ms(args: list[str], place: Path) -> float:
    """Return how long one process lives, in milliseconds."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPYCACHEPREFIX"] = str(place / "pycache")  # compiled once, as an install is
    command = [sys.executable, *args]
    began_s = time.perf_counter()
    subprocess.run(command, cwd=place, env=env, check=True, stdout=subprocess.DEVNULL)
    return 1000 * (time.perf_counter() - began_s)


def write(rows: list[dict[str, object]], count: int) -> None:
    """Write the results with what is needed to judge them."""
    body = {
        "schema_version": 1,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "load_average": [round(each, 2) for each in os.getloadavg()],
        "best_of": count,
        "results": rows,
    }
    LOCAL_FS.mkdir(RESULTS.parent)
    write_atomic(RESULTS, (json.dumps(body, indent=2) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main(*(int(each) for each in sys.argv[1:2])))
