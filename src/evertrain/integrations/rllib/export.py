"""An algorithm as RLlib saves it, whole or not there.

RLlib writes in place: killed while it does, it leaves a directory that loads with
weights of two iterations. Here it writes beside, and the finished directory is renamed.

Layer: integrations. Imports checkpoint, core and its siblings.
"""

import os
from pathlib import Path
from typing import Any

from evertrain.checkpoint.care.export import refuse_existing
from evertrain.checkpoint.commit import sweep
from evertrain.checkpoint.read import read_checkpoint
from evertrain.core.errors import NotFoundError, StateError, UsageError
from evertrain.core.fs import LOCAL_FS, Fs, make_dir
from evertrain.integrations.rllib.adapter import AlgorithmAdapter, is_algorithm

_ADAPTER = AlgorithmAdapter()


def export(algorithm: Any, out: Path | str, *, fs: Fs = LOCAL_FS) -> Path:
    """Have RLlib save an algorithm to a directory that does not exist yet.

    Args:
        algorithm: Of either API stack.
        out: What `Algorithm.from_checkpoint` will be given.
        fs: Disk to write to.

    Raises:
        UsageError: `out` exists.
        OSError: The disk refused.

    Durability:
        After return the directory survives a power cut; before that there is none of that name.
    """
    out = Path(out)
    refuse_existing(out)
    make_dir(out.parent, fs=fs)
    tmp = out.with_name(f".{out.name}.tmp-{os.getpid()}")
    sweep(out.parent, fs, prefix=f".{out.name}.tmp-")
    fs.rmtree(tmp)
    try:
        fs.mkdir(tmp)
        algorithm.save_checkpoint(str(tmp.absolute()))
        _sync(tmp, fs)
        fs.replace(tmp, out)
    except BaseException:
        fs.rmtree(tmp)
        raise
    fs.sync_dir(out.parent)
    return out


def write_rllib(
    path: Path, algorithm: Any, name: str | None, out: Path, *, fs: Fs = LOCAL_FS
) -> Path:
    """Put a checkpoint's state into `algorithm` and have RLlib save it.

    Args:
        path: Directory of the checkpoint.
        algorithm: What the program builds, as on a fresh start.
        name: What it is attached as; None finds it.
        out: The directory.
        fs: Disk to write to.

    Raises:
        UsageError: `algorithm` is none, or `out` exists.
        NotFoundError: The checkpoint holds no algorithm.
        StateError: The state does not fit `algorithm`.
        OSError: The disk refused.
    """
    if not is_algorithm(algorithm):
        raise UsageError(
            f"the factory returned a {type(algorithm).__name__}.",
            "RLlib's own files are saved by the algorithm itself.",
            "Have it return what config.build_algo() returns.",
        )
    refuse_existing(out)
    tree = _find(path, name)
    problems = _ADAPTER.mismatches(algorithm, tree)
    if problems:
        raise StateError(
            f"{path} does not fit the algorithm: "
            + "; ".join(f"{each.path}: {each.problem}" for each in problems[:5]),
            "files of wrong weights would play silently wrong.",
            "Have the factory build the algorithm as the training did.",
        )
    _ADAPTER.restore(algorithm, tree)
    return export(algorithm, out, fs=fs)


def _find(path: Path, name: str | None) -> Any:
    state = read_checkpoint(path, names=None if name is None else [name]).state
    needed = {"class", "ray", "stack"}
    found = [each for each in state.values() if isinstance(each, dict) and needed <= each.keys()]
    if len(found) == 1:
        return found[0]
    raise NotFoundError(
        f"{path} holds {len(found)} algorithms of RLlib.",
        f"it holds {', '.join(state)}.",
        "Name the one: --name algorithm" if found else "Export it as safetensors or pt.",
    )


def _sync(folder: Path, fs: Fs) -> None:
    for inner, _, files in os.walk(folder, topdown=False):
        for each in files:
            fs.sync_file(Path(inner) / each)
        fs.sync_dir(Path(inner))
