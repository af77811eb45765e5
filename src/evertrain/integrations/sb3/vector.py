"""The state of a vectorized environment, seen from the trainer.

Layer: integrations. Imports its siblings, checkpoint and core.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import gymnasium
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecCheckNan,
    VecEnv,
    VecEnvWrapper,
    VecExtractDictObs,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
    VecVideoRecorder,
)

from evertrain.checkpoint.plugin import Mismatch, Tree
from evertrain.integrations.envs import method as methods
from evertrain.integrations.envs.attributes import (
    put,
    put_space,
    put_value,
    take,
    take_space,
    take_value,
)
from evertrain.integrations.sb3 import env as inside
from evertrain.integrations.sb3 import exchanged, own, subclass
from evertrain.integrations.sb3 import keeping as keepings
from evertrain.integrations.sb3.asking import checked, gone, knows_state, teach
from evertrain.integrations.sb3.keeping import keeping_of, resume
from evertrain.integrations.sb3.resilient import ResilientVecEnv
from evertrain.integrations.sb3.resilient.report import RunReport

if TYPE_CHECKING:
    from evertrain.run.run import Run

# Of the usual wrappers, only these attributes are state; the rest is configuration.
_STATE_OF: Final[dict[type[VecEnv], tuple[str, ...]]] = {
    VecNormalize: ("obs_rms", "ret_rms", "returns", "old_obs", "old_reward"),
    VecMonitor: ("episode_returns", "episode_lengths", "episode_count"),
    VecFrameStack: ("stacked_obs",),
    VecTransposeImage: (),
    VecExtractDictObs: (),
    VecCheckNan: (),
    VecVideoRecorder: (),
}
OF_SB3: Final = frozenset(kind.__name__ for kind in _STATE_OF)
_NOT_STATE: Final = ("venv", "class_attributes", "reset_infos", "num_envs", "render_mode")
_DOUBTS: WeakKeyDictionary[VecEnv, list[str]] = WeakKeyDictionary()


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


def capture(venv: VecEnv, *, is_running: bool = True, is_idle: bool = False) -> Tree:
    """Return the state of the wrappers and of every environment.

    Args:
        venv: The outermost wrapper.
        is_running: Whether it was ever reset; until then an environment may
            have no state to tell.
        is_idle: Whether the next thing that happens to it is a reset: then its wrappers and
            generators will do.

    Raises:
        StateError: A worker failed to tell its state, or is gone.
    """
    base, keeping = venv.unwrapped, keeping_of(venv)
    # First: it replaces workers that are gone, so that the environments can be asked.
    slots = {"slots": base.capture()} if isinstance(base, ResilientVecEnv) else {}
    added = subclass.capture(base)
    chosen = (methods.BARRIER,) * venv.num_envs if is_idle else _methods(venv)
    worlds = _worlds(venv, chosen) if is_running else None
    return {
        **slots,
        **({} if added is None else {"own": added}),
        "wrappers": [
            {"class": type(each).__name__, **_wrapper_state(each)} for each in _wrappers(venv)
        ],
        "pending": [take_value(base._seeds), take_value(base._options)],  # noqa: SLF001
        "spaces": [take_space(base.action_space), take_space(base.observation_space)],
        "count": venv.num_envs,
        "keeping": None if keeping is None else keeping.to_tree(),
        "worlds": worlds,
        "processes": _processes(base),
        "is_complete": worlds is not None and _are_complete(base, worlds, chosen),
    }


def mismatches(venv: VecEnv, tree: Tree) -> list[Mismatch]:
    """Return how the stored state does not fit, with paths relative to the environment."""
    found = {}
    if tree["count"] != venv.num_envs:
        found["num_envs"] = f"{tree['count']} environments there, {venv.num_envs} here"
    mine = [type(each).__name__ for each in _wrappers(venv)]
    there = [each["class"] for each in tree["wrappers"]]
    if mine != there:
        found["wrappers"] = f"{there or 'none'} there, {mine or 'none'} here"
    accepted = exchanged.told(_wrappers(venv), tree["wrappers"]) if found else ""
    return [Mismatch(name, problem, accepted) for name, problem in found.items()]


def restore(venv: VecEnv, tree: Tree) -> bool:
    """Put everything back. Say whether the environments now go on where they were.

    Of others, which the program accepts, only what is of all environments together.

    Raises:
        StateError: A worker could not take its state back.
    """
    if mismatches(venv, tree):
        exchanged.put(_wrappers(venv), tree["wrappers"])
        return False
    base = venv.unwrapped
    lost = []
    for wrapper, stored in zip(_wrappers(venv), tree["wrappers"], strict=True):
        put(wrapper, stored["attributes"])
        found = own.put_into(wrapper, stored["own"]) if "own" in stored else []
        lost += [f"the wrapper {type(wrapper).__name__}: {each}" for each in found]
    seeds, options = tree["pending"]
    base._seeds = put_value(base._seeds, seeds)  # noqa: SLF001
    base._options = put_value(base._options, options)  # noqa: SLF001
    for space, stored in zip(
        (base.action_space, base.observation_space), tree["spaces"], strict=True
    ):
        put_space(space, stored)
    if isinstance(base, ResilientVecEnv) and "slots" in tree:
        base.restore(tree["slots"])
    doubts = lost + (subclass.restore(base, tree["own"]) if "own" in tree else [])
    if not teach(venv):
        return False
    if tree["keeping"] is not None:
        resume(venv, tree["keeping"])
    chosen = _methods(venv)
    for group, world in _placed(base, tree):
        ways = [chosen[n] for n in group]
        asked = (inside.RESTORE, _others(base, group), ways, world)
        found = checked(base.env_method(*asked, indices=group[:1]), group[:1])[0]
        told = [(group[n], problem) for n, problem in found]
        doubts += [f"environment {n}: {each}" for n, each in told if chosen[n] != methods.BARRIER]
    _DOUBTS[base] = doubts
    return bool(tree["is_complete"]) and not doubts


def confirm(venv: VecEnv) -> list[str]:
    """Return, once after a restore, what is not as it was, and why that is not to be believed."""
    return _DOUBTS.pop(venv.unwrapped, []) + keepings.confirm(venv)


def not_kept(venv: VecEnv) -> list[str]:
    """Return what of the program's own wrappers is not kept, for people."""
    strange = [each for each in _wrappers(venv) if type(each) not in _STATE_OF]
    return [told for each in strange for told in own.hidden(each, _of_program(each))]


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
    if teach(venv):
        for index in range(venv.num_envs):
            venv.unwrapped.env_method(inside.SEED, value + index, indices=[index])


