"""The facts about a run and a checkpoint, in the same words whichever command shows them.

Layer: cli.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evertrain.checkpoint.info import CheckpointInfo
from evertrain.cli.render import number
from evertrain.core.clock import rfc3339
from evertrain.core.errors import EvertrainError
from evertrain.monitor.goodput import Account
from evertrain.monitor.read import RunStatus
from evertrain.monitor.stability import Stability


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A run that cannot be read.

    Attributes:
        path: Its directory.
        error: Why.
    """

    path: Path
    error: EvertrainError


def progress(found: RunStatus) -> str:
    """Return `250/300`, or `250` where the total is not known."""
    return f"{found.step}/{found.total}" if found.total else str(found.step)


def best(found: RunStatus) -> str:
    """Return `total_profit 5234.56 @ 240`, or `-`."""
    top = found.best
    return f"{top.metric or 'score'} {number(top.value)} @ {top.step}" if top else "-"


def demoted(found: RunStatus) -> str:
    """Return `250, 260 (...)`: the checkpoints that nobody resumes from unasked; "" for none."""
    steps = ", ".join(str(each.step) for each in found.demoted)
    return f"{steps} (killed whoever restored it; taken only by name: --from STEP)" if steps else ""


def shares(account: Account) -> str:
    """Return `96.4 % useful, 2.1 % startup`: what took any time at all."""
    parts = [f"{value:.1f} % {kind}" for kind, value in account.percent().items() if value]
    return ", ".join(parts)


def stability(found: RunStatus) -> Stability:
    """Return how often it crashes, in the time in which attempts ran."""
    account = found.account
    return Stability(found.crash_count, account.total_s - account.backoff_s)


def time_json(account: Account) -> dict[str, float]:
    """Return `{"total_s": ..., "useful_s": ..., ...}`; `goodput` is 0 to 1."""
    each = {f"{kind}_s": round(value, 3) for kind, value in account.seconds().items()}
    return {"total_s": round(account.total_s, 3), "goodput": round(account.goodput, 4), **each}


def run_json(found: RunStatus | Unreadable) -> dict[str, Any]:
    """Return one run as `ls --json` and `status --json` show it."""
    if isinstance(found, Unreadable):
        return {
            "path": str(found.path),
            "state": "unreadable",
            "reason": found.error.what,
            "exit_code": found.error.exit_code,
        }
    last, top, disk = found.checkpoint, found.best, found.disk
    return {
        "path": str(found.path),
        "id": found.identity.id,
        "created_at": found.identity.created_at,
        "recipe": found.identity.recipe,
        "state": found.state,
        "reason": found.reason,
        "unit": found.identity.unit,
        "step": found.step,
        "total": found.total,
        "stage": found.stage,
        "rung": {key: found.rung.get(key) for key in ("name", "index", "count", "move", "why")}
        if found.rung
        else None,
        "saves": {key: found.pace.get(key) for key in ("rule", "interval", "why")}
        if found.pace
        else None,
        "checkpoints": len(found.checkpoints),
        "demoted": [{"step": each.step, "path": str(each.path)} for each in found.demoted],
        "checkpoint": {
            "step": last.step,
            "saved_at": rfc3339(last.saved_at_s),
            "age_s": last.age_s,
            "at_risk_steps": last.at_risk_steps,
            "at_risk_s": last.at_risk_s,
        }
        if last
        else None,
        "best": {"step": top.step, "metric": top.metric, "value": top.value} if top else None,
        "attempts": len(found.attempts),
        "crashes": found.crash_count,
        "crashes_per_h": stability(found).per_h,
        "size_bytes": found.size_bytes,
        "disk": {
            "free_bytes": disk.room.free_bytes,
            "next_save_bytes": disk.next_bytes,
            "room_for": disk.saves,
            "is_low": disk.is_low,
        }
        if disk
        else None,
    }


def kind(info: CheckpointInfo, found: RunStatus) -> str:
    """Return the kind with its marks: `step [BEST]`, `[FINAL]`."""
    is_best = found.best is not None and found.best.step == info.step
    word = "[FINAL]" if info.kind == "final" else info.kind
    marks = ["[BEST]"] * is_best + ["[PINNED]"] * info.is_pinned
    return " ".join([word, *marks])


def checkpoint_json(info: CheckpointInfo, found: RunStatus) -> dict[str, Any]:
    """Return one checkpoint as `ls --json` and `show --json` show it."""
    return {
        "step": info.step,
        "saved_at": rfc3339(info.saved_at_s),
        "kind": info.kind,
        "stage": info.stage,
        "stage_index": info.stage_index,
        "metrics": info.metrics,
        "score": info.score,
        "is_best": found.best is not None and found.best.step == info.step,
        "is_pinned": info.is_pinned,
        "attempt": info.attempt,
        "size_bytes": info.size_bytes,
        "path": str(info.path),
    }
