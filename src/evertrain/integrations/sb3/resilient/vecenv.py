"""`ResilientVecEnv`: `SubprocVecEnv` that outlives its environments.

Layer: integrations. Imports its siblings and core.
"""

import multiprocessing
import os
import sys
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import (
    VecEnvIndices,
    VecEnvObs,
    VecEnvStepReturn,
)

from evertrain.checkpoint.plugin import Tree
from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.errors import ConfigError
from evertrain.integrations.sb3.resilient.calls import call
from evertrain.integrations.sb3.resilient.channel import dumps
from evertrain.integrations.sb3.resilient.crew import Crew
from evertrain.integrations.sb3.resilient.limits import EnvLimits, RestartBudget, refuse
from evertrain.integrations.sb3.resilient.report import print_restart
from evertrain.integrations.sb3.resilient.restart import EnvRestart
from evertrain.integrations.sb3.resilient.slot import Slot
from evertrain.integrations.sb3.resilient.succession import Rules, Succession
from evertrain.integrations.sb3.resilient.worker import RESET, STEP, Source

Env = gymnasium.Env[Any, Any]
Factory = Callable[[], Env]

DEFAULT_LIMITS: Final = EnvLimits()
DEFAULT_BUDGET: Final = RestartBudget()


class ResilientVecEnv(VecEnv):
    """Environments in worker processes, each of which may crash or hang alone.

    A drop-in for `SubprocVecEnv`; where nothing dies, it returns the same, bit for bit.
    A worker that dies or does not answer in time is killed with all that it started,
    and a new one takes its place. The step ends its episode: reward 0, `done`, and in the
    info `TimeLimit.truncated`, `terminal_observation` (the last one that there was),
    `env_restarted` and `env_failure` (see `EnvRestart.about`). What was set by `set_attr`
    is set again. Ctrl+C does not reach the workers. Linux only.

    Args:
        env_fns: Functions that return an environment each.
        start_method: "forkserver", "spawn" or "fork"; None is the first of them that
            the system has.
        limits: How long a worker may take to answer.
        budget: How often one index may be restarted.
        spare: Serves an index whose budget is spent, called with the index in the worker:
            say, another level. It has a budget of its own. Without one, or if it dies as
            often, or with too many quarantined, the training ends with an `EnvError`.
        max_quarantined: Share of the indices that the spare may serve, 0 to 1.
        on_restart: Called in the trainer with each `EnvRestart` when the new environment
            is built and before its reset: `env_method(..., indices=restart.index)` may
            prepare it.
        clock: Source of the time.

    Attributes:
        waiting: Whether a step is pending.
        closed: Whether it is closed.

    Raises:
        ConfigError: This system has no such processes.
        EnvError: An environment could not be built.
    """

    def __init__(  # noqa: PLR0913  (the constructor that users type, by keyword)
        self,
        env_fns: Sequence[Factory],
        start_method: str | None = None,
        *,
        limits: EnvLimits = DEFAULT_LIMITS,
        budget: RestartBudget = DEFAULT_BUDGET,
        spare: Callable[[int], Env] | None = None,
        max_quarantined: float = 0.5,
        on_restart: Callable[[EnvRestart], None] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Start a worker for each environment, and wait until all are built."""
        _refuse_other_systems()
        refuse(
            "ResilientVecEnv",
            {} if 0 <= max_quarantined <= 1 else {"max_quarantined": max_quarantined},
        )
        if start_method is None:
            has_server = "forkserver" in multiprocessing.get_all_start_methods()
            start_method = "forkserver" if has_server else "spawn"
        self.waiting = self.closed = False
        self._slots = [Slot(index) for index in range(len(env_fns))]
        sources = [Source(index, make, spare) for index, make in enumerate(env_fns)]
        context = multiprocessing.get_context(start_method)
        self._crew = Crew(sources, context, limits, clock=clock)
        self._end = weakref.finalize(self, _close, self._crew, os.getpid())
        rules = Rules(budget, spare is not None, max_quarantined, limits.close_s)
        self._succession = Succession(self._crew, self._slots, rules, clock=clock)
        self._succession.report = print_restart
        if on_restart is not None:
            self._succession.on_restart = on_restart
        self._reward: Any = 0.0
        try:
            self._succession.begin()
            super().__init__(len(env_fns), *self._succession.spaces)
        except BaseException:
            self.close()
            raise

    def report_to(self, hear: Callable[[EnvRestart], None]) -> None:
        """Let `hear` tell people of each death at once, instead of printing it. `learn` does."""
        self._succession.report = hear

    @property
    def processes(self) -> list[Any]:
        """The process above each worker; its children are the worker and what that started."""
        return [remote.process for remote in self._crew.remotes]

    @property
    def is_busy(self) -> bool:
        """Whether a worker owes an answer: then an interrupted trainer is asking."""
        return self.waiting or bool(self._crew.pending)

    def step_async(self, actions: Any) -> None:
        """Send each environment its action; one that was lost since is not asked."""
        for slot, action in zip(self._slots, actions, strict=True):
            if not slot.is_owed:
                slot.is_in_use = True
                self._crew.ask(slot.index, dumps((STEP, action)), "step")
        self.waiting = True

    def step_wait(self) -> VecEnvStepReturn:
        """Return what the step brought; see the class for those that were lost.

        Raises:
            EnvError: An environment died too often.
        """
        crew = self._crew
        answers = crew.hear("step", range(self.num_envs))
        begun = crew.hear("reset", list(crew.pending))
        if crew.lost:
            self._succession.revive()
        self.waiting = False
        self._reward = next((each[2] for each in answers if each is not None), self._reward)
        results = [self._result(slot, answers, begun) for slot in self._slots]
        observations, rewards, dones, infos = zip(*results, strict=True)
        self.reset_infos = tuple(slot.reset_info for slot in self._slots)  # type: ignore[assignment]  # as SB3
        stacked = stack(observations, self.observation_space)
        return stacked, np.stack(rewards), np.stack(dones), infos  # type: ignore[return-value]  # as SB3

    def reset(self) -> VecEnvObs:
        """Reset every environment; a step that is pending is forgotten.

        Raises:
            EnvError: An environment died too often.
        """
        self._crew.drain()
        self.waiting = False
        self._succession.revive()
        for slot, seed, options in zip(self._slots, self._seeds, self._options, strict=True):
            slot.begin_reset(seed)
            self._crew.ask(slot.index, dumps((RESET, (seed, options))), "reset")
        answers = self._crew.hear("reset", range(self.num_envs))
        self._succession.revive(self._options)
        for slot in self._slots:
            answer = answers[slot.index]
            slot.end_reset(None if answer is None else answer[1:])
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = tuple(slot.reset_info for slot in self._slots)  # type: ignore[assignment]  # as SB3
        return stack([slot.observation for slot in self._slots], self.observation_space)

    def close(self) -> None:
        """Let the environments close themselves; kill what has not ended in time."""
        self.closed = True
        self._end()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """Return a picture of each environment, where it makes some."""
        if self.render_mode != "rgb_array":
            warnings.warn(
                f"The render mode is {self.render_mode}, "
                "but this method assumes it is `rgb_array` to obtain images.",
                stacklevel=2,
            )
            return [None] * self.num_envs
        return self._call("render", None)

    def has_attr(self, attr_name: str) -> bool:
        """Say whether every environment has that attribute."""
        return all(self._call("has_attr", attr_name))

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of each environment.

        Raises:
            AttributeError: One does not have it.
        """
        return self._call("get_attr", attr_name, indices)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of each environment, and of those that come in their place."""
        self._call("set_attr", (attr_name, value), indices)
        for index in self._get_indices(indices):
            self._slots[index].attributes[attr_name] = value

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: VecEnvIndices = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """Call a method of each environment.

        Raises:
            Exception: What the method raised; the environment goes on.
            EnvError: Environments die of it.
        """
        return self._call("env_method", (method_name, method_args, method_kwargs), indices)

    def env_is_wrapped(
        self,
        wrapper_class: type[gymnasium.Wrapper[Any, Any, Any, Any]],
        indices: VecEnvIndices = None,
    ) -> list[bool]:
        """Say of each environment whether it has such a wrapper."""
        return self._call("is_wrapped", wrapper_class, indices)

    def capture(self) -> Tree:
        """Return what a resumed run has to know beside the environments' own state.

        A worker that is gone is replaced first.
        """
        if not self.is_busy:
            self._call("has_attr", "step")
        return [slot.capture() for slot in self._slots]

    def restore(self, tree: Tree) -> None:
        """Put it back; where the spare served, it serves again."""
        for slot, stored in zip(self._slots, tree, strict=True):
            is_other = slot.is_spare != stored["is_spare"]
            slot.restore(stored)
            if is_other:
                self._succession.replace(slot.index)

    def _call(self, order: str, data: Any, indices: VecEnvIndices = None) -> list[Any]:
        return call(self._crew, self._succession, self._get_indices(indices), order, data)

    def _result(self, slot: Slot, answers: Sequence[Any], begun: Sequence[Any]) -> tuple[Any, ...]:
        """Return observation, reward, done and info of one environment."""
        if slot.is_owed:
            return slot.settle(np.zeros_like(self._reward)[()])
        _, observation, reward, done, info = answers[slot.index]
        if done:
            info["terminal_observation"] = observation
            first = begun[slot.index]
            observation = slot.begin_episode(None if first is None else first[1:], info)
        slot.observation = observation
        slot.failures = 0
        return observation, reward, done, info


def stack(observations: Sequence[Any], space: spaces.Space[Any]) -> VecEnvObs:
    """Return the observations of all environments as one, each array with a first axis more."""
    if isinstance(space, spaces.Dict):
        return {key: np.stack([each[key] for each in observations]) for key in space.spaces}
    if isinstance(space, spaces.Tuple):
        return tuple(
            np.stack([each[index] for each in observations]) for index in range(len(space.spaces))
        )
    return np.stack(observations)


def _close(crew: Crew, owner_pid: int) -> None:
    """Close the workers, but not from a process that was only forked from their trainer."""
    if os.getpid() == owner_pid:
        crew.close()


def _refuse_other_systems() -> None:
    if sys.platform != "linux":
        raise ConfigError(
            f"ResilientVecEnv on {sys.platform}.",
            "it needs pidfds and subreapers, which only Linux has.",
            "Use SubprocVecEnv there.",
        )
