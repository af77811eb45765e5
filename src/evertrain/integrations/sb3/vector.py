"""The state of a vectorized environment, seen from the trainer.

Layer: integrations. Imports its siblings, checkpoint and core.
"""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import gymnasium
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecEnvWrapper

from evertrain.checkpoint.plugin import Mismatch, Tree
from evertrain.core.errors import StateError
from evertrain.integrations.sb3 import env as inside
from evertrain.integrations.sb3.attributes import (
    put,
    put_space,
    put_value,
    take,
    take_space,
    take_value,
)
from evertrain.integrations.sb3.resilient import ResilientVecEnv
from evertrain.integrations.sb3.resilient.report import RunReport

if TYPE_CHECKING:
    from evertrain.run.run import Run

# Of the usual wrappers, only these attributes are state; the rest is configuration.
_STATE_OF: Final = {
    "VecNormalize": ("obs_rms", "ret_rms", "returns", "old_obs", "old_reward"),
    "VecMonitor": ("episode_returns", "episode_lengths", "episode_count"),
    "VecFrameStack": ("stacked_obs",),
    "VecTransposeImage": (),
    "VecExtractDictObs": (),
    "VecCheckNan": (),
    "VecVideoRecorder": (),
}
_NOT_STATE: Final = ("venv", "class_attributes", "reset_infos", "num_envs", "render_mode")
_KNOWS: WeakKeyDictionary[VecEnv, bool] = WeakKeyDictionary()


def vector_env(
    factories: Sequence[Callable[[], gymnasium.Env[Any, Any]]], *, processes: bool = True
) -> VecEnv:
    """Return a vectorized environment whose workers leave Ctrl+C to the trainer.

    Args:
        factories: One for each environment; each call returns a new one.
        processes: Whether each environment gets a worker process of its own.
    """
    quiet: list[Callable[[], gymnasium.Env[Any, Any]]] = [
        inside.IgnoreInterrupts(make) for make in factories
    ]
    return SubprocVecEnv(quiet) if processes else DummyVecEnv(quiet)


def knows_state(venv: VecEnv) -> bool:
    """Say whether every environment gives its state away."""
    return _tell(venv) and _KNOWS[venv.unwrapped]


def capture(venv: VecEnv, *, is_running: bool = True) -> Tree:
    """Return the state of the wrappers and of every environment.

    Args:
        venv: The outermost wrapper.
        is_running: Whether it was ever reset; until then an environment may
            have no state to tell.

    Raises:
        StateError: A worker failed to tell its state, or is gone.
    """
    base = venv.unwrapped
    # First: it replaces workers that are gone, so that the environments can be asked.
    slots = {"slots": base.capture()} if isinstance(base, ResilientVecEnv) else {}
    return slots | {
        "wrappers": [
            {"class": type(each).__name__, "attributes": _wrapper_state(each)}
            for each in _wrappers(venv)
        ],
        "pending": [take_value(base._seeds), take_value(base._options)],  # noqa: SLF001
        "spaces": [take_space(base.action_space), take_space(base.observation_space)],
        "count": venv.num_envs,
        "worlds": _worlds(base) if is_running else None,
        "is_complete": is_running and not _is_busy(base) and knows_state(venv),
    }


def mismatches(venv: VecEnv, tree: Tree) -> list[Mismatch]:
    """Return how the stored state does not fit, with paths relative to the environment."""
    if tree["count"] != venv.num_envs:
        problem = f"{tree['count']} environments there, {venv.num_envs} here"
        return [Mismatch("num_envs", problem)]
    mine = [type(each).__name__ for each in _wrappers(venv)]
    there = [each["class"] for each in tree["wrappers"]]
    if mine != there:
        return [Mismatch("wrappers", f"{there or 'none'} there, {mine or 'none'} here")]
    return []


