"""`evertrain prune RUN`: keep what the rules keep, and say why.

Layer: cli.
"""

from collections.abc import Mapping
from typing import Any, Final

import click

from evertrain.checkpoint.care.prune import Pruned
from evertrain.checkpoint.care.prune import prune as prune_run
from evertrain.checkpoint.care.undo import undo
from evertrain.checkpoint.keep import (
    Keep,
    keep_any,
    keep_best,
    keep_daily,
    keep_every,
    keep_hourly,
    keep_last,
    keep_stages,
    keep_within,
)
from evertrain.cli.disk import disk_errors
from evertrain.cli.duration import DURATION, grace_option
from evertrain.cli.render import (
    Column,
    clean,
    json_option,
    local_time,
    print_json,
    print_table,
    size,
)
from evertrain.core.clock import human_duration, rfc3339
from evertrain.core.errors import EXIT_OK, EXIT_SKIPPED, UsageError
from evertrain.core.rundir import RunDir, open_run_dir

_COUNT: Final = click.IntRange(min=1)
_ENDS: Final = ("stage", "final")


@click.command(
    epilog="Example: evertrain prune runs/trading --keep-last 3 --keep-daily 7 --dry-run"
)
@click.argument("run")
@click.option("--keep-last", type=_COUNT, metavar="N", help="Keep the N newest.")
@click.option("--keep-best", type=_COUNT, metavar="N", help="Keep the N best.")
@click.option("--keep-every", type=_COUNT, metavar="STEPS", help="Keep one per so many steps.")
@click.option("--keep-hourly", type=_COUNT, metavar="N", help="Keep the newest of N hours.")
@click.option("--keep-daily", type=_COUNT, metavar="N", help="Keep the newest of N days.")
@click.option("--keep-within", type=DURATION, metavar="TIME", help="Keep the newest 2d12h.")
@click.option("--keep-stages", is_flag=True, help="Keep what ended a stage, or the run.")
@grace_option("Leave them in the trash so long; 0 deletes at once.")
@click.option("-n", "--dry-run", "is_dry", is_flag=True, help="Only say what would happen.")
@click.option("--undo", "is_undo", is_flag=True, help="Bring back what is still in the trash.")
@json_option
def prune(
    *,
    run: str,
    grace_s: float,
    is_dry: bool,
    is_undo: bool,
    as_json: bool,
    **policy: Any,
) -> int:
    """Remove the checkpoints of RUN that no rule keeps.

    A checkpoint stays if at least one rule keeps it. The newest one that reads
    back whole, pinned ones, and the one that a live training resumed from stay
    whatever the rules say. Hours and days are those of the local time zone;
    --keep-within counts from the newest checkpoint. Safe while RUN trains.
    """
    run_dir, rules = open_run_dir(run), _rules(policy)
    if is_undo:
        if rules or is_dry:
            raise UsageError(
                "--undo takes no rule and no --dry-run.", "it only brings back.", "Drop them."
            )
        return _undo(run_dir, as_json=as_json)
    if not rules:
        raise UsageError(
            "prune was given no rule.",
            "a policy that keeps nothing would remove everything but the newest.",
            f"Say what to keep: evertrain prune {run} --keep-last 5 --keep-best 1",
        )
    with disk_errors(run_dir.checkpoints):
        done = prune_run(run_dir, keep_any(*rules), grace_s=grace_s, is_dry=is_dry)
    if as_json:
        print_json(_json(run_dir, done, is_dry=is_dry))
    else:
        _print(done, grace_s=grace_s, is_dry=is_dry)
    return EXIT_OK


def _rules(policy: Mapping[str, Any]) -> list[Keep]:
    counted = {
        "keep_last": keep_last,
        "keep_best": keep_best,
        "keep_hourly": keep_hourly,
        "keep_daily": keep_daily,
    }
    found: list[Keep] = [make(policy[name]) for name, make in counted.items() if policy[name]]
    if policy["keep_every"]:
        found.append(keep_every(steps=policy["keep_every"]))
    if policy["keep_within"] is not None:
        found.append(keep_within(minutes=policy["keep_within"] / 60))
    if policy["keep_stages"]:
        found.append(keep_stages())
    return found


def _print(done: Pruned, *, grace_s: float, is_dry: bool) -> None:
    if not done.found:
        print("no checkpoints: nothing to prune")
        return
    columns = [
        Column("Step", "right"),
        Column("Saved"),
        Column("Kind"),
        Column("Size", "right"),
        Column("Verdict"),
        Column("Reasons"),
    ]
    rows = [
        [
            str(info.step),
            local_time(info.saved_at_s),
            info.kind,
            size(info.size_bytes),
            "keep" if verdict.is_kept else "remove",
            ", ".join(verdict.reasons) or "-",
        ]
        for info, verdict in zip(done.found, done.verdicts, strict=True)
    ]
    print_table(columns, rows)
    gone = done.removed
    verb = "would be removed" if is_dry else "removed"
    print(f"\nkept {len(done.found) - len(gone)}, {verb}: {len(gone)} ({size(done.freed_bytes)})")
    ends = [str(info.step) for info in gone if info.kind in _ENDS]
    if ends:
        print(f"Ends of stages or of the run are among them: {', '.join(ends)} (--keep-stages).")
    if gone and not is_dry and grace_s > 0:
        print(f"They stay in the trash for {human_duration(grace_s)}; bring them back with --undo.")


def _json(run_dir: RunDir, done: Pruned, *, is_dry: bool) -> dict[str, Any]:
    rows = [
        {
            "step": info.step,
            "saved_at": rfc3339(info.saved_at_s),
            "kind": info.kind,
            "size_bytes": info.size_bytes,
            "is_kept": verdict.is_kept,
            "reasons": list(verdict.reasons),
        }
        for info, verdict in zip(done.found, done.verdicts, strict=True)
    ]
    return {
        "run": str(run_dir.path),
        "dry_run": is_dry,
        "checkpoints": rows,
        "removed": [info.step for info in done.removed],
        "freed_bytes": done.freed_bytes,
    }


def _undo(run_dir: RunDir, *, as_json: bool) -> int:
    with disk_errors(run_dir.checkpoints):
        done = undo(run_dir)
    if as_json:
        print_json({"run": str(run_dir.path), "steps": done.steps, "refused": done.refused})
    else:
        print(f"brought back: {', '.join(map(str, done.steps)) or 'nothing'}")
        for name, problem in sorted(done.refused.items()):
            print(clean(f"stays in the trash: {name}: {problem}"))
    return EXIT_SKIPPED if done.refused else EXIT_OK
