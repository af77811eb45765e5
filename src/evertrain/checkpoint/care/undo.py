"""Bringing checkpoints back from the trash.

Layer: checkpoint. Imports core only.
"""

from dataclasses import dataclass
from typing import Final

from evertrain.checkpoint import trash
from evertrain.checkpoint.care.anchor import refresh, standstill
from evertrain.checkpoint.commit import Tools
from evertrain.checkpoint.directory import opened
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.manifest import to_info
from evertrain.checkpoint.read import read_manifest
from evertrain.checkpoint.verify import faults_of
from evertrain.core.errors import EvertrainError
from evertrain.core.journal import Journal
from evertrain.core.layout import check_link
from evertrain.core.rundir import RunDir, parse_step

_TOOLS: Final = Tools()


@dataclass(frozen=True, slots=True)
class Undone:
    """What came back from the trash.

    Attributes:
        steps: Those that did.
        refused: What stayed there, by name, each with the reason.
    """

    steps: list[int]
    refused: dict[str, str]


def undo(run_dir: RunDir, *, tools: Tools = _TOOLS) -> Undone:
    """Bring back from the trash what is whole, and belongs to the branch that the run is on.

    Raises:
        ConfigError: `checkpoints` is a link to what is not the run's own.
        LockedError: An attempt is just beginning, and has not said from where.
        OSError: The disk refused.
    """
    root, refused = run_dir.checkpoints, dict[str, str]()
    check_link(root)
    found = {each.name: each for each in trash.discarded(root / trash.TRASH)}
    for name, each in found.items():
        problem = _unfit(run_dir, each)
        if problem is not None:
            refused[name] = problem
    back = []
    with standstill(run_dir):
        for name in found.keys() - refused.keys():
            step = trash.bring_back(root, found[name], tools)
            if step is None:
                refused[name] = "there is a checkpoint of that step"
            else:
                back.append(step)
        refresh(root, tools)
    if back:
        Journal(run_dir.journal, fs=tools.fs, clock=tools.clock).record(
            "brought_back", must=False, steps=sorted(back)
        )
    return Undone(sorted(back), refused)


def _unfit(run_dir: RunDir, each: trash.Discarded) -> str | None:
    """Return why something in the trash cannot come back, or None."""
    step = parse_step(each.name)
    if step is None:
        return "it is no checkpoint"
    try:
        faults = faults_of(each.path, step)
        with opened(each.path) as directory:
            info = to_info(read_manifest(directory), each.path)
    except (EvertrainError, OSError) as error:
        return f"it cannot be read: {error}".splitlines()[0]
    if faults:
        return f"it is damaged: {faults[0].problem}"
    if info.step != step:
        return f"it is of step {info.step}"
    if _is_abandoned(run_dir, info):
        return "the run went back behind it, to another branch"
    return None


def _is_abandoned(run_dir: RunDir, info: CheckpointInfo) -> bool:
    """Say whether a later attempt resumed below it."""
    return any(
        isinstance(row.get("attempt"), int)
        and isinstance(row.get("step"), int)
        and row["attempt"] > info.attempt
        and row["step"] < info.step
        for row in Journal(run_dir.journal).events("resumed")
    )
