"""What attributes do not show is never left out silently, whenever and wherever it comes."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from stable_baselines3.common.vec_env import DummyVecEnv

from evertrain import Run, every
from evertrain.core.errors import StateError
from evertrain.integrations.sb3.keeping import keeping_of, settle
from evertrain.integrations.sb3.vector import capture, confirm, restore
from integrations import liars


class Wind(liars.Plain):
    """One class, two settings: with gusts, which come from an iterator, and without."""

    gusts: Any = None

    def hidden(self) -> float:
        return float(next(self.gusts)) if self.gusts else 0.0


def gusty() -> Wind:
    """Return one that attributes do not show."""
    env = Wind()
    env.gusts = itertools.cycle([1.0, 2.0, 3.0])
    return env


def test_each_of_a_class_is_looked_at() -> None:
    """The second one may hold what the first one does not, and then is tried by itself."""
    venv = DummyVecEnv([Wind, gusty])

    settle(venv, "auto")

    found = keeping_of(venv)
    assert found is not None
    assert found.has_barriers
    assert "no attributes: .gusts is a itertools.cycle, which cannot be" in found.about


def test_what_comes_later_is_told_by_the_resume() -> None:
    """Nobody knows where it stood: the environments are reset, and it is said why."""
    venv, other = DummyVecEnv([Wind] * 2), DummyVecEnv([Wind] * 2)
    settle(venv, "auto")
    venv.reset()
    assert capture(venv)["is_complete"]
    venv.envs[1].unwrapped.gusts = itertools.cycle([1.0])  # type: ignore[attr-defined]

    tree = capture(venv)

    assert not tree["is_complete"]
    assert not restore(other, tree)
    assert confirm(other)[0] == (
        "environment 1: .gusts is a itertools.cycle, which cannot be looked into"
    )


def test_a_loop_of_one_s_own_refuses_to_save_it(tmp_path: Path) -> None:
    """There nobody could reset it."""
    with (
        pytest.raises(StateError, match=r"when it was tried: \.gusts is a itertools\.cycle, which"),
        Run(tmp_path, total=3, save=every(steps=1)) as run,
    ):
        env = Wind()
        run.attach(env=env)
        for _ in run:
            env.reset(seed=1)
            env.gusts = itertools.cycle([1.0])
