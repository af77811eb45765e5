"""Faults on purpose: at the rates that were asked for, and the same ones again."""

from collections import Counter
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv

from evertrain.integrations.sb3 import vector
from evertrain.recipes.atc.faults import WARM_UP, FrailEnv

RATES = {"segfault": 0.01, "hang": 0.02, "error": 0.03}


class Still(gymnasium.Env[Any, Any]):
    """Nothing happens in it."""

    observation_space = gymnasium.spaces.Discrete(1)
    action_space = gymnasium.spaces.Discrete(1)

    def reset(self, **_: Any) -> Any:
        """Begin."""
        return 0, {}

    def step(self, _: Any) -> Any:
        """Go on."""
        return 0, 0.0, False, False, {}

    def get_state(self) -> int:
        """Return what there is to return."""
        return 0

    def set_state(self, state: int) -> None:
        """Need nothing."""


def misfortunes(*luck: int, steps: int, salt: int | None = None) -> list[tuple[int, str]]:
    """Return which faults happened at which steps."""
    found: list[tuple[int, str]] = []

    def note(name: str) -> None:
        found.append((frail.taken, name))

    faults = {name: partial(note, name) for name in RATES}
    frail = FrailEnv(Still(), RATES, luck, faults)
    frail.reset(seed=salt)
    for _ in range(steps):
        frail.step(0)
    return found


def test_faults_come_at_their_rates() -> None:
    """Counts of 5,000 steps lie within four standard deviations of what the rates say."""
    found = misfortunes(1, 2, 3, steps=5000 + WARM_UP)
    counts = Counter(name for _, name in found)

    for name, rate in RATES.items():
        expected = 5000 * rate
        assert abs(counts[name] - expected) < 4 * np.sqrt(expected)
    assert min(taken for taken, _ in found) > WARM_UP


def test_luck_follows_from_its_numbers_alone() -> None:
    """The same ones again, others with another attempt, or a seed that a new environment gets."""
    again = misfortunes(1, 2, 3, steps=1000)

    assert misfortunes(1, 2, 3, steps=1000) == again
    assert misfortunes(1, 2, 4, steps=1000) != again
    assert misfortunes(1, 2, 3, steps=1000, salt=9) != again


def test_a_checkpoint_has_the_moment_and_not_the_luck() -> None:
    """A restored simulator goes on counting; how often it fails, and when, is the new attempt's.

    Otherwise each attempt would die where the last one did, at the rate of another rung.
    """
    unlucky: dict[str, float] = {"error": 1.0}
    old = DummyVecEnv([lambda: FrailEnv(Still(), {}, (1,))])
    old.seed(4)
    old.reset()
    for _ in range(WARM_UP):
        old.step(np.zeros(1))
    new = DummyVecEnv([lambda: FrailEnv(Still(), unlucky, (2,))])
    new.reset()

    assert vector.restore(new, vector.capture(old))

    assert (new.get_attr("salt"), new.get_attr("taken")) == ([4], [WARM_UP])
    with pytest.raises(ArithmeticError, match="planted"):
        new.step(np.zeros(1))


def test_an_error_is_one() -> None:
    """It says that it was planted."""
    frail = FrailEnv(Still(), {"error": 1.0}, (1,))
    frail.taken = WARM_UP

    with pytest.raises(ArithmeticError, match="planted"):
        frail.step(0)
