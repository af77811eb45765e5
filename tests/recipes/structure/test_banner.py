"""What the training says first: its device, and where it begins."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from evertrain.checkpoint.info import CheckpointInfo
from evertrain.recipes.structure.banner import beginning, heading
from recipes.structure.worlds import preset

CONFIG = preset("small")


def stage(index: int) -> Any:
    """Return a running stage."""
    return SimpleNamespace(index=index, start=(index - 1) * 40_000, end=index * 40_000)


def test_the_device_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU by its name."""
    assert "STRUCTURE: PPO, 4 STAGES, 160,000 STEPS" in heading(CONFIG, torch.device("cpu"))
    assert heading(CONFIG, torch.device("cpu")).endswith("   Device: cpu")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")
    lines = heading(CONFIG, torch.device("cuda")).splitlines()
    assert lines[-2:] == ["   GPU: Tesla T4", "   Device: cuda"]


def test_the_beginning_is_told() -> None:
    """Anew; in the middle of a stage; at the start of one; in the first one; behind the last."""

    def told(step: int, running: Any) -> list[str]:
        info = CheckpointInfo(step=step, saved_at_s=0.0, path=Path(f"c/{step}"))
        return beginning(CONFIG, info, running).split("=\n")[-1].rstrip("\n").splitlines()

    assert "No checkpoints found - starting fresh training" in beginning(CONFIG, None, stage(1))
    asked = beginning(CONFIG, None, stage(1), is_fresh_asked=True)
    assert asked == "\nAs asked - starting fresh training\n"
    assert told(82_000, stage(3)) == [
        "   Found checkpoint: c/82000",
        "   Last completed: Stage 2/4",
        "   Will resume from Stage 3/4, 2,000 of 40,000 steps done",
    ]
    assert told(80_000, stage(3))[-1] == "   Will resume from Stage 3/4"
    assert told(500, stage(1))[1] == "   Last completed: none"
    assert told(160_000, None)[1:] == ["   Last completed: Stage 4/4"]
