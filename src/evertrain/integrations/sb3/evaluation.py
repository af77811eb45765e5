"""The vectors of environments that callbacks evaluate on, kept as the one that is trained on.

An evaluation begins with a reset, but a level, a season or an opponent goes from one
episode to the next. Where that cannot be kept, wrappers and generators are, and it is said.

Layer: integrations. Imports its siblings, `integrations.envs` and core.
"""

import warnings
from collections.abc import Sequence

from stable_baselines3.common.vec_env import VecEnv

from evertrain.checkpoint.plugin import Tree
from evertrain.core.errors import StateError
from evertrain.integrations.envs.method import AUTO
from evertrain.integrations.sb3 import keeping as keepings
from evertrain.integrations.sb3 import vector


def settle(venv: VecEnv) -> None:
    """Choose how its state is kept, unless the run has done so before; say so if it is not.

    Raises:
        StateError: A worker is gone.
    """
    keepings.settle(venv, AUTO)
    found = keepings.keeping_of(venv)
    if found is not None and found.has_barriers:
        _warn([f"only wrappers and generators are kept, for {found.about}"])


def take(venv: VecEnv) -> Tree:
    """Return its state, or what of it there is."""
    found = keepings.keeping_of(venv)
    try:
        return vector.capture(venv, is_idle=found is None or found.has_barriers)
    except StateError:  # it has a get_state that needs a reset before
        return vector.capture(venv, is_idle=True)


def put(venv: VecEnv, tree: Tree) -> None:
    """Put it back; say what does not come back as it was."""
    problems = [f"{each.path}: {each.problem}" for each in vector.mismatches(venv, tree)]
    if not problems:
        vector.restore(venv, tree)
        problems = vector.confirm(venv)
    _warn(problems)


def _warn(problems: Sequence[str]) -> None:
    if problems:
        warnings.warn(
            "evaluations after a resume are not those of an uninterrupted run: of their"
            f" environments, {'; '.join(problems)}",
            RuntimeWarning,
            stacklevel=2,
        )
