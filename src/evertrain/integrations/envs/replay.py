"""Environments that nobody can look into: what was done to them since the last reset.

A simulator that starts from its generators alone comes back by doing it all again:
the generators as they were at the reset, the reset, and the actions since. It costs the
time of these steps at a resume, an action of memory at each step, and nothing else.

Layer: integrations. Imports its siblings, checkpoint and core.
"""

import hashlib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final

import gymnasium
import numpy as np

from evertrain.checkpoint.plugin import Tree
from evertrain.integrations.envs.attributes import put, put_space, take, take_space
from evertrain.integrations.envs.generators import put_globals, take_globals
from evertrain.integrations.envs.identity import ByIdentity
from evertrain.integrations.envs.layers import GENERATOR, innermost, may_have_begun

MAX_STEPS: Final = 20_000
_SPACES: Final = ("action_space", "observation_space")


@dataclass(slots=True)
class Recording:
    """What was done to one environment.

    Attributes:
        start: The generators at the last reset, and its arguments; None before the first one.
        is_lost: Whether there may be steps that are not known: since a reset that nobody saw,
            or in an episode that is too long to be played again.
        actions: Since then.
        seen: Mark of all that the reset and the steps since returned.
    """

    start: Tree = None
    is_lost: bool = False
    actions: list[Any] = field(default_factory=list)
    seen: str = ""


_RECORDINGS: ByIdentity[Recording] = ByIdentity()


def record(env: Any) -> Recording:
    """Remember from now on what is done to the environment below all wrappers.

    Unless it says that it was never reset, nothing is known of it until it is.
    """
    inner = innermost(env)
    if inner in _RECORDINGS:
        return _RECORDINGS[inner]
    recording = Recording(is_lost=may_have_begun(env))
    real_reset, real_step = inner.reset, inner.step

    def reset(*args: Any, **kwargs: Any) -> Any:
        recording.start = deepcopy({"from": _generators(inner), "args": args, "kwargs": kwargs})
        recording.actions.clear()
        recording.is_lost = False
        answer = real_reset(*args, **kwargs)
        recording.seen = _shown(inner, answer)
        return answer

    def step(action: Any) -> Any:
        if recording.start is None or len(recording.actions) >= MAX_STEPS:
            recording.is_lost = True
        if not recording.is_lost:
            recording.actions.append(deepcopy(action))
        answer = real_step(action)
        recording.seen = mark([recording.seen, _shown(inner, answer)])
        return answer

    inner.reset, inner.step = reset, step
    _RECORDINGS[inner] = recording
    return recording


def capture(env: Any) -> Tree:
    """Return what has to be done again; None where that is not known.

    Before the first reset there is nothing to do: then `start` is None.
    """
    recording = _RECORDINGS.get(innermost(env))
    if recording is None or recording.is_lost:
        return None
    actions = recording.actions
    is_even = len({(type(each), np.shape(each), getattr(each, "dtype", None)) for each in actions})
    is_array = is_even == 1 and isinstance(actions[0], (np.ndarray, np.generic))
    return {
        "start": recording.start,
        "actions": np.stack(actions) if is_array else list(actions),
        "is_array": isinstance(actions[0], np.ndarray) if is_array else None,
        "seen": recording.seen,
    }


def restore(env: Any, tree: Tree) -> str | None:
    """Do it again. Return what came out differently, or None.

    The global generators are left where the environment left them.
    """
    inner = innermost(env)
    recording = record(env)
    if tree["start"] is None:
        return None
    start = deepcopy(tree["start"])
    _put_generators(inner, start["from"])
    inner.reset(*start["args"], **start["kwargs"])
    for action in tree["actions"]:
        inner.step(np.array(action) if tree["is_array"] else action)
    if recording.seen == tree["seen"]:
        return None
    return f"after {len(tree['actions'])} steps that were played again it shows something else"


def _generators(inner: Any) -> Tree:
    spaces = {name: getattr(inner, name, None) for name in _SPACES}
    return {
        "own": take(inner, GENERATOR),
        "spaces": {
            name: take_space(space)
            for name, space in spaces.items()
            if isinstance(space, gymnasium.Space)
        },
        "globals": take_globals(),
    }


def _put_generators(inner: Any, tree: Tree) -> None:
    put(inner, tree["own"])
    for name, space in tree["spaces"].items():
        put_space(getattr(inner, name), space)
    put_globals(tree["globals"])


def _shown(inner: Any, answer: Any) -> str:
    """Return the mark of what can be seen now: of a game by turns, by whoever is next."""
    is_by_turns = hasattr(inner, "agent_iter")  # its methods return nothing
    return mark(inner.last() if is_by_turns and inner.agents else answer)


def mark(answer: Any) -> str:
    """Return a short text that differs where observations, rewards or ends do.

    Args:
        answer: What `reset` or `step` returned; the infos at its end do not count.
    """
    digest = hashlib.blake2b(digest_size=8)
    _mark(answer[:-1] if isinstance(answer, tuple) else answer, digest)
    return digest.hexdigest()


def _mark(value: Any, digest: Any) -> None:
    if isinstance(value, Mapping):
        for key, each in value.items():
            digest.update(repr(key).encode())
            _mark(each, digest)
    elif isinstance(value, (tuple, list)):
        digest.update(b"(")
        for each in value:
            _mark(each, digest)
    elif isinstance(value, (np.ndarray, np.generic)):
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    else:
        digest.update(repr(value).encode())
