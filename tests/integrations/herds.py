"""Small worlds for RLlib: one agent, or several of two policies, and what each ends with."""

import os
import signal
import warnings
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
import ray
from gymnasium import spaces
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.env.multi_agent_env import MultiAgentEnv

from evertrain.integrations.rllib import layout

BATCH = 64
EPISODE = 23  # ends within a batch, and is open at each batch's end


class Walk(gymnasium.Env[Any, Any]):
    """One agent pulls a drifting point back to the middle."""

    def __init__(self, config: Any = None) -> None:
        del config  # RLlib gives one
        self.observation_space = spaces.Box(-9, 9, (2,), np.float32)
        self.action_space = spaces.Discrete(3)
        self.at = np.zeros(2)
        self.steps = 0

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        del options
        super().reset(seed=seed)
        self.at = self.np_random.normal(size=2)
        self.steps = 0
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        self.at = np.clip(0.9 * self.at + 0.3 * (int(action) - 1), -9, 9)
        self.at += self.np_random.normal(scale=0.1, size=2)
        return self._seen(), -float(np.abs(self.at).sum()), False, self.steps >= EPISODE, {}

    def _seen(self) -> Any:
        return self.at.astype(np.float32)


class Herd(MultiAgentEnv):
    """Two wolves and a sheep on a line; one wolf sits out each third step.

    Attributes:
        fatal_step: Of all steps in this process, the one at which it is killed.
    """

    fatal_step: ClassVar[int] = -1
    taken: ClassVar[int] = 0

    def __init__(self, config: Any = None) -> None:
        del config  # RLlib gives one
        super().__init__()  # type: ignore[no-untyped-call]
        self.agents = self.possible_agents = ["wolf_0", "wolf_1", "sheep"]
        box = spaces.Box(-99, 99, (3,), np.float32)
        self.observation_spaces = dict.fromkeys(self.agents, box)
        self.action_spaces = {name: spaces.Discrete(3) for name in self.agents}
        self.rng = np.random.default_rng(0)
        self.at = dict.fromkeys(self.agents, 0.0)
        self.steps = 0

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        del options
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.at = {name: float(self.rng.normal()) for name in self.agents}
        self.steps = 0
        return self._seen(self.agents), {}

    def step(self, action_dict: Any) -> tuple[Any, Any, Any, Any, Any]:
        self.steps += 1
        Herd.taken += 1
        if Herd.taken == Herd.fatal_step:
            os.kill(os.getpid(), signal.SIGKILL)
        for name, action in action_dict.items():
            self.at[name] += 0.2 * (int(action) - 1) + float(self.rng.normal(scale=0.05))
        gap = min(
            abs(self.at["wolf_0"] - self.at["sheep"]), abs(self.at["wolf_1"] - self.at["sheep"])
        )
        rewards = {"wolf_0": -gap, "wolf_1": -gap, "sheep": gap}
        is_over = self.steps >= EPISODE
        seen = [n for n in self.agents if is_over or n != "wolf_1" or self.steps % 3]
        ends = {"__all__": is_over}
        return self._seen(seen), rewards, {"__all__": False}, ends, {}

    def _seen(self, names: list[str]) -> dict[str, Any]:
        row = np.array(list(self.at.values()), np.float32)
        return {name: row - row[n] for n, name in enumerate(self.agents) if name in names}


def policy_of(agent: str, *_: Any, **__: Any) -> str:
    """Return the policy of an agent."""
    return "wolves" if agent.startswith("wolf") else "sheep"


def config(env: Any = Herd, **runners: Any) -> Any:
    """Return a small PPO whose episodes are open when a batch ends."""
    begin: Any = PPOConfig
    made = (
        begin()
        .environment(env)
        .env_runners(num_env_runners=0, rollout_fragment_length=BATCH // 2, **runners)
        .rl_module(model_config=network(16))
        .training(
            train_batch_size=BATCH,
            minibatch_size=32,
            num_epochs=2,
            lr=[[0, 1e-2], [2_000, 1e-3]],
            entropy_coeff=[[0, 0.1], [2_000, 0.0]],
            kl_target=1e-4,
        )
        .learners(num_learners=0)
        .debugging(seed=7, log_level="ERROR")
    )
    if env is Herd:
        made = made.multi_agent(policies=["wolves", "sheep"], policy_mapping_fn=policy_of)
    return made


def network(*hiddens: int) -> Any:
    """Return the sizes of a network."""
    return DefaultModelConfig(fcnet_hiddens=list(hiddens))


def build(made: Any) -> Any:
    """Return the algorithm, without the files that RLlib logs to by default."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # RLlib's, of its own classes
        return layout.build_quietly(made)


def old(made: Any) -> Any:
    """Return the same on RLlib's old API stack."""
    return made.api_stack(
        enable_rl_module_and_learner=False, enable_env_runner_and_connector_v2=False
    ).training(
        model={"fcnet_hiddens": [16]},
        lr=1e-2,
        lr_schedule=[[0, 1e-2], [2_000, 1e-3]],
        entropy_coeff=0.1,
        entropy_coeff_schedule=[[0, 0.1], [2_000, 0.0]],
    )


_CLOCKS = (
    "time",
    "timer",
    "throughput",
    "date",
    "pid",
    "hostname",
    "node_ip",
    "duration",
    "perf",
    "restore",
    "_ms",
)


def numbers(result: Any) -> Any:
    """Return what is no time, place or process of a result of `train()`."""
    if not isinstance(result, dict):
        return repr(result)
    return {
        str(key): numbers(each)
        for key, each in sorted(result.items(), key=lambda item: str(item[0]))
        if key not in {"config", "trial_id", "sample"}
        and not any(word in str(key) for word in _CLOCKS)
    }


def sigterms_heard_in(
    ray_runs: AbstractContextManager[None], monkeypatch: pytest.MonkeyPatch
) -> list[int]:
    """Send this process a SIGTERM where a Ray runs that takes the signal; return what is heard."""

    def init(*_: object, **__: object) -> None:
        signal.signal(signal.SIGTERM, lambda *_: pytest.fail("Ray's handler is in force"))

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with ray_runs:
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    return heard
