"""A run as one file, from the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evertrain.checkpoint import Store
from evertrain.cli import archive as module
from evertrain.core import lock
from evertrain.core.rundir import RunDir
from runs import tell

Ask = Callable[..., dict[str, Any]]
Invoke = Callable[..., Any]


def test_there_and_back(place: Path, trading: RunDir, invoke: Invoke, ask: Ask) -> None:
    """Packed, unpacked elsewhere, whole."""
    assert "read back whole" in invoke("archive", "trading", "--out", "t.tar").output
    text = invoke("unarchive", "t.tar", "--to", "runs/again").output
    assert text.endswith("runs/again: 3 checkpoints, all whole\n")
    assert "ok: 3 checkpoints" in invoke("verify", "again").output
    invoke("unarchive", "t.tar", code=2)  # runs/trading exists
    found = ask("unarchive", "t.tar", "--to", "x")
    assert found["checkpoints"] == [10, 20, 30]
    assert trading.path.is_dir()
    assert place.is_dir()


def test_some_checkpoints(trading: RunDir, invoke: Invoke, ask: Ask) -> None:
    """By word or by step."""
    options = ["--checkpoint", "best", "--checkpoint", "30"]
    found = ask("archive", "trading", "--out", "t.tar", *options)
    assert (found["archive"], found["removed"]) == ("t.tar", False)
    invoke("unarchive", "t.tar", "--to", "x")
    assert [info.step for info in Store("x").list()] == [20, 30]
    invoke("archive", "trading", "--out", "u.tar", "--checkpoint", "99", code=10)
    assert trading.path.is_dir()


def test_remove(trading: RunDir, invoke: Invoke) -> None:
    """Only once it is packed, only if nobody works on it, and not without asking."""
    assert "Add --yes" in invoke("archive", "trading", "--out", "t.tar", "--remove", code=2).output
    with lock.take(trading.lock):
        invoke("archive", "trading", "--out", "t.tar", "--remove", "--yes", code=11)
    assert not Path("t.tar").exists()
    text = invoke("archive", "trading", "--out", "t.tar", "--remove", "--yes").output
    assert "mv " in text
    assert not trading.path.exists()
    invoke("unarchive", "t.tar")
    assert len(Store("runs/trading").list()) == 3


def test_a_run_that_went_on_is_not_removed(
    trading: RunDir, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came after the snapshot would be lost."""
    real = vars(module)["pack"]

    def meanwhile(*args: Any, **more: Any) -> Any:
        found = real(*args, **more)
        tell(trading, {"event": "attempt_started", "attempt": 2})
        return found

    monkeypatch.setattr(module, "pack", meanwhile)
    text = invoke("archive", "trading", "--out", "t.tar", "--remove", "--yes", code=1).output
    assert "went on" in text
    assert trading.path.is_dir()


def test_errors(trading: RunDir, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged archive is 12, a missing one 2, and a disk that refuses is no traceback."""
    Path("bad.tar").write_bytes(b"no")
    invoke("unarchive", "bad.tar", code=12)
    invoke("unarchive", "none.tar", code=2)
    invoke("archive", "trading", "--out", "t.zip", code=2)

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "pack", refuse)
    assert "No space left" in invoke("archive", "trading", "--out", "t.tar", code=1).output
    assert trading.path.is_dir()
