"""`init_from`: weights for a fresh start, from another run, a checkpoint, or a bare file.

Layer: run. Imports checkpoint and core.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.loose import read_arrays
from evertrain.checkpoint.plugin import Adapter, Mismatch, Tree, active
from evertrain.checkpoint.store import Store
from evertrain.checkpoint.tree import flatten
from evertrain.checkpoint.tree.arrays import raw_to_array
from evertrain.core.errors import NotFoundError, StateError
from evertrain.core.rundir import open_run_dir, typed_step
from evertrain.run.capture import Capture
from evertrain.run.choose import read_path
from evertrain.run.fitting import judging
from evertrain.run.weights import fit, is_fresh, rigid_misfits, taken

_SUFFIXES: Final = (".safetensors", ".pt", ".pth")
_SHOWN: Final = 3


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
    path, faults = Path(source), list[Mismatch]()
    if _is_file(path):
        where, found = str(path), load_file(path)
        with judging(where):
            fitting, faults = fit(found, capture.things, where)
        trees: Mapping[str, Tree] = fitting
    else:
        trees, where = load_initial(source)
    with judging(where):
        took = _took(trees, faults, capture)  # before they are taken, and then fit
    capture.restore_weights(trees, partial, where, faults)
    fresh = ", ".join(name for name in capture.things if name not in took)
    line = f"Starting with the weights of {where}: {', '.join(took.values()) or 'none'}"
    return f"{line}; fresh: {fresh}" if fresh else line


def check_source(source: str | Path) -> None:
    """Refuse a source that is not there. Loads and changes nothing.

    Raises:
        NotFoundError: There is no such run, checkpoint or file.
        UsageError: What follows the "@" names no checkpoint.
    """
    path = Path(source)
    if _is_file(path):
        _require_file(path)
    elif not (path / "manifest.json").is_file():
        store, which = in_run(source)
        step = typed_step(which)
        if step is not None:
            store.get(step)
        elif which not in {"latest", "best"} or _newest_or_best(store, which) is None:
            store.load(which)  # says what there is instead


def _newest_or_best(store: Store, which: str) -> CheckpointInfo | None:
    return store.latest() if which == "latest" else store.best()


def _took(
    trees: Mapping[str, Tree], faults: Sequence[Mismatch], capture: Capture
) -> dict[str, str]:
    """Return what is going to be taken by name, each with the leaves of it that stay fresh."""
    took: dict[str, str] = {}
    for name, (thing, adapter) in capture.things.items():
        if name not in trees or is_fresh(adapter):
            continue
        missing = [each.path for each in faults if each.problem.startswith("missing")]
        begin = f"{name}."
        left = {path.removeprefix(begin) for path in missing if path.startswith(begin)}
        tree = taken(thing, adapter, trees[name])
        left |= {each.path for each in rigid_misfits(thing, adapter, tree)}
        if "" in left or name in missing or (left and len(left) >= _leaf_count(thing, adapter)):
            continue  # as a whole, or leaf by leaf
        some = ", ".join(sorted(left)[:_SHOWN]) + (", ..." if len(left) > _SHOWN else "")
        took[name] = f"{name} (without {some})" if left else name
    return took


def _leaf_count(thing: Any, adapter: Adapter) -> int:
    tree, keys = adapter.capture(thing), getattr(adapter, "weights", None)
    return len(flatten(tree if keys is None else {key: tree[key] for key in keys}, "").arrays)


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
    store, which = in_run(source)
    found = store.load(which)
    if not found.state:
        raise NotFoundError(
            f"{source} holds no state.",
            "there is nothing to start from.",
            f"List its checkpoints with: evertrain ls {store.path.parent}",
        )
    return found.state, str(source)


def in_run(source: str | Path) -> tuple[Store, str]:
    """Return the store of RUN or RUN@WHICH, and what is meant there: "latest", "best", a step.

    Raises:
        NotFoundError: There is no such run.
    """
    name, at, which = str(source).rpartition("@")
    if not at or "/" in which:
        return Store(open_run_dir(source).checkpoints), "latest"
    try:
        return Store(open_run_dir(source).checkpoints), "latest"  # a name may have an "@" in it
    except NotFoundError:
        return Store(open_run_dir(name).checkpoints), which or "latest"


def _is_file(path: Path) -> bool:
    """Say whether a bare file is meant, be it there or not."""
    return path.is_file() or path.suffix in _SUFFIXES


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise NotFoundError(
            f"there is no file {path}.", "init_from names it.", "Check the path, or its suffix."
        )


def load_file(path: Path) -> Mapping[str, Any]:
    """Return the arrays of a bare file, by key. A framework that is there reads its own.

    Raises:
        NotFoundError: There is no such file.
        CorruptError: It is damaged.
        StateError: Nothing here reads it.
    """
    _require_file(path)
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
    except ValueError as error:
        raise StateError(
            f"init_from: {path} holds an array that numpy cannot have: {error!s:.200}.",
            "what is no array fits nothing that is attached.",
            "Save the weights again with the program that made them.",
        ) from error
