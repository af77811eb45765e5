"""Callbacks: what they count comes back, wherever they stand, and what does not is told."""

import io
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    CheckpointCallback,
    EvalCallback,
    EveryNTimesteps,
)
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from evertrain import Run, every
from evertrain.integrations.sb3 import EvertrainCallback, learn, listener
from integrations.worlds import ROLLOUT, TOTAL, Crash, CrashAt, World, build, digest, rows


def evaluation() -> EvalCallback:
    """Return one that has not evaluated."""
    env = VecNormalize(DummyVecEnv([lambda: Monitor(World())]))
    return EvalCallback(env, n_eval_episodes=1, verbose=0)


def checkpoints() -> CheckpointCallback:
    """Return one that writes nothing."""
    return CheckpointCallback(10**9, "nowhere")


class Tracks(BaseCallback):
    """It remembers in many ways, and learns from what it remembers."""

    log: tuple[int, ...] = ()
    names: list[str] = []  # noqa: RUF012

    def __init__(self, path: Path | None = None, patience: float = 3.0) -> None:
        super().__init__()
        self.path, self.patience = path, patience
        self.best: float | None = None
        self.moments = RunningMeanStd(shape=())
        self.pair = (0, 0.0)
        self.draws = random.Random(5)

    def _on_training_start(self) -> None:
        self.began_at = self.num_timesteps
        self.rollouts: list[float] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.moments.update(np.array([self.draws.random()]))
        self.best = max(self.best or 0.0, float(self.moments.mean))
        self.pair = (self.pair[0] + 1, self.best)
        self.log = (*self.log, self.num_timesteps)
        self.patience *= 0.5
        self.rollouts.append(self.best)
        self.logger.record("mine/score", self.patience + sum(self.rollouts) + self.began_at)


def listening(*callbacks: BaseCallback) -> Any:
    """Return a model, with callbacks as SB3 prepares them: a list of one is that one."""
    model = build()
    root = callbacks[0] if len(callbacks) == 1 else CallbackList(list(callbacks))
    root.init_callback(model)
    listener.register(model, root)
    return model


@pytest.mark.parametrize("was_alone", [False, True])
def test_a_callback_is_found_in_another_list(*, was_alone: bool) -> None:
    """One that is new beside it changes nothing; nor does one that is gone."""
    trained, fresh = evaluation(), evaluation()
    trained.best_mean_reward, trained.n_calls = 7.0, 70
    alone, together = [[trained], [fresh]] if was_alone else [[fresh], [trained]]
    listening_alone, both = listening(*alone), listening(checkpoints(), *together)
    before, after = (listening_alone, both) if was_alone else (both, listening_alone)

    listener.put(after, listener.take(before))

    assert (fresh.best_mean_reward, fresh.n_calls) == (7.0, 70)
    new = "of CheckpointCallback: it was not there at the save, and starts fresh"
    assert listener.forgotten(after) == ([new] if was_alone else [])


def test_callbacks_of_one_class_keep_their_order() -> None:
    """However deep they stand, and in whatever order the classes do."""
    trained, fresh = ([evaluation(), evaluation(), checkpoints()] for _ in range(2))
    for calls, each in enumerate(trained, 1):
        each.n_calls = calls
    before = listening(EveryNTimesteps(10, trained[0]), trained[2], trained[1])
    after = listening(fresh[2], EveryNTimesteps(10, CallbackList([fresh[0], fresh[1]])))

    listener.put(after, listener.take(before))

    assert [each.n_calls for each in fresh] == [1, 2, 3]
    assert listener.forgotten(after) == []


def trained(path: Path, *, crash_at: int | None, has_own_learn: bool) -> Tracks:
    """Train once, with what `Tracks` remembers."""
    with Run(path, total=TOTAL, seed=7, save=every(steps=1)) as run:
        tracks = Tracks(path)
        if has_own_learn:
            listeners = [tracks, CrashAt(crash_at), EvertrainCallback(run)]
            build().learn(TOTAL, callback=listeners, log_interval=None)
        else:
            learn(run, build(), callback=[tracks, CrashAt(crash_at)], log_interval=None)
    return tracks


@pytest.mark.parametrize("has_own_learn", [False, True], ids=["learn", "model.learn"])
def test_what_a_callback_adds_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, has_own_learn: bool
) -> None:
    """Nothing first, a tuple, statistics, and what it sets up when the training starts."""
    whole = trained(tmp_path / "whole", crash_at=None, has_own_learn=has_own_learn)
    with pytest.raises(Crash):
        trained(tmp_path / "cut", crash_at=3 * ROLLOUT + 20, has_own_learn=has_own_learn)
    cut = trained(tmp_path / "cut", crash_at=None, has_own_learn=has_own_learn)

    for name in ("best", "pair", "log", "patience", "rollouts", "began_at"):
        assert getattr(cut, name) == getattr(whole, name), name
    assert cut.moments.count == whole.moments.count > 1
    assert cut.path == tmp_path / "cut"
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")
    assert capsys.readouterr().out.count("not kept: of Tracks: names of its class.") == 3


def test_what_the_program_sets_otherwise_counts() -> None:
    """Of a value that the training has changed as well; the rest comes back."""
    before, after = Tracks(patience=3.0), Tracks(patience=10.0)
    old, new = listening(before), listening(after)
    before.patience, before.best = 1.5, 7.0

    listener.put(new, listener.take(old))
    listener.begin(new)

    assert (after.patience, after.best) == (10.0, 7.0)


def test_the_time_of_the_clock_stays_that_of_the_attempt() -> None:
    """As everywhere; a number that is none comes back."""
    before, after = Tracks(), Tracks()
    old, new = listening(before), listening(after)
    before.began_at, before.best = time.time(), 7.0  # type: ignore[assignment]

    listener.put(new, listener.take(old))
    listener.begin(new)

    assert after.best == 7.0
    assert not hasattr(after, "began_at")


def test_what_does_not_come_back_is_named() -> None:
    """What is closed, learns, or is an object of a library; not what is there anyway."""

    class Holds(Tracks):
        def __init__(self) -> None:
            super().__init__()
            self.file = io.BytesIO()
            self.net = torch.nn.Linear(1, 1)
            self.env = World()
            self.evaluation = evaluation()
            self.buffer = ReplayBuffer(1, self.env.observation_space, self.env.action_space)

    told = listener.forgotten(listening(Holds()))

    assert told == [
        "of Holds: .file is a _io.BytesIO, which cannot be looked into",
        "of Holds: .net is a Linear",
        "of Holds: .env is a World",
        "of Holds: .buffer is a ReplayBuffer",
        "of Holds: names of its class",
    ]


class Speaks(Tracks):
    """It says itself what is to be kept."""

    def state_dict(self) -> Any:
        return {"best": self.best}

    def load_state_dict(self, state: Any) -> None:
        self.best = state["best"]


def test_a_callback_that_tells_its_state_is_asked() -> None:
    """And nothing else of it is kept, nor named."""
    before, after = Speaks(), Speaks()
    old, new = listening(before), listening(after)
    before.best, before.patience = 7.0, 1.0

    listener.put(new, listener.take(old))
    listener.begin(new)

    assert (after.best, after.patience) == (7.0, 3.0)
    assert listener.forgotten(new) == []
