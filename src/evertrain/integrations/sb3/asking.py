"""Asking environments, wherever they live: in this process, or in workers that may be gone.

Layer: integrations. Imports its siblings and core.
"""

import os
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from evertrain.checkpoint.plugin import Tree
from evertrain.core.errors import StateError
from evertrain.integrations.sb3 import env as inside

_KNOWS: WeakKeyDictionary[VecEnv, bool] = WeakKeyDictionary()


def teach(venv: VecEnv) -> bool:
    """Teach the environments to answer, once. Say whether they can.

    Raises:
        StateError: A worker is gone.
    """
    base = venv.unwrapped
    if base in _KNOWS:
        return True
    inside.arrive(os.getpid())
    try:
        if not isinstance(base, DummyVecEnv):
            base.set_attr("evertrain", inside.Arrival())
        answers = base.env_method(inside.KNOWS_STATE)
    except (AttributeError, NotImplementedError):
        return False  # not made of Gymnasium environments
    except (EOFError, OSError) as error:
        raise gone(type(error).__name__) from error
    if not all(isinstance(each, bool) for each in answers):
        return False  # a vector that calls nothing, whatever it is asked
    _KNOWS[base] = all(answers)
    return True


def knows_state(venv: VecEnv) -> bool:
    """Say whether every environment gives its state away by methods of its own."""
    return teach(venv) and _KNOWS[venv.unwrapped]


def checked(answers: Sequence[Any], indices: Sequence[int]) -> list[Tree]:
    """Return what environments answered.

    Args:
        answers: Of `env_method`.
        indices: Which environments they are, each the first of those for which it answers.

    Raises:
        StateError: One of them raised; the message has its index.
    """
    for index, answer in zip(indices, answers, strict=True):
        if "error" in answer:
            number = index + answer["number"]
            raise StateError(
                f"environment {number} could not tell or take back its state: {answer['error']}",
                "a resumed run could not go on from where it was.",
                "Correct the environment's get_state and set_state.",
            )
    return [answer["value"] for answer in answers]


def gone(how: str) -> StateError:
    """Return the error of a worker that is gone."""
    return StateError(
        f"a worker process of the environments is gone ({how}).",
        "its state went with it.",
        "Look above for the worker's own message, and start the run again.",
    )
