"""Train the recipe `trading` with several seeds, and print what they earned before and after.

python examples/trading_seeds.py --preset small --source googl --seeds 5

Each seed is a run of its own, so the same command goes on where it was.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Final

from evertrain.recipes.estimate import Estimate
from evertrain.recipes.trading.config import PRESETS, TradingConfig
from evertrain.recipes.trading.market import PARTS
from evertrain.recipes.trading.train import train

Numbers = dict[tuple[str, str], list[float]]

POLICIES: Final = ("buy and hold", "untrained", "last", "best")


def main() -> None:
    """Train, and print a table of means with standard errors over the seeds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", default="googl", help="googl, eurusd, random_walk, or a .csv")
    parser.add_argument("--preset", default="default", help="default or small")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", type=Path, default=Path("runs/seeds"))
    args = parser.parse_args()
    reports = [report_of(args.preset, args.source, seed, args.runs) for seed in range(args.seeds)]
    for metric in ("total_profit", "sharpe_ratio", "total_trades"):
        print(f"\n{metric}, {args.source}, mean +- standard error over {args.seeds} seeds")
        print(table(numbers(reports, metric)))


def report_of(preset: str, source: str, seed: int, runs: Path) -> list[dict[str, object]]:
    """Train a seed to its end, unless it was, and return its report.

    A random walk is another one for each seed.
    """
    own = {"seed": seed, "market": {"source": source, "seed": seed}}
    path = runs / f"{preset}-{Path(source).stem}-{seed}"
    train(TradingConfig.model_validate(PRESETS[preset] | own), path)
    found: list[dict[str, object]] = json.loads((path / "report.json").read_text())
    return found


def numbers(reports: list[list[dict[str, object]]], metric: str) -> Numbers:
    """Return a metric of all seeds by part and policy; the best one's episode does not count."""
    found: Numbers = defaultdict(list)
    for row in (row for report in reports for row in report):
        policy = str(row["policy"]).partition(" (")[0]
        found[str(row["part"]), policy].append(float(str(row[metric])))
    return found


def table(found: Numbers) -> str:
    """Return a row for each policy and a column for each part, as Markdown."""
    lines = [f"| policy | {' | '.join(PARTS)} |", "|---" * (len(PARTS) + 1) + "|"]
    for policy in POLICIES:
        cells = [f"{Estimate.of(found[part, policy]):,.2f}" for part in PARTS]
        lines.append(f"| {policy} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
