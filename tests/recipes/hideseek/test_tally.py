"""What an iteration's row of metrics says, and when there is none."""

import math

import pytest

pytest.importorskip("ray")

from evertrain.recipes.hideseek.tally import TALLY, Tally, games_of, of_game, row_of


class FakeAgent:
    """One agent's part of a game."""

    def __init__(self, value: float) -> None:
        self.value = value

    def get_return(self) -> float:
        return self.value


class FakeGame:
    """A game of 25 steps."""

    def __init__(self, **returns: float) -> None:
        self.agent_episodes = {name: FakeAgent(value) for name, value in returns.items()}

    def __len__(self) -> int:
        return 25


class FakeLogger(dict[tuple[str, str], float]):
    """Sums, as RLlib's logger keeps them until they are fetched."""

    def log_value(self, key: tuple[str, str], value: float, **options: object) -> None:
        assert options == {"reduce": "sum", "clear_on_reduce": True}
        self[key] = self.get(key, 0.0) + value


GAMES = (
    FakeGame(adversary_0=20.0, adversary_1=20.0, adversary_2=20.0, agent_0=-22.0),
    FakeGame(adversary_0=0.0, adversary_1=0.0, adversary_2=0.0, agent_0=-3.0),
)


def result_of(*games: FakeGame) -> dict[str, object]:
    """Return what RLlib returns of an iteration with these games."""
    logger = FakeLogger()
    for game in games:
        Tally().on_episode_end(episode=game, metrics_logger=logger, env_index=0)
    sums = {name: value for (_, name), value in logger.items()}
    learned = {"mean_kl_loss": 0.01, "entropy": 1.5, "curr_kl_coeff": 0.2, "vf_loss": 3.0}
    return {
        "env_runners": {TALLY: sums},
        "learners": {"seeker_policy": learned, "hider_policy": {"entropy": 1.25}},
    }


def test_means_over_the_games_of_the_iteration() -> None:
    """A seeker's reward counts once, though three share it; the mean reward is of all agents."""
    result = result_of(*GAMES)
    row = row_of(result)

    assert games_of(result) == 2
    assert row["seeker_reward"] == 10.0
    assert row["hider_reward"] == -12.5
    assert row["reward_mean"] == (60 - 22 - 3) / 2
    assert row["episode_len_mean"] == 25.0
    assert row["caught_share"] == 0.5


def test_both_updates_are_told_apart() -> None:
    """Each policy's numbers under its name; what was not measured is left out."""
    row = row_of(result_of(*GAMES))

    assert (row["seeker_kl"], row["seeker_entropy"], row["seeker_kl_coeff"]) == (0.01, 1.5, 0.2)
    assert row["hider_entropy"] == 1.25
    assert "hider_kl" not in row


@pytest.mark.parametrize(
    "result",
    [{}, {"env_runners": {}}, {"env_runners": {TALLY: {"games": math.nan}}}, result_of()],
    ids=["nothing", "no games", "not a number", "no sums"],
)
def test_an_iteration_without_games_is_none(result: dict[str, object]) -> None:
    """RLlib returns such results when its env runners are dead."""
    assert games_of(result) == 0


def test_a_touch_is_what_a_seeker_gains_by() -> None:
    """Leaving the field costs the hider something, too, but is no touch."""
    assert of_game({"adversary_0": 0.0, "agent_0": -9.0}, 5)["caught"] == 0.0
    assert of_game({"adversary_0": 10.0, "agent_0": -10.0}, 5)["caught"] == 1.0
