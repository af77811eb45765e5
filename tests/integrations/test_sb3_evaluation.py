"""Evaluations after a resume: also where an environment carries something between episodes."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3 import A2C
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.monitor import Monitor

from evertrain import Run, every
from evertrain.integrations.sb3 import EvertrainCallback, learn
from integrations.worlds import Crash, CrashAt, digest

TOTAL, CRASH = 96, 70


class Levels(gymnasium.Env[Any, Any]):
    """Each episode is of the next level."""

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(2)
        self.level = self.length = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed, options=options)
        self.level += 1
        self.length = 0
        return np.zeros(2, np.float32), {}

    def step(self, _: Any) -> Any:
        self.length += 1
        reward = float(self.level) + self.besides()
        return np.zeros(2, np.float32), reward, self.length >= 10, False, {}

    def besides(self) -> float:
        """Return what a level is about besides."""
        return 0.0


class Hidden(Levels):
    """The same, but the next level stands where nobody looks."""

    def __init__(self) -> None:
        super().__init__()
        count = [0.0]

        def besides() -> float:
            count[0] += 1.0
            return count[0]

        self.besides = besides  # type: ignore[method-assign]


def evaluated(
    path: Path, make: Any = Levels, *, crash_at: int | None = None, has_own_learn: bool = False
) -> Any:
    """Train once, and return what the evaluations of the run showed."""
    with Run(path, total=TOTAL, seed=0, save=every(steps=16)) as run:
        model = A2C("MlpPolicy", Monitor(Levels()), n_steps=8, seed=0, device="cpu")
        evaluations = EvalCallback(
            Monitor(make()), n_eval_episodes=2, eval_freq=16, verbose=0, log_path=f"{path} log"
        )
        listeners = [evaluations, CrashAt(crash_at)]
        if has_own_learn:
            listeners.append(EvertrainCallback(run))
            model.learn(TOTAL, callback=listeners, log_interval=None)  # type: ignore[arg-type]
        else:
            learn(run, model, callback=listeners, log_interval=None)
    return evaluations.evaluations_results


@pytest.mark.parametrize("has_own_learn", [False, True], ids=["learn", "model.learn"])
def test_what_goes_from_episode_to_episode_goes_on(tmp_path: Path, *, has_own_learn: bool) -> None:
    """The resumed run evaluates on the levels that come next."""
    whole = evaluated(tmp_path / "whole", has_own_learn=has_own_learn)
    with pytest.raises(Crash):
        evaluated(tmp_path / "cut", crash_at=CRASH, has_own_learn=has_own_learn)
    cut = evaluated(tmp_path / "cut", has_own_learn=has_own_learn)

    assert cut == whole
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")


def test_what_cannot_be_kept_is_said_aloud(tmp_path: Path) -> None:
    """Once in each attempt, with the reason."""
    with (
        pytest.warns(RuntimeWarning, match="evaluations after a resume are not.*no replay") as told,
        pytest.raises(Crash),
    ):
        evaluated(tmp_path, Hidden, crash_at=CRASH)
    assert len(told) == 1


def test_an_environment_that_has_changed_is_told(
    tmp_path: Path,
) -> None:
    """It goes on, and nobody takes its evaluations for those of the run."""
    with pytest.raises(Crash):
        evaluated(tmp_path, crash_at=CRASH)

    class Harder(Levels):
        def besides(self) -> float:
            return -1.0

    Harder.__name__, Harder.__qualname__ = Levels.__name__, Levels.__qualname__
    with pytest.warns(RuntimeWarning, match="evaluations after.*goes on differently"):
        evaluated(tmp_path, Harder)
