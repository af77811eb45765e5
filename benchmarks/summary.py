"""The last results of all benchmarks: target, measured, and met or MISSED.

Usage: python benchmarks/summary.py [FOLDER]
"""

import json
import sys
from pathlib import Path

from table import RESULTS, Table, show


def main(folder: Path) -> None:
    """Print one table of all targets, and how many are missed."""
    table = Table("all targets", ["", "target", "measured", ""])
    for path in sorted(folder.glob("*.json")):
        body = json.loads(path.read_text())
        for each in body.get("targets", ()):
            what = f"{body['name']}: {each['what']}"
            table.rows.append([what, each["limit"], each["measured"], each["verdict"]])
        for each in body.get("results", ()):  # of startup.py
            if each["limit_ms"] is not None:
                verdict = "met" if each["is_met"] else "MISSED"
                numbers = [f"{each['limit_ms']:.0f} ms", f"{each['best_ms']:.1f} ms", verdict]
                table.rows.append([f"startup: {each['what']}", *numbers])
    show(table)
    missed = sum(row[3] != "met" for row in table.rows)
    print(f"\n{len(table.rows) - missed} of {len(table.rows)} targets met, {missed} MISSED.")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS)
