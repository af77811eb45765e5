"""What runs beside an environment: it takes orders, answers, and says what goes wrong.

It does what the worker of `SubprocVecEnv` does, in the same order. Where that one
dies with a traceback that nobody collects, this one tells the trainer first.

Layer: integrations. Imports its siblings only.
"""

import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import cloudpickle
import gymnasium
import numpy as np
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.vec_env.patch_gym import _patch_env

from evertrain.integrations.envs.generators import seed_globals
from evertrain.integrations.sb3.resilient.channel import Channel, dumps, loads

# First member of an answer.
OK: Final = 0
RAISED: Final = 1  # what was called raised; the environment goes on
DIED: Final = 2  # the environment raised; this worker ends

STEP: Final = "step"
RESET: Final = "reset"
CLOSE: Final = "close"

_PLAIN: Final = frozenset(
    {type(None), bool, int, float, complex, str, bytes, np.ndarray, *np.sctypeDict.values()}
)
_MANY: Final = 100

Env = gymnasium.Env[Any, Any]


def own_stacks(dump: str) -> str:
    """Return the stacks that `faulthandler` wrote without what stands above the environment."""
    kept: list[str] = []
    is_ours = False
    for line in dump.splitlines():
        is_frame = line.startswith("  ")
        is_ours = is_frame and (is_ours or f'"{__file__}"' in line)
        if not is_ours and not line.startswith("Extension modules:"):
            kept.append(line)
    return "\n".join(kept).rstrip()


@dataclass(frozen=True, slots=True)
class Source:
    """Where the environments of one index come from.

    A function that has to travel is pickled by value, and unpickled in the worker only:
    what it imports must not run in the keeper, which forks. A forked keeper has it as it is.

    Attributes:
        index: Of the environment.
        own: Returns one.
        spare: Returns one for an index that is quarantined; None if there is none.
    """

    index: int
    own: Callable[[], Env] | bytes
    spare: Callable[[int], Env] | bytes | None

    def packed(self) -> "Source":
        """Return it ready to travel."""
        spare = None if self.spare is None else cloudpickle.dumps(self.spare)
        return Source(self.index, cloudpickle.dumps(self.own), spare)

    def make(self, *, is_spare: bool) -> Env:
        """Return a new environment."""
        chosen: Any = self.spare if is_spare else self.own
        make = loads(chosen) if isinstance(chosen, bytes) else chosen
        return _patch_env(make(self.index) if is_spare else make())


@dataclass(frozen=True, slots=True)
class Birth:
    """What a worker is started with.

    Attributes:
        is_spare: Whether the spare is wanted.
        seed: Of the worker's global generators; None leaves them as they are.
    """

    is_spare: bool = False
    seed: int | None = None


class HungUpError(Exception):
    """The trainer is gone, or has closed its end."""


def serve(channel: Channel, source: Source, birth: Birth) -> int:
    """Build the environment and obey until the trainer closes it, or is gone.

    Returns:
        The exit code: 0 after an orderly end, 1 after an error of the environment.
    """
    env: Env | None = None
    code = 0
    try:
        if birth.seed is not None:
            seed_globals(birth.seed)
        env = source.make(is_spare=birth.is_spare)
        _tell(channel, (OK, env.observation_space, env.action_space))
        _obey(channel, env)
    except HungUpError:
        pass
    except BaseException as error:  # noqa: BLE001  (sys.exit and Ctrl+C end it as well)
        with suppress(HungUpError):
            _tell(channel, (DIED, *confession(error)))
        code = 1
    if env is not None:
        try:
            env.close()  # type: ignore[no-untyped-call]
        except BaseException:  # noqa: BLE001  (idem; nobody waits for it any more)
            traceback.print_exc()
    return code