def _worlds(venv: VecEnv, chosen: Sequence[str]) -> list[Tree] | None:
    base = venv.unwrapped
    if _is_busy(base):
        return None
    workers = () if isinstance(base, ResilientVecEnv) else getattr(base, "processes", ())
    dead = [each for each in workers if not each.is_alive()]
    if dead:  # asking could hang: forked workers hold each other's pipes open
        raise gone(f"exit code {dead[0].exitcode}")
    if not teach(venv):
        return None
    groups = _processes(base)
    worlds: dict[int, Tree] = {}
    try:
        for ways in dict.fromkeys(tuple(chosen[n] for n in group) for group in groups):
            alike = [group for group in groups if tuple(chosen[n] for n in group) == ways]
            indices = [group[0] for group in alike]
            asked = (inside.STATE, _others(base, alike[0]), ways)
            answers = base.env_method(*asked, indices=indices)
            worlds |= zip(indices, checked(answers, indices), strict=True)
    except (EOFError, OSError) as error:
        raise gone(type(error).__name__) from error
    return [worlds[group[0]] for group in groups]


def _processes(base: VecEnv) -> list[list[int]]:
    """Return which environments live in one process each."""
    numbers = list(range(base.num_envs))
    return [numbers] if isinstance(base, DummyVecEnv) else [[n] for n in numbers]


def _placed(base: VecEnv, tree: Tree) -> Iterator[tuple[list[int], Tree]]:
    """Return what was taken together, as it is to be put back: in workers, one by one."""
    for group, world in zip(tree["processes"], tree["worlds"] or (), strict=False):
        if len(group) == 1 or isinstance(base, DummyVecEnv):
            yield list(group), world
        else:
            yield from (([n], methods.split(world, at)) for at, n in enumerate(group))


def _others(base: VecEnv, group: Sequence[int]) -> list[gymnasium.Env[Any, Any]]:
    """Return the environments that are taken together with the first one of a process."""
    return [base.envs[n] for n in group[1:]] if isinstance(base, DummyVecEnv) else []


def _are_complete(base: VecEnv, worlds: Sequence[Tree], chosen: Sequence[str]) -> bool:
    return all(
        methods.are_complete(world, [chosen[n] for n in group])
        for group, world in zip(_processes(base), worlds, strict=True)
    )


def _methods(venv: VecEnv) -> tuple[str, ...]:
    """Return how the state of each environment is kept; before that is settled, a guess."""
    keeping = keeping_of(venv)
    if keeping is not None:
        return keeping.methods
    can_tell = not _is_busy(venv.unwrapped) and knows_state(venv)
    return (methods.STATE if can_tell else methods.BARRIER,) * venv.num_envs


def _is_busy(base: VecEnv) -> bool:
    """Say whether workers owe an answer to a step: then an interrupted trainer is asking."""
    if isinstance(base, ResilientVecEnv):
        return base.is_busy
    return bool(getattr(base, "waiting", False))


def _wrappers(venv: VecEnv) -> list[VecEnvWrapper]:
    found: list[VecEnvWrapper] = []
    layer = venv
    while isinstance(layer, VecEnvWrapper):
        found.append(layer)
        layer = layer.venv
    return found


def _wrapper_state(wrapper: VecEnvWrapper) -> Tree:
    attributes = take(wrapper, _state_of(wrapper))
    if type(wrapper) in _STATE_OF:
        return {"attributes": attributes}
    return {"attributes": attributes, "own": own.take_from(wrapper, _of_program(wrapper))}


def _state_of(wrapper: VecEnvWrapper) -> tuple[str, ...]:
    """Return the state that a wrapper's class has from one of SB3's."""
    return next((_STATE_OF[kind] for kind in type(wrapper).__mro__ if kind in _STATE_OF), ())


def _of_program(wrapper: VecEnvWrapper) -> list[str]:
    kept = (*_NOT_STATE, *_state_of(wrapper))
    return [name for name in vars(wrapper) if name not in kept]
