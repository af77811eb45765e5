"""What a program's own class of vector holds beside what SB3's holds.

A subclass may count, or draw, in its steps: that is state as much as a wrapper's.

Layer: integrations. Imports its siblings and checkpoint.
"""

from collections.abc import Collection
from typing import Any, Final

from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv

from evertrain.checkpoint.plugin import Tree
from evertrain.integrations.envs import fill, graph
from evertrain.integrations.envs.layers import layers
from evertrain.integrations.envs.method import unseen
from evertrain.integrations.sb3.resilient import ResilientVecEnv

_OF_ALL: Final = frozenset(
    {
        *("num_envs", "observation_space", "action_space", "metadata", "render_mode"),
        *("reset_infos", "_seeds", "_options"),
    }
)
# Attributes of the classes that are known, which are filled by each step or kept elsewhere.
_OF: Final[dict[type[VecEnv], frozenset[str]]] = {
    DummyVecEnv: frozenset(
        {"envs", "keys", "buf_obs", "buf_dones", "buf_rews", "buf_infos", "actions"}
    ),
    SubprocVecEnv: frozenset({"waiting", "closed", "remotes", "work_remotes", "processes"}),
    ResilientVecEnv: frozenset(
        {"waiting", "closed", "_slots", "_crew", "_end", "_succession", "_reward"}
    ),
}


def capture(base: VecEnv) -> Tree:
    """Return the attributes that the class of `base` adds to SB3's; None if it is SB3's own."""
    known = next((names for kind, names in _OF.items() if isinstance(base, kind)), None)
    if known is None or type(base) in _OF:
        return None
    own = vars(base).keys() - known - _OF_ALL

    def names(thing: object) -> Collection[str] | None:
        return own if thing is base else None

    taken = graph.take(base, names=names, leave=_kept_elsewhere(base))
    return {"objects": taken.nodes, "hidden": list(taken.hidden)}


def restore(base: VecEnv, tree: Tree) -> list[str]:
    """Put them back. Return what is not as it was, and why; empty if everything is."""
    problems = [unseen(what) for what in tree["hidden"]]
    return [f"the vector: {each}" for each in problems + fill.put(base, tree["objects"])]


def told(base: VecEnv) -> str:
    """Return what of `base` cannot be kept, for people; "" if there is nothing."""
    tree = capture(base)
    hidden = [] if tree is None else tree["hidden"]
    return f"; of the vector: {unseen(hidden[0])}" if hidden else ""


def _kept_elsewhere(base: VecEnv) -> list[Any]:
    envs = base.envs if isinstance(base, DummyVecEnv) else []
    return [layer for env in envs for layer in layers(env)]