def restore(venv: VecEnv, tree: Tree) -> bool:
    """Put everything back. Say whether the environments now go on where they were.

    Raises:
        StateError: A worker could not take its state back.
    """
    base = venv.unwrapped
    for wrapper, stored in zip(_wrappers(venv), tree["wrappers"], strict=True):
        put(wrapper, stored["attributes"])
    seeds, options = tree["pending"]
    base._seeds = put_value(base._seeds, seeds)  # noqa: SLF001
    base._options = put_value(base._options, options)  # noqa: SLF001
    for space, stored in zip(
        (base.action_space, base.observation_space), tree["spaces"], strict=True
    ):
        put_space(space, stored)
    if isinstance(base, ResilientVecEnv) and "slots" in tree:
        base.restore(tree["slots"])
    if tree["worlds"] is None or not _tell(venv):
        return False
    for index, world in enumerate(tree["worlds"]):
        _checked(base.env_method(inside.RESTORE, world, indices=[index]))
    return bool(tree["is_complete"])


def report_to(run: "Run", venv: VecEnv) -> None:
    """Let restarts of environments be told by the run, where they are restarted at all."""
    base = venv.unwrapped
    if isinstance(base, ResilientVecEnv):
        base.report_to(RunReport(run))


def is_seeded(venv: VecEnv) -> bool:
    """Say whether the environments' next reset has a seed."""
    return any(each is not None for each in venv.unwrapped._seeds)  # noqa: SLF001


def seed_workers(venv: VecEnv, value: int) -> None:
    """Seed the global generators of worker processes; those of the trainer are the run's."""
    if _tell(venv):
        for index in range(venv.num_envs):
            venv.unwrapped.env_method(inside.SEED, value + index, indices=[index])


def _worlds(base: VecEnv) -> list[Tree] | None:
    if _is_busy(base):
        return None
    workers = () if isinstance(base, ResilientVecEnv) else getattr(base, "processes", ())
    dead = [each for each in workers if not each.is_alive()]
    if dead:  # asking could hang: forked workers hold each other's pipes open
        raise _gone(f"exit code {dead[0].exitcode}")
    if not _tell(base):
        return None
    try:
        return _checked(base.env_method(inside.STATE))
    except (EOFError, OSError) as error:
        raise _gone(type(error).__name__) from error


def _is_busy(base: VecEnv) -> bool:
    """Say whether workers owe an answer to a step: then an interrupted trainer is asking."""
    if isinstance(base, ResilientVecEnv):
        return base.is_busy
    return bool(getattr(base, "waiting", False))


def _tell(venv: VecEnv) -> bool:
    """Teach the environments to answer, once. Say whether they can."""
    base = venv.unwrapped
    if base in _KNOWS:
        return True
    inside.arrive(os.getpid())
    try:
        if not isinstance(base, DummyVecEnv):
            base.set_attr("evertrain", inside.Arrival())
        _KNOWS[base] = all(base.env_method(inside.KNOWS_STATE))
    except (AttributeError, NotImplementedError):
        return False  # not made of Gymnasium environments
    except (EOFError, OSError) as error:
        raise _gone(type(error).__name__) from error
    return True


def _checked(answers: Sequence[Any]) -> list[Tree]:
    for index, answer in enumerate(answers):
        if "error" in answer:
            raise StateError(
                f"environment {index} could not tell or take back its state: {answer['error']}",
                "a resumed run could not go on from where it was.",
                "Correct the environment's get_state and set_state.",
            )
    return [answer["value"] for answer in answers]


def _gone(how: str) -> StateError:
    return StateError(
        f"a worker process of the environments is gone ({how}).",
        "its state went with it.",
        "Look above for the worker's own message, and start the run again.",
    )


def _wrappers(venv: VecEnv) -> list[VecEnvWrapper]:
    found: list[VecEnvWrapper] = []
    layer = venv
    while isinstance(layer, VecEnvWrapper):
        found.append(layer)
        layer = layer.venv
    return found


def _wrapper_state(wrapper: VecEnvWrapper) -> Tree:
    names = _STATE_OF.get(type(wrapper).__name__)
    if names is None:
        names = tuple(name for name in vars(wrapper) if name not in _NOT_STATE)
    return take(wrapper, names)
