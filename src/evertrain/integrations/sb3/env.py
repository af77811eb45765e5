"""The state of one environment, with all its wrappers: what runs beside the environment.

These functions work where the environment lives, which may be a worker process
of `SubprocVecEnv`. `Arrival` brings them there: when it is unpickled in a
worker, `gymnasium.Env` gains the methods that `env_method` then calls, and the
worker stops dying of the Ctrl+C that its trainer wants to finish a rollout for.

Layer: integrations. Imports its siblings and `integrations.envs`.
"""

import os
import signal
from collections.abc import Callable, Sequence
from typing import Any, Final

import gymnasium

from evertrain.checkpoint.plugin import Tree
from evertrain.integrations.envs import method as methods
from evertrain.integrations.envs import replay, trial
from evertrain.integrations.envs.generators import seed_globals
from evertrain.integrations.envs.layers import kind_of, knows_state

Env = gymnasium.Env[Any, Any]

# Methods that `gymnasium.Env` gains, for `env_method`. The first environment of a process
# answers for `others` that live there.
STATE: Final = "evertrain_state"
RESTORE: Final = "evertrain_restore"
KNOWS_STATE: Final = "evertrain_knows_state"
KIND: Final = "evertrain_kind"
CHOOSE: Final = "evertrain_choose"
CONFIRM: Final = "evertrain_confirm"
SEED: Final = "evertrain_seed"
# An attribute that it gains, for `set_attr`: a worker that is replaced gets it again.
RECORDED: Final = "evertrain_recorded"


class Arrival:
    """Sent to a worker, it makes the environments there answer to evertrain."""

    def __reduce__(self) -> tuple[Callable[[int], None], tuple[int]]:
        """Become a call of `arrive` wherever it is unpickled."""
        return arrive, (os.getpid(),)


class IgnoreInterrupts:
    """A factory of environments whose worker process ignores Ctrl+C from birth.

    Args:
        make: Returns a new environment.
    """

    def __init__(self, make: Callable[[], Env]) -> None:
        """Remember who is the trainer."""
        self._make = make
        self._trainer_pid = os.getpid()

    def __call__(self) -> Env:
        """Return a new environment."""
        arrive(self._trainer_pid)
        return self._make()


class Recorded:
    """An attribute that, once set, lets an environment remember what is done to it."""

    def __set__(self, env: Env, value: object) -> None:
        """Begin to remember."""
        del value
        replay.record(env)


def arrive(trainer_pid: int) -> None:
    """Teach the environments of this process to answer, and a worker to ignore Ctrl+C."""
    is_worker = os.getpid() != trainer_pid

    def state(env: Env, others: Sequence[Env], chosen: Sequence[str]) -> Tree:
        envs = [env, *others]
        return _answer(lambda: methods.capture_all(envs, chosen, with_globals=is_worker))

    def restore(env: Env, others: Sequence[Env], chosen: Sequence[str], tree: Tree) -> Tree:
        return _answer(lambda: methods.restore_all([env, *others], chosen, tree))

    def choose(env: Env, wanted: str) -> Tree:
        return _answer(lambda: trial.choose(env, wanted, is_alone=is_worker))

    def confirm(env: Env, method: str, proof: Tree) -> Tree:
        return _answer(lambda: trial.confirm(env, method, proof))

    def kind(env: Env) -> Tree:
        return _answer(lambda: [kind_of(env), *_candidates(env)])

    def seed(env: Env, value: int) -> None:
        del env
        if is_worker:
            seed_globals(value)

    answers: dict[str, Any] = {
        STATE: state,
        RESTORE: restore,
        KNOWS_STATE: knows_state,
        KIND: kind,
        CHOOSE: choose,
        CONFIRM: confirm,
        SEED: seed,
        RECORDED: Recorded(),
    }
    for name, answer in answers.items():
        setattr(gymnasium.Env, name, answer)
    if is_worker:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _candidates(env: Env) -> list[str]:
    """Return the methods that may serve: one of the same class may hold what another does not."""
    return [each for each in methods.ORDER if methods.applies(env, each) is None]


def _answer(act: Callable[[], Tree]) -> Tree:
    """Return what `act` returns, or its error as text: raising would end the worker silently."""
    try:
        return {"value": act()}
    except Exception as error:  # noqa: BLE001  (foreign code; the trainer raises it again)
        number = vars(error).get(methods.NUMBER, 0)
        return {"error": f"{type(error).__name__}: {error}", "number": number}
