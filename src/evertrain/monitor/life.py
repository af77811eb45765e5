"""Whether a run is alive, decided from its leases and its journal. Takes no lock.

Layer: monitor. Imports core only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evertrain.core import lock, proc
from evertrain.core.clock import SYSTEM_CLOCK, Clock, human_duration
from evertrain.core.heartbeat import PROGRESS, read_beat
from evertrain.core.journal import Row
from evertrain.core.rundir import RunDir
from evertrain.monitor.attempt import SILENT, Attempt, closed, unix_s
from evertrain.monitor.metrics import number_of

State = Literal["new", "running", "stopped", "finished", "crashed", "gave-up", "unknown"]


@dataclass(frozen=True, slots=True)
class Life:
    """Who is at work on a run right now.

    Attributes:
        owner: What the trainer's lease says, or None.
        is_alive: Whether that process lives here.
        sign: "last sign of life 2.1 s ago (save)", or empty.
        beat_step: Step of that sign, or None.
        supervisor: pid of the live supervisor, or None.
    """

    owner: lock.Owner | None = None
    is_alive: bool = False
    sign: str = ""
    beat_step: int | None = None
    supervisor: int | None = None


def look(run_dir: RunDir, clock: Clock = SYSTEM_CLOCK) -> Life:
    """Return who is at work on the run. Takes no lock."""
    owner = lock.read_owner(run_dir.lock)
    supervisor = lock.live_owner(run_dir.supervisor_lock)
    pid = supervisor.pid if supervisor else None
    if owner is None or not owner.is_alive:
        sign, step = _progress(run_dir, clock) if pid is not None else ("", None)
        return Life(owner, sign=sign, beat_step=step, supervisor=pid)
    if proc.is_stopped(owner.pid):
        sign = "which is stopped (SIGSTOP or Ctrl+Z)"
        return Life(owner, is_alive=True, sign=sign, supervisor=pid)
    beat = read_beat(run_dir.heartbeat)
    if beat is None or beat.pid != owner.pid:
        return Life(owner, is_alive=True, supervisor=pid)
    ago = human_duration(clock.monotonic_s() - beat.at_s)
    sign = f"last sign of life {ago} ago ({beat.phase})"
    return Life(owner, is_alive=True, sign=sign, beat_step=beat.step, supervisor=pid)


def _progress(run_dir: RunDir, clock: Clock) -> tuple[str, int | None]:
    """Return what a supervisor has seen of a live command that gives no sign itself."""
    beat = read_beat(run_dir.heartbeat)
    if beat is None or beat.phase != PROGRESS:
        return "", None
    if not proc.Proc(beat.pid, beat.start_time).is_alive:
        return "", None
    ago = human_duration(clock.monotonic_s() - beat.at_s)
    return f"last progress {ago} ago", beat.step if beat.step >= 0 else None


def decide(
    journal_rows: Sequence[Row], attempts: Sequence[Attempt], life: Life, now_s: float
) -> tuple[State, str]:
    """Return the state of a run and the reason. Pure."""
    last = attempts[-1] if attempts else None
    if last is not None and last.end == "finished":
        return "finished", last.why or "training is complete"
    if life.is_alive and life.owner is not None and (last is None or last.end == "running"):
        parts = [f"attempt {life.owner.attempt}", f"pid {life.owner.pid}", life.sign]
        return "running", ", ".join(part for part in parts if part)
    if life.supervisor is not None:
        parts = [_between(journal_rows, life.supervisor, last, now_s), life.sign]
        return "running", ", ".join(part for part in parts if part)
    return _ended(journal_rows, last, life)


def _between(
    journal_rows: Sequence[Row], supervisor: int, last: Attempt | None, now_s: float
) -> str:
    """Say what a supervisor without a live trainer is about."""
    newest = journal_rows[-1] if journal_rows else {}
    ended = f" after {last.why}" if last and last.end == "crashed" and last.why else ""
    number = (last.number if last else 0) + (last is None or last.end != "running")
    started_s, wait_s = unix_s(newest.get("time")), number_of(newest, "seconds")
    if newest.get("event") == "backoff" and started_s is not None and wait_s is not None:
        left = human_duration(min(started_s + wait_s - now_s, wait_s))  # the clock may go back
        return f"backing off{ended}: attempt {number} in {left}"
    return f"attempt {number} under supervisor pid {supervisor}{ended}"


def _ended(journal_rows: Sequence[Row], last: Attempt | None, life: Life) -> tuple[State, str]:
    events = ("gave_up", "supervisor_stopped", "attempt_started", "supervisor_started")
    newest = next((row for row in reversed(journal_rows) if row.get("event") in events), {})
    if newest.get("event") == "gave_up":
        why, cause = (str(newest.get(key) or "") for key in ("why", "cause"))
        cause = str(newest.get("summary") or cause)
        parts = [why, "" if cause in why else cause]
        return "gave-up", ": ".join(part for part in parts if part) or "no restarts left"
    if newest.get("event") == "supervisor_stopped":
        return "stopped", str(newest.get("why") or "on request")
    if last is None:
        return "new", "no attempt yet"
    if last.end == "running":
        owner = life.owner
        return "unknown", f"its owner, {owner}, is on another machine and cannot be seen from here"
    if last.end == "stopped":
        return "stopped", last.why or "on request"
    return "crashed", last.why or SILENT


def settled(attempts: list[Attempt], life: Life) -> list[Attempt]:
    """Close the newest attempt if it left no word and is certainly dead."""
    if not attempts or attempts[-1].end != "running":
        return attempts
    owner = life.owner
    if life.is_alive or (owner is None and life.supervisor is not None):
        return attempts
    if owner is not None and owner.pid and owner.host != proc.host():
        return attempts
    if life.supervisor is not None and not (owner and owner.attempt == attempts[-1].number):
        return attempts  # a command that is no `Run`: its supervisor knows
    went_down = owner is not None and owner.pid and owner.boot_id != proc.boot_id()
    why = "the machine went down" if went_down else SILENT
    return [*attempts[:-1], closed(attempts[-1], why)]
