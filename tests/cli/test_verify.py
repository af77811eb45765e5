"""Every byte of every checkpoint, or exit code 12."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evertrain.checkpoint import Store
from evertrain.checkpoint import check as module
from evertrain.core.rundir import RunDir
from runs import new_run, share

Ask = Callable[..., dict[str, Any]]
Invoke = Callable[..., Any]


def _flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def test_a_whole_run(trading: RunDir, invoke: Invoke) -> None:
    """It is said in one line, with the newest."""
    assert invoke("verify", "trading").output == "ok: 3 checkpoints whole, newest 30\n"
    assert invoke("verify", "trading@best").output == "ok: 1 checkpoint whole, newest 20\n"
    assert trading.path.is_dir()


@pytest.mark.parametrize("name", ["agent.safetensors", "manifest.json", "metadata.json"])
def test_one_flipped_bit(trading: RunDir, invoke: Invoke, name: str) -> None:
    """In any file of any checkpoint, it is found and named."""
    _flip(trading.checkpoints / "000000020" / name)
    lines = invoke("verify", "trading", code=12).output.splitlines()

    assert any(f"000000020/{name}: " in line for line in lines)
    assert "2 checkpoints whole, newest 30" in lines[-2]
    assert "sets a damaged checkpoint aside" in lines[-1]


def test_a_rotten_shared_file(trading: RunDir, ask: Ask) -> None:
    """It is found in every checkpoint that shares it, and in no other."""
    share(trading.checkpoints, 10, 30)
    _flip(trading.checkpoints / "000000010" / "agent.safetensors")
    found = ask("verify", "trading", code=12)

    assert {each["step"] for each in found["faults"]} == {10, 30}
    assert found["whole"] == [20]


def test_a_shared_file_is_read_once(
    trading: RunDir, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many checkpoints have it, its bytes come from the disk once."""
    for step in (20, 30):
        share(trading.checkpoints, 10, step)
    reads: list[str] = []
    real = module.fill

    def counted(file: Any, view: memoryview, path: Path) -> None:
        reads.append(path.name)
        real(file, view, path)

    monkeypatch.setattr(module, "fill", counted)

    assert ask("verify", "trading")["whole"] == [10, 20, 30]
    head_and_part = ["agent.safetensors"] * 2
    assert sorted(reads) == head_and_part + ["metadata.json"] * 3


def test_a_shared_file_is_compared_with_each_manifest(trading: RunDir, ask: Ask) -> None:
    """A file that is right for one checkpoint is not taken for right in another."""
    other = trading.checkpoints / "000000020" / "agent.safetensors"
    Store(trading.checkpoints).save(40, {"agent": {"w": np.arange(100) + 1}})
    other.unlink()
    other.hardlink_to(trading.checkpoints / "000000040" / "agent.safetensors")
    found = ask("verify", "trading", code=12)

    assert {each["step"] for each in found["faults"]} == {20}


def test_the_others_are_whole(trading: RunDir, invoke: Invoke) -> None:
    """Asked for one, only that one counts."""
    _flip(trading.checkpoints / "000000020" / "agent.safetensors")

    invoke("verify", "trading@30")
    invoke("verify", "trading@20", code=12)


def test_as_json(trading: RunDir, ask: Ask) -> None:
    """Faults have step, path and problem."""
    assert ask("verify", "trading") == {
        "schema_version": 1,
        "ok": True,
        "run": "runs/trading",
        "whole": [10, 20, 30],
        "faults": [],
    }
    (trading.checkpoints / "000000010" / "agent.safetensors").unlink()
    found = ask("verify", "trading", code=12)

    assert (found["ok"], found["whole"]) == (False, [20, 30])
    assert [each["step"] for each in found["faults"]] == [10]
    assert found["faults"][0].keys() == {"step", "path", "problem"}


def test_nothing_to_verify(place: Path, invoke: Invoke) -> None:
    """A run without checkpoints cannot be resumed, so it does not pass."""
    new_run(place / "r")

    invoke("verify", "r", code=10)
    invoke("verify", "nope", code=10)


def test_all_damaged(trading: RunDir, invoke: Invoke) -> None:
    """With no whole checkpoint left there is no newest one to name."""
    for path in trading.checkpoints.glob("0*/manifest.json"):
        _flip(path)

    assert "0 checkpoints whole\n" in invoke("verify", "trading", code=12).output
