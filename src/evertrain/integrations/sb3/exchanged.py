"""What outlives an exchange of environments that `partial` accepts: what none of them owns.

Statistics of observations and returns are of all environments together: with more of them,
or other wrappers around them, they hold as before. Open episodes do not.

Layer: integrations. Imports its siblings, `integrations.envs` and checkpoint.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any, Final

import numpy as np
from stable_baselines3.common.vec_env import VecEnvWrapper, VecMonitor, VecNormalize

from evertrain.checkpoint.plugin import Tree
from evertrain.integrations.envs import attributes
from evertrain.integrations.sb3 import own
from evertrain.integrations.sb3.absent import STATISTICS

_SHARED: Final[dict[type[VecEnvWrapper], tuple[str, ...]]] = {
    VecNormalize: STATISTICS,
    VecMonitor: ("episode_count",),
}


def put(wrappers: Sequence[VecEnvWrapper], stored: Sequence[Tree]) -> None:
    """Put back what wrappers keep of all environments together, where their class was there.

    Args:
        wrappers: Of the program, the outermost first.
        stored: Of the checkpoint, likewise.
    """
    for wrapper, tree in _pairs(wrappers, stored):
        vars(wrapper).update(_shared(wrapper, tree))


def told(wrappers: Sequence[VecEnvWrapper], stored: Sequence[Tree]) -> str:
    """Return what is lost and what is kept if other environments are accepted, for people."""
    kept, fresh = [], []
    for wrapper, tree in _pairs(wrappers, stored):
        kind, names = type(wrapper).__name__, _shared(wrapper, tree)
        kept += [f"{kind}.{name}" for name in names]
        fresh += [f"{kind}.{name}" for name in _names(wrapper) if name not in names]
        if "own" in tree and not names:
            fresh.append(kind)
    lost = ["all environments begin new episodes"]
    if fresh:
        lost.append(f"these start fresh: {', '.join(fresh)}")
    if kept:
        lost.append(f"these are kept: {', '.join(kept)}")
    return "; ".join(lost)


def _pairs(
    wrappers: Sequence[VecEnvWrapper], stored: Sequence[Tree]
) -> Iterator[tuple[VecEnvWrapper, Tree]]:
    """Yield each wrapper with what is stored of its class, the first with the first."""
    there: defaultdict[str, list[Tree]] = defaultdict(list)
    for tree in stored:
        there[tree["class"]].append(tree)
    for wrapper in wrappers:
        alike = there[type(wrapper).__name__]
        yield wrapper, alike.pop(0) if alike else {"attributes": {}}


def _shared(wrapper: VecEnvWrapper, tree: Tree) -> dict[str, Any]:
    """Return the stored values that fit `wrapper`, by attribute. Changes nothing."""
    mine = {name: vars(wrapper)[name] for name in _names(wrapper)}
    trial = object.__new__(type(wrapper))  # filled in the place of `wrapper`
    vars(trial).update(deepcopy(mine))
    there = {name for name in mine if name in tree["attributes"]}
    attributes.put(trial, {name: tree["attributes"][name] for name in there})
    if "own" in tree:  # a class of the program's
        root = tree["own"][""]
        chosen = {name: each for name, each in root["attributes"].items() if name in mine}
        own.put_into(trial, {**tree["own"], "": {**root, "attributes": chosen}})
        there |= chosen.keys()
    found = {name: vars(trial)[name] for name in mine if name in there}
    return {name: each for name, each in found.items() if _shapes(each) == _shapes(mine[name])}


def _names(wrapper: VecEnvWrapper) -> list[str]:
    """Return the attributes of `wrapper` that are of all environments together."""
    known = (names for kind, names in _SHARED.items() if isinstance(wrapper, kind))
    return [name for name in next(known, ()) if name in vars(wrapper)]


def _shapes(value: Any) -> Any:
    """Return the shape of statistics, those of a dict by key."""
    if isinstance(value, dict):
        return {key: _shapes(each) for key, each in value.items()}
    return np.shape(getattr(value, "mean", value))
