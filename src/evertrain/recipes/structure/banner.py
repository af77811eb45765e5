"""What the training says before its first stage: on what it runs, and where it begins.

Layer: recipes. Imports its siblings, run and checkpoint.
"""

from typing import Final

import torch

from evertrain.checkpoint.info import CheckpointInfo
from evertrain.recipes.structure.config import StructureConfig
from evertrain.run.stage import StageLoop

_RULE: Final = "=" * 70


def heading(config: StructureConfig, device: torch.device) -> str:
    """Return the title and the device, with its name if it is a GPU."""
    steps = sum(stage.steps for stage in config.stages)
    lines = [_between(f"STRUCTURE: PPO, {len(config.stages)} STAGES, {steps:,} STEPS")]
    if device.type == "cuda":
        lines.append(f"   GPU: {torch.cuda.get_device_name(device)}")
    return "\n".join([*lines, f"   Device: {device}"])


def beginning(
    config: StructureConfig,
    info: CheckpointInfo | None,
    stage: StageLoop | None,
    *,
    is_fresh_asked: bool = False,
) -> str:
    """Return where the training begins: anew, within a stage, or behind the last one.

    Args:
        config: Of the whole training.
        info: The checkpoint that it goes on from, or None.
        stage: The stage that runs; None if all are complete.
        is_fresh_asked: Whether it is to begin anew, whatever there is.
    """
    if info is None:
        why = "As asked" if is_fresh_asked else "No checkpoints found"
        return f"\n{why} - starting fresh training\n"
    count = len(config.stages)
    done = count if stage is None else stage.index - 1
    last = f"Stage {done}/{count}" if done else "none"
    lines = [
        "\n" + _between("RESUMING FROM CHECKPOINT"),
        f"   Found checkpoint: {info.path}",
        f"   Last completed: {last}",
    ]
    if stage is not None:
        into = info.step - stage.start
        where = f", {into:,} of {stage.end - stage.start:,} steps done" if into else ""
        lines.append(f"   Will resume from Stage {stage.index}/{count}{where}")
    return "\n".join([*lines, ""])


def _between(title: str) -> str:
    return f"{_RULE}\n  {title}\n{_RULE}"
