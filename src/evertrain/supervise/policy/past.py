"""The ends of the attempts that still count, as the journal tells them. Pure.

So the ledgers survive the supervisor's death. Whoever starts it again after it gave up,
after a stop or after the end of the training begins anew: somebody has looked at it.

Layer: supervise. Imports monitor and core.
"""

from collections.abc import Sequence
from typing import Final

from evertrain.core.journal import Row
from evertrain.monitor.attempt import is_commit, unix_s
from evertrain.monitor.metrics import int_of, number_of
from evertrain.supervise.diagnosis.kind import Diagnosis, kind_of
from evertrain.supervise.end import End, Gain, Move
from evertrain.supervise.options import GOES_ON

_ANEW: Final = frozenset({"gave_up", "supervisor_stopped", "finished"})
_JUDGED: Final = frozenset({"crashed", "preempted"})
_ENDS: Final = _JUDGED | {"ended"}
_BEGUN: Final = frozenset({"resumed", "restoring"})
_MOVES: Final[dict[str, Move]] = {"older": "older", "reseed": "reseed"}


def event_of(row: Row) -> str:
    """Return the name of an event; a file may hold anything."""
    return str(row.get("event"))


def that_count(journal_rows: Sequence[Row]) -> list[Row]:
    """Return the rows since somebody last looked at the run, or sent it elsewhere."""
    first = 0
    for place, row in enumerate(journal_rows):
        if event_of(row) in _ANEW:
            first = place + 1
        elif event_of(row) == "supervisor_started" and _is_sent_elsewhere(row):
            first = place
    return list(journal_rows[first:])


def _is_sent_elsewhere(started: Row) -> bool:
    options = started.get("options")
    resume = options.get("resume", "auto") if isinstance(options, dict) else "auto"
    return resume not in GOES_ON


def ends_of(journal_rows: Sequence[Row]) -> list[End]:
    """Return how the attempts ended that still count, oldest first.

    An attempt that was launched, and of whose end nothing is told, went down with its
    supervisor: an interruption from outside. One that the supervisor saw end, and judged no
    further, made room for another setting.

    Args:
        journal_rows: Events of `journal.jsonl`, oldest first, of a run in which no attempt
            is alive.
    """
    rows = that_count(journal_rows)
    told = {int_of(row, "attempt") for row in rows if event_of(row) in _ENDS}
    judged = {int_of(row, "attempt") for row in rows if event_of(row) in _JUDGED}
    found: list[End] = []
    for place, row in enumerate(rows):
        match event_of(row):
            case "crashed" | "preempted":
                found.append(_end_of(row))
            case "ended" if row.get("by") == "supervisor" and int_of(row, "attempt") not in judged:
                found.append(_moved(row))
            case "launched" if int_of(row, "attempt") not in told:
                found.append(_lost(row, has_saved=_has_saved(rows, place)))
            case _:
                pass
    return found


def pending_move(journal_rows: Sequence[Row]) -> tuple[Move | None, str | None]:
    """Return what was decided on, and where to begin, while nobody has begun with it yet.

    The supervisor that decided it died in its pause.
    """
    rows = that_count(journal_rows)
    last = next(
        (row for row in reversed(rows) if event_of(row) in {"backoff", "launched"}),
        {},
    )
    move = _MOVES.get(_text(last, "move")) if last.get("event") == "backoff" else None
    return move, (_text(last, "from") or None) if move is not None else None


def _end_of(row: Row) -> End:
    kind = "preemption" if row["event"] == "preempted" else kind_of(row.get("kind"))
    return End(
        code=int_of(row, "code"),
        is_run=True,  # a crash, whatever its code: the row says so
        diagnosis=Diagnosis(
            kind=kind, summary=_text(row, "summary"), fingerprint=_text(row, "fingerprint")
        ),
        gain=_gain_of(row),
    )


def _moved(row: Row) -> End:
    return End(code=int_of(row, "code"), is_run=True, stop_requested=True, gain=_gain_of(row))


def _gain_of(row: Row) -> Gain:
    progress = row.get("progress")
    return Gain(
        at_s=unix_s(row.get("time")) or 0.0,
        seconds=number_of(row, "seconds") or 0.0,
        progress=progress if isinstance(progress, bool) else None,
        useful_s=number_of(row, "useful_s"),
        died_restoring=row.get("died_restoring") is True,
        move=_MOVES.get(_text(row, "move")),
    )


def _lost(row: Row, *, has_saved: bool) -> End:
    why = "the machine went down, or supervisor and training were killed together"
    return End(
        code=None,
        is_run=True,
        diagnosis=Diagnosis(kind="preemption", summary=why),
        # What it has not told may have gone down with it.
        gain=Gain(at_s=unix_s(row.get("time")) or 0.0, progress=True if has_saved else None),
    )


def _has_saved(rows: Sequence[Row], place: int) -> bool:
    """Say whether the attempt launched at `place` committed a newer checkpoint than any before."""
    after = next(
        (at for at in range(place + 1, len(rows)) if event_of(rows[at]) == "launched"), len(rows)
    )
    saved = [_step(row) for row in rows[place:after] if is_commit(row)]
    known = [_step(row) for row in rows[:place] if is_commit(row)]
    began = [_step(row) for row in rows[:after] if event_of(row) in _BEGUN]
    return max(saved, default=-1) > max([*known, *began], default=-1)


def _step(row: Row) -> int:
    return int_of(row, "step") or 0


def _text(row: Row, key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""
