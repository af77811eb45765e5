"""A checkpoint as the `.zip` that `PPO.load` reads.

Such a zip holds classes and spaces, pickled, and a checkpoint holds none: so
the program builds the model, its state is put back, and SB3 itself saves it.

Layer: integrations. Imports checkpoint, core and its siblings.
"""

import io
import pickle
from pathlib import Path

from stable_baselines3.common.base_class import BaseAlgorithm

from evertrain.checkpoint.care.export import refuse_existing, write_new
from evertrain.checkpoint.read import read_checkpoint
from evertrain.core.errors import NotFoundError, StateError, UsageError
from evertrain.core.fs import LOCAL_FS, Fs
from evertrain.integrations.sb3.model import ModelAdapter

_ADAPTER = ModelAdapter()


def write_zip(
    path: Path, model: object, name: str | None, out: Path, *, fs: Fs = LOCAL_FS
) -> list[Path]:
    """Put a checkpoint's state into `model` and have SB3 save it; return the files.

    Args:
        path: Directory of the checkpoint.
        model: What the program builds, as on a fresh start.
        name: What it is attached as; None finds it.
        out: The zip. Statistics of a `VecNormalize` go to `<out>.vecnormalize.pkl`.
        fs: Disk to write to.

    Raises:
        UsageError: `model` is none, or `out` exists.
        NotFoundError: The checkpoint holds no SB3 model.
        StateError: The state does not fit `model`.
        OSError: The disk refused.

    Durability:
        As `write_new`, for each file; the zip is the last one.
    """
    if not isinstance(model, BaseAlgorithm):
        raise UsageError(
            f"the factory returned a {type(model).__name__}.",
            "a zip is saved by the model itself.",
            "Have it return the PPO, SAC, ... as the training builds it.",
        )
    refuse_existing(out)
    tree = _find(path, name)
    problems = _ADAPTER.mismatches(model, tree)
    if problems:
        raise StateError(
            f"{path} does not fit the model: "
            + "; ".join(f"{each.path}: {each.problem}" for each in problems[:5]),
            "a zip of wrong weights would play silently wrong.",
            "Have the factory build the model as the training did.",
        )
    _ADAPTER.restore(model, tree)
    written = []
    normalize = model.get_vec_normalize_env()
    if normalize is not None:
        beside = out.with_name(f"{out.name}.vecnormalize.pkl")
        write_new(beside, (pickle.dumps(normalize),), fs=fs)
        written.append(beside)
    buffer = io.BytesIO()
    model.save(buffer)
    write_new(out, (buffer.getvalue(),), fs=fs)
    return [*written, out]


def _find(path: Path, name: str | None) -> dict[str, object]:
    state = read_checkpoint(path, names=None if name is None else [name]).state
    found = [
        tree
        for tree in state.values()
        if isinstance(tree, dict) and {"class", "policy", "optimizers", "counters"} <= tree.keys()
    ]
    if len(found) == 1:
        return found[0]
    raise NotFoundError(
        f"{path} holds {len(found)} models of Stable-Baselines3.",
        f"it holds {', '.join(state)}.",
        "Name the one: --name model" if found else "Export it as safetensors or pt.",
    )
