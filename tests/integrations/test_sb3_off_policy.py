"""SB3 off policy: buffer, noise, targets and temperature, killed and resumed, bit for bit."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from stable_baselines3 import DDPG, DQN, SAC, TD3
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from evertrain import Run, every
from evertrain.integrations.sb3 import EvertrainCallback, learn, model, replay
from evertrain.integrations.torch.optimizer import OptimizerAdapter
from integrations.worlds import (
    ROLLOUT,
    Crash,
    CrashAt,
    Observation,
    StatelessWorld,
    World,
    digest,
    rows,
    train,
)

REPO = Path(__file__).parents[2]
TOTAL = 4 * ROLLOUT
CRASH = 3 * ROLLOUT + 20  # when a ring of 100 rows has begun its second round
WIDE = 5500  # numbers in an observation: a ring of 100 rows is cut into three files


class DiscreteWorld(World):
    """With three actions."""

    def __init__(self) -> None:
        super().__init__(is_discrete=True)


class StatelessDiscreteWorld(StatelessWorld):
    """With three actions, and no state to give away."""

    def __init__(self) -> None:
        super().__init__(is_discrete=True)


class WideWorld(World):
    """With long observations."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_space = gymnasium.spaces.Box(-9.0, 9.0, (WIDE,), np.float32)

    def reset(self, **options: Any) -> tuple[Observation, dict[str, Any]]:
        found, info = super().reset(**options)
        return np.resize(found, WIDE), info

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        found, *rest = super().step(action)
        return np.resize(found, WIDE), *rest  # type: ignore[return-value]


class DictWorld(gymnasium.ObservationWrapper[dict[str, NDArray[np.float32]], Any, Observation]):
    """With observations by name."""

    def __init__(self) -> None:
        inner = World()
        super().__init__(inner)
        self.observation_space = gymnasium.spaces.Dict(
            {"point": inner.observation_space, "sign": gymnasium.spaces.Discrete(2)}
        )

    def observation(self, observation: Observation) -> Any:
        return {"point": observation, "sign": int(observation[0] > 0)}


class Sealed(ReplayBuffer):
    """A buffer of the program's own, which might write where it likes."""


def build(
    algorithm: type[Any], make: Callable[[], Any] = World, *, count: int = 2, **options: Any
) -> Any:
    """Return a small model, as a program builds it in every attempt."""
    inner = DummyVecEnv([lambda: Monitor(gymnasium.wrappers.TimeLimit(make(), 23))] * count)
    normalize = None if make is DictWorld else VecNormalize(inner)
    chosen = {
        "learning_starts": 50,
        "train_freq": 8,
        "buffer_size": 200,
        "batch_size": 32,
        "policy_kwargs": {"net_arch": [8]},
    }
    policy = "MultiInputPolicy" if make is DictWorld else "MlpPolicy"
    return algorithm(policy, normalize or inner, device="cpu", **chosen | options)


def ou() -> OrnsteinUhlenbeckActionNoise:
    """Return noise that remembers."""
    return OrnsteinUhlenbeckActionNoise(np.zeros(1), 0.3 * np.ones(1), theta=0.5)


def normal() -> NormalActionNoise:
    """Return noise that does not."""
    return NormalActionNoise(np.zeros(1), 0.1 * np.ones(1))


PROGRAMS: dict[str, Callable[[], Any]] = {
    "DQN": lambda: build(DQN, DiscreteWorld, target_update_interval=40, exploration_fraction=0.7),
    "DQN by barrier": lambda: build(DQN, StatelessDiscreteWorld),
    "DQN with shared rows": lambda: build(
        DQN,
        DiscreteWorld,
        optimize_memory_usage=True,
        replay_buffer_kwargs={"handle_timeout_termination": False},
    ),
    "SAC": lambda: build(SAC, learning_rate=lambda left: 1e-2 * left),
    "SAC gSDE": lambda: build(SAC, use_sde=True, sde_sample_freq=5),
    "SAC of dicts": lambda: build(SAC, DictWorld),
    "SAC n-step": lambda: build(SAC, replay_buffer_class=NStepReplayBuffer),
    "SAC own buffer": lambda: build(SAC, replay_buffer_class=Sealed),
    "SAC wide": lambda: build(SAC, WideWorld),
    "TD3 OU": lambda: build(TD3, action_noise=ou(), gradient_steps=-1),
    "TD3 growing": lambda: build(TD3, action_noise=normal(), buffer_size=10_000),
    "DDPG by episode": lambda: build(
        DDPG, count=1, action_noise=ou(), train_freq=(1, "episode"), policy_kwargs={"net_arch": [8]}
    ),
}


def everything(program: Any) -> dict[str, Any]:
    """Return what a training has learnt and gathered, bit by bit: of the model, not of a file."""
    names, variables = program._get_torch_save_params()
    found = {f"policy.{key}": value for key, value in program.policy.state_dict().items()}
    for name in names[1:]:
        part = program
        for step in name.split("."):
            part = getattr(part, step)
        for index, state in part.state_dict()["state"].items():
            found |= {f"{name}.{index}.{key}": value for key, value in state.items()}
    found |= {name: getattr(program, name) for name in variables}
    found |= {
        f"buffer.{key}": torch.from_numpy(each.copy())
        for key, each in replay._arrays(program.replay_buffer).items()
    }
    found |= {
        f"noise.{n}": torch.from_numpy(np.array(each.noise_prev))
        for n, each in enumerate(model._noises(program))
        if hasattr(each, "noise_prev")
    }
    return {key: (value.dtype, value.numpy(force=True).tobytes()) for key, value in found.items()}


