"""Subclasses of the program's own: what they count comes back, and what does not is told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecEnvWrapper,
    VecFrameStack,
    VecNormalize,
)

from evertrain import Run, every
from evertrain.integrations.sb3 import learn, listener, own, vector
from evertrain.integrations.sb3.model import ROLLOUTS, SEED, ModelAdapter, not_kept
from integrations.worlds import ROLLOUT, Crash, CrashAt, World, build, digest, rows


class Tree:
    """Sums of priorities."""

    def __init__(self, size: int) -> None:
        self.sums = np.zeros(2 * size)


class Prioritized(ReplayBuffer):
    """It remembers more than rows."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.tree = Tree(self.buffer_size)
        self.max_priority = 1.0

    def add(self, *args: Any, **options: Any) -> None:
        super().add(*args, **options)
        self.max_priority += 1.0
        self.tree.sums[self.pos] = self.max_priority


class Rewarding(VecEnvWrapper):
    """It pays for each step that it has seen, beside a function that it calls."""

    def __init__(self, venv: Any) -> None:
        super().__init__(venv)
        self.scores = {"steps": 0, "scale": float}
        self.log = Path(__file__).open(encoding="utf-8")  # noqa: SIM115

    def reset(self) -> Any:
        return self.venv.reset()

    def step_wait(self) -> Any:
        seen, rewards, dones, infos = self.venv.step_wait()
        self.scores["steps"] += 1  # type: ignore[operator]
        return seen, rewards + 0.01 * self.scores["steps"], dones, infos  # type: ignore[operator]


class Growing(DQN):
    """Its discount is its own affair, and a network of its own is nobody's."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.beta = 0.4
        self.curious = torch.nn.Linear(1, 1)

    def train(self, *args: Any, **options: Any) -> None:
        self.beta += 0.001
        self.gamma = min(self.beta, 1.0)
        super().train(*args, **options)


class Counting(BaseCallback):
    """It counts where nobody looks."""

    seen = 0

    def _on_step(self) -> bool:
        self.seen += 1
        return True


def program() -> Growing:
    """Return a model that is the program's own wherever it can be."""
    venv = Rewarding(DummyVecEnv([lambda: World(is_discrete=True)]))
    return Growing(
        "MlpPolicy",
        venv,
        replay_buffer_class=Prioritized,
        buffer_size=100,
        learning_starts=10,
        train_freq=8,
        device="cpu",
        policy_kwargs={"net_arch": [8]},
    )


def train(path: Path, crash_at: int | None = None) -> Growing:
    """Train it once."""
    with Run(path, total=3 * ROLLOUT, seed=7, save=every(steps=1)) as run:
        model = program()
        learn(run, model, callback=[CrashAt(crash_at), Counting()], log_interval=None)
    return model


def test_what_subclasses_count_comes_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Model, buffer and wrapper end where they would have; the rest is told at the start."""
    whole = train(tmp_path / "whole")
    with pytest.raises(Crash):
        train(tmp_path / "cut", ROLLOUT + 20)
    said = capsys.readouterr().out
    resumed = train(tmp_path / "cut")

    for model in (whole, resumed):
        assert model.beta == pytest.approx(whole.beta, abs=0)
        assert model.replay_buffer.max_priority == 3 * ROLLOUT + 1  # type: ignore[union-attr]
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    assert "not kept: of Growing: .curious is a Linear; of Rewarding: .log" in said
    assert "Counting" not in said
    assert "of Rewarding: .log is a _io.TextIOWrapper, which cannot be looked into" in said
    assert "not an exact resume" not in capsys.readouterr().out


def test_sb3_s_own_classes_have_nothing_to_tell() -> None:
    """What is set by SB3's own code is known."""
    model = build()
    listener.register(model, CallbackList([]))

    assert not_kept(model) == []


def test_what_a_subclass_leaves_to_sb3_is_not_its_own() -> None:
    """An attribute that only SB3 sets is none of the program's."""

    class Plain(DQN):
        pass

    venv = DummyVecEnv([lambda: World(is_discrete=True)])

    assert not_kept(Plain("MlpPolicy", venv, buffer_size=10)) == []


