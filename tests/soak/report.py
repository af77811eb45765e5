"""Whether a run that was harmed is the one that was left alone, and what the harm cost."""

from collections.abc import Iterator
from pathlib import Path

from evertrain.checkpoint.manifest import state_digest
from evertrain.checkpoint.store import Store
from evertrain.core.clock import human_duration
from evertrain.core.journal import Journal, read_lines
from evertrain.monitor.metrics import read_metrics
from evertrain.monitor.timesheet import account
from soak.account import Case, table
from soak.victim import Victim


def report(victim: Victim, twin: Path, labels: list[str], cases: list[Case]) -> int:
    """Print the account; return 0 if nothing was lost."""
    path = victim.run_dir.path
    print("\n" + "\n".join(table(labels, cases)) + "\n\n" + ", ".join(_costs(victim)))
    wrong = [each.problem for each in cases if each.problem] + victim.surprises
    if victim.is_over:
        wrong += differences(path, twin)
    else:
        wrong.append("the training was never complete")
    for each in wrong:
        print(f"LOST: {each}")
    if not wrong:
        last = Store(path).load("latest")
        print(
            f"bit-exact: {state_digest(last.manifest)[:16]} after {len(cases)} faults equals the "
            f"undisturbed twin's (step {last.info.step:,}, {len(_rows(path)):,} rows of metrics)"
        )
    return 1 if wrong else 0


def differences(victim: Path, twin: Path) -> list[str]:
    """Return what tells the two runs apart, or should not be there."""
    mine, other = Store(victim).load("latest"), Store(twin).load("latest")
    found = []
    if state_digest(mine.manifest) != state_digest(other.manifest):
        found.append("the last checkpoints hold other bits")
    if _rows(victim) != _rows(twin):
        found.append("the metrics differ")
    found += [f"damaged: {each.path} {each.problem}" for each in Store(victim).verify()]
    litter = [each for each in victim.rglob(".*") if "tmp" in each.name or "ballast" in each.name]
    litter += victim.glob("checkpoints/trash/*")
    return found + [f"left behind: {each.relative_to(victim)}" for each in litter]


def _costs(victim: Victim) -> Iterator[str]:
    spent = account(Journal(victim.run_dir.journal).events())
    used = {each.lstat().st_ino: each.lstat().st_blocks for each in victim.run_dir.path.rglob("*")}
    yield f"{len(victim.events('attempt_started'))} attempts"
    yield f"{sum(int(row['step']) > 0 for row in victim.events('resumed'))} resumes"
    yield f"{len(victim.events('saved')):,} saves"
    yield f"{len(victim.events('save_failed'))} refused by the disk"
    yield f"{read_lines(victim.run_dir.journal).bad_count} torn lines skipped"
    yield f"useful {human_duration(spent.useful_s)}"
    yield f"done twice {human_duration(spent.replayed_s)}"
    other_s = spent.total_s - spent.useful_s - spent.replayed_s
    yield f"waiting, starting, saving and restoring {human_duration(other_s)}"
    yield f"{sum(used.values()) * 512 / 1e6:.0f} MB on the disk"


def _rows(path: Path) -> list[dict[str, object]]:
    """Return the live metrics without what tells attempts apart."""
    unlike = {"time", "attempt"}
    return [{k: v for k, v in row.items() if k not in unlike} for row in read_metrics(path)]
