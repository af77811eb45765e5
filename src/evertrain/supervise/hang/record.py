"""What is kept of a hang: in the journal, in the post-mortem, and for the next decision.

Layer: supervise. Imports core only.
"""

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from evertrain.core.clock import human_duration
from evertrain.core.fs import LOCAL_FS, Fs, make_dir, write_atomic
from evertrain.core.journal import Journal, Row
from evertrain.core.kinds import is_count, is_text, is_words, misfit, or_none
from evertrain.core.rundir import RunDir
from evertrain.supervise.hang.verdict import Evidence, Kind

_KINDS: Final = ("hang", "exit_hang")
_LISTS: Final = ("stacks", "moved", "processes")
_HOW: Final = {
    "stopped": "it is stopped (SIGSTOP)",
    "frozen": "its interpreter is held by a library",
    "idle": "it does nothing",
    "busy": "it is busy",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang:
    """A hang, and what the training was like when it was found.

    Attributes:
        kind: "hang", or "exit_hang": the training was over, its process still there.
        phase: What it was doing: that of the last beat, "launch" before the first one,
            "silence" where none is to be expected.
        step: Last finished step, or None if unknown.
        silent_s: How long nothing was heard, seconds.
        limit_s: How long that might have been, seconds.
        evidence: "stopped", "frozen", "idle" or "busy".
        stacks: Stacks of all threads, twice, some seconds apart; none where nobody may ask.
        moved: What differs between them, a line for each thread.
        processes: The tree, a line for each process.
    """

    kind: Kind
    phase: str
    step: int | None
    silent_s: float
    limit_s: float
    evidence: Evidence
    stacks: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """What happened, in one line."""
        long = human_duration(self.silent_s)
        how = _HOW[self.evidence]
        if self.kind == "exit_hang":
            over = {"silence": "the trainer has ended"}.get(self.phase, "the training was over")
            return f"exit hang: {over}, and its processes did not end for {long}; {how}"
        if self.phase == "silence":
            return f"hang: nothing was heard for {long}; {how}"
        at = "" if self.step is None else f" after step {self.step:,}"
        return f"hang: no sign of life for {long} in {self.phase!r}{at}; {how}"


def encode_hang(hang: Hang) -> Row:
    """Return `hang` as a row of JSON values."""
    row: dict[str, Any] = asdict(hang)
    row |= {key: list(row[key]) for key in _LISTS}
    row |= {"silent_s": round(hang.silent_s, 3), "limit_s": round(hang.limit_s, 3)}
    return row


def decode_hang(row: object) -> Hang | None:
    """Return the hang that `row` describes, or None if it is none."""
    if not isinstance(row, dict) or row.keys() != _FIELDS.keys() or misfit(row, _FIELDS):
        return None
    return Hang(**{**row, **{key: tuple(row[key]) for key in _LISTS}})


def note_hang(
    hang: Hang, run_dir: RunDir, attempt: int, journal: Journal, *, is_observed: bool
) -> None:
    """Write down a hang, as far as the disk lets us.

    Args:
        hang: What was found.
        run_dir: Where `crashes/attempt-N-stacks.txt` goes.
        attempt: Its number.
        journal: That of the run.
        is_observed: Whether it is only observed, and nobody is ended.
    """
    path = run_dir.stacks(attempt)
    with suppress(OSError):
        write_stacks(hang, path.parent, path.name)
    about = {
        "attempt": attempt,
        "kind": hang.kind,
        "phase": hang.phase,
        "step": hang.step,
        "silent_s": round(hang.silent_s, 3),
        "limit_s": round(hang.limit_s, 3),
        "evidence": hang.evidence,
        "stacks": str(path.relative_to(run_dir.path)),
    }
    if is_observed:
        journal.record("hang_observed", about, must=False)
    else:
        journal.record("hang", about, must=False)


def write_stacks(hang: Hang, folder: Path, name: str, *, fs: Fs = LOCAL_FS) -> None:
    """Write what a person wants to read about a hang.

    Durability:
        As `write_atomic`.
    """
    parts = [hang.summary, "", "Processes:", *hang.processes]
    if hang.moved:
        parts += ["", "Between the two dumps of the stacks:", *hang.moved]
    for number, stacks in enumerate(hang.stacks, 1):
        parts += ["", f"Stacks, {number} of {len(hang.stacks)}:", stacks]
    make_dir(folder, fs=fs)
    write_atomic(folder / name, ("\n".join(parts) + "\n").encode(errors="replace"), fs=fs)


def _is_seconds(value: object) -> bool:
    return type(value) in {int, float}


_FIELDS: Final = {
    "kind": lambda value: value in _KINDS,
    "phase": is_text,
    "step": or_none(is_count),
    "silent_s": _is_seconds,
    "limit_s": _is_seconds,
    "evidence": lambda value: isinstance(value, str) and value in _HOW,
    "stacks": is_words,
    "moved": is_words,
    "processes": is_words,
}
