"""`init_from`: weights for a fresh start, from another run, a checkpoint, or a bare file.

Layer: run. Imports checkpoint and core.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evertrain.checkpoint.loose import read_arrays
from evertrain.checkpoint.plugin import Tree, active
from evertrain.checkpoint.store import Store
from evertrain.checkpoint.tree.arrays import raw_to_array
from evertrain.core.errors import NotFoundError, StateError
from evertrain.core.rundir import open_run_dir
from evertrain.run.capture import Capture
from evertrain.run.choose import read_path
from evertrain.run.weights import fit

_SUFFIXES = (".safetensors", ".pt", ".pth")


def start_from(source: str | Path, capture: Capture, partial: Sequence[str]) -> str:
    """Put the weights that `source` names into what is attached.

    Args:
        source: RUN, RUN@latest, RUN@best, RUN@STEP, a checkpoint's directory, or a file
            of weights: `.safetensors`, `.pt`, `.pth`.
        capture: What is attached.
        partial: Patterns of leaves that may differ and then stay fresh.

    Returns:
        One line for people: what was taken, and what starts fresh.

    Raises:
        NotFoundError: There is no such run, checkpoint or file.
        CorruptError: It is damaged.
        StateError: It does not fit. Nothing was changed.
    """
    path = Path(source)
    if path.is_file() or path.suffix in _SUFFIXES:
        fitting, faults = fit(load_file(path), capture.things, str(path))
        return capture.restore_weights(fitting, partial, str(path), faults)
    trees, where = load_initial(source)
    return capture.restore_weights(trees, partial, where)


def load_initial(source: str | Path) -> tuple[Mapping[str, Tree], str]:
    """Return the state that `source` names, by part, and its name for messages.

    Args:
        source: RUN, RUN@latest, RUN@best, RUN@STEP, or a checkpoint's directory.

    Raises:
        NotFoundError: There is no such run or checkpoint.
        CorruptError: It is damaged.
    """
    path = Path(source)
    if (path / "manifest.json").is_file():
        return read_path(path).state, str(path)
    name, _, which = str(source).partition("@")
    store = Store(open_run_dir(name).checkpoints)
    found = store.load(which or "latest")
    if not found.state:
        raise NotFoundError(
            f"{source} holds no state.",
            "there is nothing to start from.",
            f"List its checkpoints with: evertrain ls {name}",
        )
    return found.state, str(source)


def load_file(path: Path) -> Mapping[str, Any]:
    """Return the arrays of a bare file, by key. A framework that is there reads its own.

    Raises:
        NotFoundError: There is no such file.
        CorruptError: It is damaged.
        StateError: Nothing here reads it.
    """
    if not path.is_file():
        raise NotFoundError(
            f"there is no file {path}.", "init_from names it.", "Check the path, or its suffix."
        )
    for plugin in active():
        found = plugin.load_weights(path) if plugin.load_weights else None
        if found is not None:
            return found
    if path.suffix == ".safetensors":
        return _as_numpy(path)
    raise StateError(
        f"init_from: nothing here reads {path}.",
        f"weights come from {', '.join(_SUFFIXES)}; the last two need torch.",
        "Import torch before the run is restored, or save the weights as .safetensors.",
    )


def _as_numpy(path: Path) -> dict[str, Any]:
    arrays = read_arrays(path)
    try:
        return {key: raw_to_array(raw, {}) for key, raw in arrays.items()}
    except KeyError as error:
        raise StateError(
            f"init_from: {path} holds arrays of the dtype {error.args[0]}.",
            "numpy has none of that name.",
            "Import torch before the run is restored.",
        ) from error