def confession(error: BaseException) -> tuple[str, str, bool]:
    """Return an error as its last line, its traceback, and whether it is a `sys.exit`."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next  # how we came to the environment helps nobody
    text = "".join(traceback.format_exception(type(error), error, trace)).rstrip()
    line = "".join(traceback.format_exception_only(error)).strip().splitlines()
    if isinstance(error, SystemExit):
        return f"sys.exit({error.code!r})", text, True
    return (line[-1] if line else type(error).__name__), text, False


def portable(info: dict[str, Any]) -> dict[str, Any]:
    """Return `info` with whatever does not survive the way to the trainer as its `repr`."""
    odd = [key for key, value in info.items() if not _is_plain(value)]
    if not odd:
        return info
    return info | {key: info[key] if survives(info[key]) else repr(info[key]) for key in odd}


def survives(value: object) -> bool:
    """Say whether `value` can be pickled, and unpickled again: for some errors only half works."""
    try:
        loads(dumps(value))
    except Exception:  # noqa: BLE001  (objects refuse in many ways)
        return False
    return True


def _obey(channel: Channel, env: Env) -> None:
    while True:
        order, data = _next(channel)
        if order == STEP:
            _step(channel, env, data)
        elif order == RESET:
            seed, options = data
            given = {"options": options} if options else {}
            _reset(channel, env, seed=seed, **given)
        elif order == CLOSE:
            return
        else:
            _tell(channel, _answer(_CALLS[order], env, data))


def _step(channel: Channel, env: Env, action: Any) -> None:
    """Take one step, and a reset behind an episode's last one, which is told by itself."""
    observation, reward, terminated, truncated, info = env.step(action)
    done = terminated or truncated
    info["TimeLimit.truncated"] = truncated and not terminated
    _tell(channel, (OK, observation, reward, done, portable(info)))
    if done:
        _reset(channel, env)


def _reset(channel: Channel, env: Env, **given: Any) -> None:
    observation, info = env.reset(**given)
    _tell(channel, (OK, observation, portable(info)))


def _answer(act: Callable[[Env, Any], Any], env: Env, data: Any) -> tuple[Any, ...]:
    """Return what a call returned or raised. An error of the caller is not the environment's."""
    try:
        answer = OK, act(env, data)
        dumps(answer)
    except Exception as error:  # noqa: BLE001  (foreign code; the trainer raises it again)
        _, text, _ = confession(error)
        return RAISED, error if survives(error) else None, text
    return answer


def _tell(channel: Channel, answer: tuple[Any, ...]) -> None:
    data = dumps(answer)
    try:
        channel.send(data)
    except OSError as error:
        raise HungUpError from error


def _next(channel: Channel) -> Any:
    try:
        message = channel.read()
    except (EOFError, OSError) as error:
        raise HungUpError from error
    assert message is not None  # noqa: S101  (this end blocks)
    return loads(message)


def _is_plain(value: object) -> bool:
    """Say whether a value surely survives, at the price of a look."""
    kind = type(value)
    if kind in _PLAIN:
        return kind is not np.ndarray or not value.dtype.hasobject  # type: ignore[attr-defined]
    if kind is dict:
        return len(value) < _MANY and all(_is_plain(each) for each in value.values())  # type: ignore[arg-type, attr-defined]
    if kind in {list, tuple}:
        return len(value) < _MANY and all(_is_plain(each) for each in value)  # type: ignore[arg-type, attr-defined]
    return False


def _has_attr(env: Env, name: str) -> bool:
    try:
        env.get_wrapper_attr(name)
    except AttributeError:
        return False
    return True


_CALLS: Final[dict[str, Callable[[Env, Any], Any]]] = {
    "env_method": lambda env, data: env.get_wrapper_attr(data[0])(*data[1], **data[2]),
    "get_attr": lambda env, name: env.get_wrapper_attr(name),
    "has_attr": _has_attr,
    "is_wrapped": is_wrapped,
    "render": lambda env, _: env.render(),
    "set_attr": lambda env, data: setattr(env, data[0], data[1]),
}