class Ordinary(PPO):
    """Its attributes have names that SB3 uses for other things."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.mean = self.std = self.epsilon = self.advantages = 0.0
        self.step, self.dones, self.values = 0, np.zeros(2), {"loss": 1.0}
        self.returns: list[int] = []


def test_an_attribute_may_be_called_as_anything_in_sb3() -> None:
    """What SB3 calls so elsewhere is not the model's, and so the program's own comes back."""
    trained, fresh = (build(algorithm=Ordinary) for _ in range(2))
    trained.mean, trained.std, trained.epsilon, trained.advantages = 1.0, 2.0, 3.0, 4.0
    trained.step, trained.dones, trained.values = 5, np.ones(2), {"loss": 6.0}
    trained.returns += [7]

    ModelAdapter().restore(fresh, ModelAdapter().capture(trained))

    assert (fresh.mean, fresh.std, fresh.epsilon, fresh.advantages) == (1.0, 2.0, 3.0, 4.0)
    assert (fresh.step, list(fresh.dones), fresh.values) == (5, [1, 1], {"loss": 6.0})
    assert fresh.returns == [7]


@pytest.mark.parametrize("algorithm", [PPO, A2C, DQN, SAC, TD3, DDPG])
def test_what_sb3_s_code_sets_is_sb3_s(algorithm: Any) -> None:
    """Of a subclass that adds nothing, nothing is taken besides, also of its buffer."""
    plain = type("Plain", (algorithm,), {})
    options: dict[str, Any] = {"buffer_size": 100, "n_steps": 1}
    if algorithm in {PPO, A2C}:
        options = {"n_steps": ROLLOUT // 2}
    model = build(lambda: World(is_discrete=algorithm is DQN), algorithm=plain, **options)
    model.learn(2 * ROLLOUT)
    for name in ("rollout_buffer", "replay_buffer"):
        buffer = getattr(model, name, None)
        if buffer is not None:
            buffer.__class__ = type("Plain", (type(buffer),), {})

    assert own.take(model, [ROLLOUTS, SEED]) == {}


def test_a_wrapper_may_be_called_as_one_of_sb3_s() -> None:
    """What it adds comes back, and what SB3's holds as well, whatever it is called."""

    class Mine(VecNormalize):
        def __init__(self, venv: Any) -> None:
            super().__init__(venv)
            self.updates = 0

    Mine.__name__ = VecNormalize.__name__
    trained, fresh = (Mine(VecFrameStack(DummyVecEnv([World]), 2)) for _ in range(2))
    trained.reset()
    trained.step(np.zeros((1, 1)))
    trained.updates = 7

    vector.restore(fresh, vector.capture(trained))

    assert fresh.updates == 7
    assert fresh.ret_rms.count == trained.ret_rms.count
    assert vector.not_kept(fresh) == []


def test_a_subclass_of_a_wrapper_keeps_what_sb3_s_keeps() -> None:
    """Also an object of SB3's own inside it."""
    kind = type("Stacked", (VecFrameStack,), {})
    trained, fresh = (kind(DummyVecEnv([World]), 2) for _ in range(2))
    trained.reset()

    vector.restore(fresh, vector.capture(trained))

    assert np.array_equal(fresh.stacked_obs.stacked_obs, trained.stacked_obs.stacked_obs)


def test_two_callbacks_may_know_each_other() -> None:
    """Each is taken once, and put back once."""
    one, other = CrashAt(None), CrashAt(None)
    one.other, other.other = other, one  # type: ignore[attr-defined]
    model, both = build(), CallbackList([one, other])
    listener.register(model, both)
    one.n_calls, other.n_calls = 1, 2
    stored = listener.take(model)
    one.n_calls = other.n_calls = 0

    listener.put(model, stored)

    assert (one.n_calls, other.n_calls) == (1, 2)