def counters(program: Any) -> list[Any]:
    """Return what a training counts."""
    names = ("num_timesteps", "_n_updates", "_episode_num", "_n_calls", "exploration_rate")
    buffer = program.replay_buffer
    return [*(getattr(program, name, None) for name in names), buffer.pos, buffer.full]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_killed_training_goes_on_exactly(name: str, tmp_path: Path) -> None:
    """Policy, moments, targets, buffer, noise, counters and metrics are those of a whole run."""
    make = PROGRAMS[name]
    how: dict[str, Any] = {"env_state": "barrier"} if "barrier" in name else {}
    whole = train(tmp_path / "whole", make, total=TOTAL, **how)
    with pytest.raises(Crash):
        train(tmp_path / "cut", make, crash_at=CRASH, total=TOTAL, **how)
    cut = train(tmp_path / "cut", make, total=TOTAL, **how)

    assert cut._num_timesteps_at_start > 0  # it did resume
    assert whole._n_updates > 0
    assert counters(cut) == counters(whole)
    assert everything(cut) == everything(whole)
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


@pytest.mark.parametrize("lost", ["buffer", "noise", "temperature", "moments"])
def test_each_part_of_the_state_is_needed(
    lost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is left out, the resumed run differs: so the test above can fail."""
    make = PROGRAMS["SAC" if lost in {"temperature", "moments"} else "TD3 OU"]
    whole = train(tmp_path / "whole", make, total=TOTAL)
    with pytest.raises(Crash):
        train(tmp_path / "cut", make, crash_at=CRASH, total=TOTAL)
    real = model._torch_parts
    owner, name, broken = {
        "buffer": (replay, "put", lambda *_: None),
        "noise": (model, "put_action_noise", lambda *_: None),
        "temperature": (model, "_torch_parts", lambda thing: (real(thing)[0], {})),
        "moments": (OptimizerAdapter, "restore", lambda *_: None),
    }[lost]
    monkeypatch.setattr(owner, name, broken)
    cut = train(tmp_path / "cut", make, total=TOTAL)

    assert everything(cut) != everything(whole)


@pytest.mark.slow
def test_a_process_that_is_gone_in_the_middle_goes_on_exactly(tmp_path: Path) -> None:
    """`os._exit` in the middle of a rollout, with a ring of several files: nothing is missed."""
    program = f"""
import os
from integrations.worlds import CrashAt, train
from tests.integrations.test_sb3_off_policy import PROGRAMS  # its classes' names are stored
CrashAt._on_step = lambda self: self.num_timesteps < {CRASH} or os._exit(9)
train({str(tmp_path / "cut")!r}, PROGRAMS["SAC wide"], total={TOTAL})
"""
    killed = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPO), *sys.path])},
        check=False,
        capture_output=True,
        timeout=100,
    )
    assert killed.returncode == 9, killed.stderr
    parts = list((tmp_path / "cut/checkpoints/latest").glob("model_replay*"))
    assert len(parts) == 2 * 3  # of observations and next_observations
    cut = train(tmp_path / "cut", PROGRAMS["SAC wide"], total=TOTAL)
    whole = train(tmp_path / "whole", PROGRAMS["SAC wide"], total=TOTAL)

    assert everything(cut) == everything(whole)
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")


def test_noise_of_several_environments_survives_an_early_restore(tmp_path: Path) -> None:
    """SB3 makes one noise per environment when `learn` begins; what was restored before stays."""
    make = PROGRAMS["TD3 OU"]
    whole = train(tmp_path / "whole", make, total=TOTAL)
    with pytest.raises(Crash):
        train(tmp_path / "cut", make, crash_at=CRASH, total=TOTAL)
    with Run(tmp_path / "cut", total=TOTAL, seed=7, save=every(steps=1)) as run:
        program = make()
        run.attach(model=program)
        run.restore()
        learn(run, program, log_interval=None)

    assert everything(program) == everything(whole)


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)])
def test_other_environments_that_are_accepted_start_afresh(
    before: int, after: int, tmp_path: Path
) -> None:
    """What `partial` lets differ is reset: observations, noise and rows are of so many."""
    make = partial(build, TD3, action_noise=ou(), buffer_size=180)
    train(tmp_path, lambda: make(count=before), total=TOTAL // 2)

    with Run(tmp_path, total=TOTAL, partial=["model.env.*", "model.replay_buffer.*"]) as run:
        program = make(count=after)
        learn(run, program, log_interval=None)

    assert run.step >= TOTAL
    assert len(program._last_obs) == program.n_envs == after


@pytest.mark.parametrize("name", ["DQN", "TD3 OU", "DQN with shared rows"])
def test_a_program_with_its_own_learn_goes_on_exactly(name: str, tmp_path: Path) -> None:
    """`model.learn` with the callback, killed and started again, ends where it would have."""

    def run_it(path: Path, crash_at: int | None = None) -> Any:
        np.random.seed(None)  # noqa: NPY002
        torch.seed()
        with Run(path, total=TOTAL, seed=7, save=every(steps=1)) as run:
            program = PROGRAMS[name]()
            program.env.seed(5)
            program.action_space.seed(5)
            listeners = [CrashAt(crash_at), EvertrainCallback(run)]
            program.learn(TOTAL, callback=listeners, log_interval=None)
        return program

    whole = run_it(tmp_path / "whole")
    with pytest.raises(Crash):
        run_it(tmp_path / "cut", CRASH)
    cut = run_it(tmp_path / "cut")

    assert counters(cut) == counters(whole)
    assert everything(cut) == everything(whole)
