"""An iteration is games that were played: RLlib also returns when nothing was."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

pytest.importorskip("ray")
pytest.importorskip("mpe2")

from evertrain.integrations.rllib import EnvStepWatchdog, NoStepsError
from evertrain.recipes.hideseek.tally import TALLY
from evertrain.recipes.hideseek.train import _iterate
from evertrain.testing.clock import FakeClock

PLAYED = {
    "env_runners": {
        "num_env_steps_sampled": 50,
        TALLY: {"games": 2, "steps": 50, "all": 6, "caught": 1, "seeker": 4, "hider": -6},
    }
}
DEAD: dict[str, Any] = {"env_runners": {"num_env_steps_sampled": 0}}


class FakeAlgorithm:
    """RLlib, with these results."""

    def __init__(self, *results: dict[str, Any]) -> None:
        self.results = list(results)

    def train(self) -> dict[str, Any]:
        return self.results.pop(0)


class FakeRun:
    """Keeps what is counted and said."""

    def __init__(self) -> None:
        self.state = SimpleNamespace(episodes=10)
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def iterate(run: FakeRun, algorithm: FakeAlgorithm, max_empty: int = 3) -> dict[str, float]:
    """Let RLlib play once."""
    watchdog = EnvStepWatchdog(algorithm, max_empty=max_empty, clock=FakeClock())
    return _iterate(cast("Any", run), cast("Any", algorithm), watchdog)


def test_calls_without_games_are_no_iteration() -> None:
    """They are told, and RLlib is called again, until games were played."""
    run = FakeRun()
    row = iterate(run, FakeAlgorithm(DEAD, {}, PLAYED))

    assert len(run.said) == 2
    assert all("without a game" in line for line in run.said)
    assert (row["episodes"], row["episodes_completed"], row["env_steps"]) == (2, 12, 50)
    assert run.state.episodes == 12


def test_a_training_that_plays_nothing_ends() -> None:
    """After as many calls in a row as were allowed, with what to do."""
    run, algorithm = FakeRun(), FakeAlgorithm(*[DEAD] * 9)
    with pytest.raises(NoStepsError, match="3 iterations of RLlib"):
        iterate(run, algorithm)

    assert len(algorithm.results) == 6
    assert run.state.episodes == 10


def test_the_columns_of_a_listing_come_first() -> None:
    """`evertrain ls` shows the first three metrics: reward and episodes are among them."""
    assert list(iterate(FakeRun(), FakeAlgorithm(PLAYED)))[:2] == [
        "reward_mean",
        "episodes_completed",
    ]
