"""`checkpoint` and `restore`: for a program that keeps its own loop and has no `Run`.

Who goes back abandons what was saved later: the first checkpoint behind it sets that aside,
before it is saved itself. A program that dies in between goes on from where it went back to.

Layer: integrations. Imports run, checkpoint, core, and its siblings.
"""

import warnings
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

from evertrain.checkpoint.catalog import step_names
from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.keep import Keep, keep_last
from evertrain.checkpoint.read import Loaded
from evertrain.checkpoint.shelf import quarantine, supersede
from evertrain.checkpoint.store import Store
from evertrain.core.errors import CorruptError, StateError, UsageError
from evertrain.integrations.rllib.adapter import AlgorithmAdapter, is_algorithm
from evertrain.integrations.rllib.notices import say_once
from evertrain.run import rng
from evertrain.run.choose import choose

_ADAPTER: Final = AlgorithmAdapter()
ALGORITHM: Final = "algorithm"
RNG: Final = "run.rng"  # as a run calls it
# By algorithm and directory, the iteration that it went back to, until a checkpoint is behind it.
_BACK_AT: WeakKeyDictionary[Any, dict[Path, int]] = WeakKeyDictionary()


def checkpoint(algorithm: Any, path: Path | str, *, keep: Keep | None = None) -> CheckpointInfo:
    """Save an algorithm between two iterations, under the number of the last one.

    The first one after a `restore` that went back moves the later ones to `superseded/`.

    Args:
        algorithm: As RLlib built it.
        path: Directory of the checkpoints, new or old.
        keep: Which of them stay: the newest five, if it is not said.

    Raises:
        UsageError: It is no algorithm of RLlib, or this iteration was saved already.
        StateError: It keeps state that is not known here.
        SaveError: The disk refused. What was there before is still there.
        OSError: The disk refused to move the later ones.

    Warns once of what it cannot keep: of environments, callbacks, and runners that are gone.

    Durability:
        As `Store.save`: whole or not there, whatever line the process dies on.
    """
    _require_algorithm(algorithm)
    store = Store(path)
    generators = rng.capture()
    state = {ALGORITHM: _ADAPTER.capture(algorithm), RNG: generators}
    _say_what_begins_anew(algorithm)
    back_at, place = _BACK_AT.get(algorithm, {}), store.path.resolve()
    if place in back_at:
        supersede(store.path, back_at[place])
    info = store.save(algorithm.iteration, state)
    back_at.pop(place, None)
    store.prune(keep or keep_last(5))
    return info


def restore(algorithm: Any, path: Path | str, which: str | int = "latest") -> int:
    """Put a checkpoint back into an algorithm that was just built, if there is one.

    Args:
        algorithm: As RLlib built it, from the same configuration.
        path: Directory of the checkpoints; it need not exist.
        which: "latest", or the number of an iteration. Of the latest, one that is damaged is
            set aside, which a warning says, and the one before it is taken. Of an earlier
            one, the later ones are set aside by the next `checkpoint`.

    Returns:
        The iteration that it goes on after; 0 on the first start.

    Raises:
        UsageError: It is no algorithm of RLlib.
        NotFoundError: `which` is a number, and there is no such checkpoint.
        CorruptError: The checkpoint of the number `which` is damaged.
        EvertrainError: The disk reads none of them.
        StateError: It does not fit: all differences are listed, and nothing was changed.
    """
    _require_algorithm(algorithm)
    store = Store(path)
    loaded = _newest_whole(store) if which == "latest" else store.load(which)
    if loaded is None:
        return 0
    where = str(loaded.info.path)
    tree = loaded.state[ALGORITHM]
    problems = _ADAPTER.mismatches(algorithm, tree)
    if problems:
        raise StateError(
            f"{where} does not fit the algorithm: "
            + "; ".join(f"{each.path}: {each.problem}" for each in problems[:8]),
            "the training would not be the one that was saved.",
            "Build it from the configuration that it was saved with, or give another directory.",
        )
    _ADAPTER.restore(algorithm, tree)
    rng.restore(loaded.state[RNG], where)
    _note(algorithm, store, loaded.info.step)
    return int(algorithm.iteration)


def _note(algorithm: Any, store: Store, step: int) -> None:
    """Remember that it went back to `step`, if it did."""
    back_at, place = _BACK_AT.setdefault(algorithm, {}), store.path.resolve()
    back_at.pop(place, None)
    if int(step_names(store.path)[-1]) > step:
        back_at[place] = step


def _newest_whole(store: Store) -> Loaded | None:
    def set_aside(step: int, error: CorruptError) -> None:
        quarantine(store.path, step, error.what)
        text = f"checkpoint {step} is damaged and set aside: {error.what}"
        warnings.warn(text, RuntimeWarning, stacklevel=2)

    choice = choose(store, "auto", set_aside)
    return None if choice.loaded is None else store.load(choice.step)


def _say_what_begins_anew(algorithm: Any) -> None:
    from evertrain.integrations.rllib import environments  # it imports Gymnasium

    keeping = environments.of(algorithm)
    if keeping is not None and keeping.begins_anew:
        say_once(
            algorithm,
            f"{keeping.sentence()}: a program that restores this checkpoint does not go on"
            " exactly; with a Run, iterations(run, algorithm) does",
        )


def _require_algorithm(thing: object) -> None:
    if not is_algorithm(thing):
        raise UsageError(
            f"a {type(thing).__name__} is no algorithm of RLlib.",
            "checkpoint and restore know what an Algorithm keeps.",
            "Give what config.build_algo() returned.",
        )
