"""Ends of attempts, made up in a word or two."""

from dataclasses import replace
from typing import Any, Literal

from evertrain.supervise.diagnosis.kind import Diagnosis, Kind
from evertrain.supervise.end import End, Gain

START_S = 1_700_000_000.0
Progress = Literal["some", "none", "unknown"]
_PROGRESS = {"some": True, "none": False, "unknown": None}


def crash(progress: Progress = "none", *, step: int | None = None, **gain: Any) -> End:
    """Return an end by an exception; with a `step`, always the same one there."""
    place = "" if step is None else f" | step {step}"
    found = Diagnosis(
        kind="exception", summary="E: x", fingerprint=f"exception | E | train.py:9{place}"
    )
    about = {"at_s": START_S, "seconds": 60.0, **gain}
    return End(
        code=1, is_run=True, diagnosis=found, gain=Gain(progress=_PROGRESS[progress], **about)
    )


def preempted(progress: Progress = "none", **gain: Any) -> End:
    """Return an end by a SIGTERM that nobody here sent."""
    return of_kind("preemption", crash(progress, **gain))


def of_kind(kind: Kind, end: End) -> End:
    """Return the same end by another cause."""
    return replace(end, code=-15, diagnosis=Diagnosis(kind=kind, summary=kind, fingerprint=kind))


def spread(ends: list[End], gap_s: float) -> list[End]:
    """Return the ends so many seconds apart."""
    return [
        replace(end, gain=replace(end.gain, at_s=START_S + place * gap_s))
        for place, end in enumerate(ends)
    ]
