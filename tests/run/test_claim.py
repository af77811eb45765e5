"""Which checkpoints a process committed that had lost the run."""

from pathlib import Path

import pytest

from evertrain import keep_last
from evertrain.checkpoint import catalog
from evertrain.checkpoint.directory import Opened
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.manifest import Manifest
from evertrain.checkpoint.read import read_manifest
from evertrain.core.journal import Row
from evertrain.run.claim import intruders, late
from support import OpenRun


def made(step: int, attempt: int) -> CheckpointInfo:
    """Return a checkpoint in its place."""
    return CheckpointInfo(step=step, saved_at_s=0.0, attempt=attempt)


def saved(step: int, attempt: int) -> Row:
    """Return an event."""
    return {"event": "saved", "step": step, "attempt": attempt}


def begun(newest: int, attempt: int) -> Row:
    """Return an event."""
    return {"event": "attempt_started", "newest": newest, "attempt": attempt}


def resumed(step: int, attempt: int) -> Row:
    """Return an event."""
    return {"event": "resumed", "step": step, "attempt": attempt}


@pytest.mark.parametrize(
    ("rows", "is_late"),
    [
        ([], False),
        ([saved(40, 1)], False),
        ([saved(30, 1), resumed(30, 2)], True),
        ([saved(30, 1), resumed(30, 2), saved(40, 1)], True),
        ([resumed(40, 2)], False),
        ([resumed(30, 1)], False),
        ([saved(40, 1), resumed(0, 2)], False),
        ([resumed(0, 1), resumed(50, 2)], False),
        ([resumed(40, 2), resumed(30, 3)], True),
        ([{"event": "resumed", "step": "x", "attempt": None}], False),
        ([begun(-1, 1), saved(30, 1), begun(30, 2)], True),
        ([begun(-1, 2)], True),
        ([begun(30, 2), saved(40, 1)], True),
        ([begun(-1, 1), begun(40, 2)], False),
        ([begun(50, 2)], False),
        ([saved(40, 1), begun(30, 2)], False),
        ([{"event": "attempt_started", "attempt": 2}], False),
        ([{"event": "attempt_started", "attempt": 2, "newest": "30"}], False),
    ],
    ids=[
        "nobody came",
        "nobody came, and it was told",
        "somebody had gone on before",
        "it was told later",
        "somebody went on from it",
        "its own start",
        "it was told, moved away by hand, and came back",
        "only from later steps",
        "the second of two",
        "odd",
        "somebody began where it was not, and died",
        "somebody began where there was nothing",
        "it was told behind that",
        "somebody found it",
        "somebody found later ones",
        "it was told, moved away by hand before somebody began, and came back",
        "somebody began who did not look",
        "somebody began, and the journal is odd",
    ],
)
def test_what_is_late(rows: list[Row], *, is_late: bool) -> None:
    """A checkpoint is late where a later attempt had gone on from below before it was told."""
    assert late([made(40, 1)], rows) == ([made(40, 1)] if is_late else [])


def test_what_no_attempt_wrote_is_never_late() -> None:
    """A store may be filled by other means."""
    assert late([made(40, 0)], [resumed(0, 2)]) == []
    assert intruders([made(40, 0)], 2, 0) == []


def test_intruders() -> None:
    """Of an earlier attempt, behind the step that this one began at."""
    found = [made(20, 1), made(30, 1), made(40, 1), made(50, 2)]
    assert intruders(found, 2, 30) == [made(40, 1)]


def test_no_save_reads_a_manifest_of_its_own_run(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a state of thousands of leaves each would take the interpreter from the loop."""
    read: list[Path] = []

    def noted(directory: Opened) -> Manifest:
        read.append(directory.path)
        return read_manifest(directory)

    monkeypatch.setattr(catalog, "read_manifest", noted)

    for _ in open_run(keep=keep_last(2)):
        pass

    assert read == []
