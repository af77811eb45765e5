"""Collects what is known about an attempt that has just ended.

Layer: supervise. Imports monitor and core.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from evertrain.core.disk import room_at
from evertrain.core.errors import EvertrainError
from evertrain.core.heartbeat import read_beat
from evertrain.core.journal import NON_FINITE
from evertrain.core.rundir import RunDir, read_identity
from evertrain.monitor.metrics import int_of
from evertrain.monitor.tail import tail_rows
from evertrain.supervise.attempt import Outcome
from evertrain.supervise.cause import Tail
from evertrain.supervise.diagnosis import witness
from evertrain.supervise.diagnosis.facts import Facts
from evertrain.supervise.diagnosis.knobs import knobs_of
from evertrain.supervise.diagnosis.memory import Kills
from evertrain.supervise.history import Story, events


def collect(  # noqa: PLR0913  (all that there is to know)
    run_dir: RunDir,
    attempt: int,
    outcome: Outcome,
    *,
    story: Story,
    tail: Tail,
    kills: Kills,
    step: int | None,
    command: Sequence[str],
    now_s: float,
) -> Facts:
    """Return all that is known about the end of an attempt.

    Args:
        run_dir: Where it trained.
        attempt: Its number.
        outcome: What the shim saw.
        story: What its journal tells.
        tail: End of its output.
        kills: What the kernel killed meanwhile.
        step: How far it came.
        command: What was started.
        now_s: Unix time, seconds.
    """
    beat = read_beat(run_dir.heartbeat) if story.is_run else None
    return Facts(
        code=outcome.code,
        seconds=outcome.seconds,
        tail=tail,
        raised=witness.until_death(witness.read_raised(run_dir, attempt), now_s),
        fault=witness.read_fault(run_dir, attempt),
        hang=outcome.hang,
        kills=kills,
        peak_bytes=outcome.peak_bytes,
        room=room_at(run_dir.path),
        is_run=story.is_run,
        was_terminated=story.stopped_by == "SIGTERM" and not outcome.stop_requested,
        step=step,
        phase=beat.phase if beat is not None else "",
        save_error=_save_error(run_dir, attempt),
        knobs=knobs_of(_config(run_dir), command),
        not_finite=_not_finite(run_dir, attempt) if story.is_run else (),
        unstarted=outcome.unstarted,
    )


def _not_finite(run_dir: RunDir, attempt: int) -> tuple[str, ...]:
    """Return the metrics that were NaN or infinite in the last row of an attempt."""
    rows = [row for row in tail_rows(run_dir.metrics) if (int_of(row, "attempt") or 0) >= attempt]
    last = rows[-1] if rows else {}
    return tuple(
        name for name, value in last.items() if isinstance(value, str) and value in NON_FINITE
    )


def _save_error(run_dir: RunDir, attempt: int) -> str | None:
    """Return why the last save of an attempt failed; None if the last one did not."""
    last = (events(run_dir, "saved", "save_failed") or ({},))[-1]
    is_mine = last.get("event") == "save_failed" and last.get("attempt") == attempt
    error = last.get("error") if is_mine else None
    return error if isinstance(error, str) else None


def _config(run_dir: RunDir) -> dict[str, Any]:
    with suppress(EvertrainError):
        identity = read_identity(run_dir)
        return identity.config if identity is not None else {}
    return {}
