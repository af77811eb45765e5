"""A checkpoint as the `.zip` that `PPO.load` reads.

Such a zip holds classes and spaces, pickled, and a checkpoint holds none: so the model
is built, by the program or from what the checkpoint says of it, its state is put back,
and SB3 itself saves it.

Layer: integrations. Imports checkpoint, core and its siblings.
"""

import io
import pickle
from dataclasses import dataclass
from pathlib import Path

from stable_baselines3.common.base_class import BaseAlgorithm

from evertrain.checkpoint.care.export import refuse_existing, write_new
from evertrain.checkpoint.plugin import INFERENCE, Tree
from evertrain.checkpoint.read import map_checkpoint
from evertrain.core.errors import NotFoundError, StateError, UsageError
from evertrain.core.fs import LOCAL_FS, Fs
from evertrain.integrations.sb3.model import ModelAdapter
from evertrain.integrations.sb3.rebuild import rebuilt

_ADAPTER = ModelAdapter()


@dataclass(frozen=True, slots=True)
class Saved:
    """What SB3 makes of a model.

    Attributes:
        model: Bytes of the zip that `PPO.load` reads.
        normalize: Bytes of the pickle that `VecNormalize.load` reads; None without one.
    """

    model: bytes
    normalize: bytes | None


def saved(path: Path, name: str | None = None, *, model: object = None) -> Saved:
    """Return a checkpoint's model as SB3 saves it.

    Args:
        path: Directory of the checkpoint.
        name: What it is attached as; None finds it.
        model: What the program builds, as on a fresh start; None builds it from what the
            checkpoint says of it. Its state is put back into it.

    Raises:
        UsageError: `model` is none.
        NotFoundError: The checkpoint holds no SB3 model.
        StateError: The state does not fit `model`, or only the program can build one.
    """
    tree = _find(path, name)
    whole = rebuilt(tree) if model is None else _filled(model, tree, path)
    normalize = whole.get_vec_normalize_env()
    buffer = io.BytesIO()
    whole.save(buffer)
    return Saved(buffer.getvalue(), None if normalize is None else pickle.dumps(normalize))


def write_zip(
    path: Path, model: object, name: str | None, out: Path, *, fs: Fs = LOCAL_FS
) -> list[Path]:
    """Write a checkpoint's model as SB3 saves it; return the files.

    Args:
        path: Directory of the checkpoint.
        model: As `saved`.
        name: As `saved`.
        out: The zip. Statistics of a `VecNormalize` go to `<out>.vecnormalize.pkl`.
        fs: Disk to write to.

    Raises:
        UsageError: `model` is none, or `out` exists.
        NotFoundError: As `saved`.
        StateError: As `saved`.
        OSError: The disk refused.

    Durability:
        As `write_new`, for each file; the zip is the last one.
    """
    refuse_existing(out)
    found = saved(path, name, model=model)
    written = []
    if found.normalize is not None:
        beside = out.with_name(f"{out.name}.vecnormalize.pkl")
        write_new(beside, (found.normalize,), fs=fs)
        written.append(beside)
    write_new(out, (found.model,), fs=fs)
    return [*written, out]


def _filled(model: object, tree: Tree, path: Path) -> BaseAlgorithm:
    if not isinstance(model, BaseAlgorithm):
        raise UsageError(
            f"the factory returned a {type(model).__name__}.",
            "a zip is saved by the model itself.",
            "Have it return the PPO, SAC, ... as the training builds it.",
        )
    problems = _ADAPTER.mismatches(model, tree)
    if problems:
        raise StateError(
            f"{path} does not fit the model: "
            + "; ".join(f"{each.path}: {each.problem}" for each in problems[:5]),
            "a zip of wrong weights would play silently wrong.",
            "Have the factory build the model as the training did.",
        )
    _ADAPTER.restore(model, tree)
    return model


def _find(path: Path, name: str | None) -> Tree:
    state = map_checkpoint(path, names=None if name is None else [name]).state
    parts = {"class", INFERENCE, "policy", "optimizers", "counters"}
    found = [tree for tree in state.values() if isinstance(tree, dict) and parts <= tree.keys()]
    if len(found) == 1:
        return found[0]
    raise NotFoundError(
        f"{path} holds {len(found)} models of Stable-Baselines3.",
        f"it holds {', '.join(state)}.",
        "Name the one: --name model" if found else "Export it as safetensors or pt.",
    )
