"""The suite for what a program attaches catches what it is there to catch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evertrain.testing import ResumeContract


class Momentum:
    """Something that learns, as its users would write it."""

    def __init__(self) -> None:
        self.weights, self.speed, self.rng = np.zeros(3), np.zeros(3), np.random.default_rng(1)

    def learn(self) -> None:
        self.speed = 0.9 * self.speed + self.rng.normal(size=3) + np.random.normal()  # noqa: NPY002
        self.weights = self.weights + self.speed

    def state_dict(self) -> dict[str, Any]:
        return {"weights": self.weights, "speed": self.speed, "rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.weights, self.speed = state["weights"], state["speed"]
        self.rng.bit_generator.state = state["rng"]


class Forgetful(Momentum):
    """One that forgets its speed."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.speed = np.zeros(3)


class Nervous(Momentum):
    """One that draws a random number when it is asked for its state."""

    def state_dict(self) -> dict[str, Any]:
        np.random.normal()  # noqa: NPY002
        return super().state_dict()


class Silent(Momentum):
    """One that keeps everything to itself."""

    def state_dict(self) -> dict[str, Any]:
        return {"weights": np.zeros(3), "speed": np.zeros(3), "rng": {}}


class Learning(ResumeContract):
    """The suite, for things that learn."""

    def work(self, thing: Momentum) -> None:
        thing.learn()


class TestMomentum(Learning):
    """A good adapter passes."""

    @pytest.fixture
    def make(self) -> Callable[[], Any]:
        return Momentum


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (Forgetful, "test_it_resumes_exactly"),
        (Nervous, "test_saving_has_no_side_effect"),
        (Silent, "test_its_state_changes"),
    ],
)
def test_resume_contract_bites(make: Callable[[], Any], name: str, tmp_path: Path) -> None:
    """Each way to lose state fails the test that is named after it."""
    with pytest.raises(AssertionError):
        getattr(Learning(), name)(make, tmp_path)
