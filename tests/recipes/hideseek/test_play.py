"""Games between finished policies: who meets whom, from the same starts."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ray")
pytest.importorskip("mpe2")

from evertrain.recipes.hideseek.config import GameConfig
from evertrain.recipes.hideseek.env import HIDER, SEEKER, HideAndSeek
from evertrain.recipes.hideseek.play import Array, Policy, compare, play, table

GAME = GameConfig(episode_steps=5)
SEEKERS_SEE, HIDER_SEES = 16, 14


def always(action: int, notes: list[Array] | None = None) -> Policy:
    """Return a policy that always does the same, and writes down what it has seen."""

    def act(seen: Array) -> Array:
        if notes is not None:
            notes.append(seen)
        return np.full(len(seen), action)

    return act


def pair(seeker: Policy, hider: Policy) -> dict[str, Policy]:
    """Return a policy for each role."""
    return {SEEKER: seeker, HIDER: hider}


def test_each_policy_is_asked_for_its_own_agents() -> None:
    """All seekers of all games in one batch, and all hiders in another."""
    seekers: list[Array] = []
    hiders: list[Array] = []

    found = play(pair(always(1, seekers), always(2, hiders)), GAME, games=3, seed=0)

    assert [each.shape for each in seekers] == [(9, SEEKERS_SEE)] * 5
    assert [each.shape for each in hiders] == [(3, HIDER_SEES)] * 5
    assert [each["steps"] for each in found] == [5.0] * 3


def test_moves_reach_their_agents() -> None:
    """Seekers that go left and a hider that goes up do so in every game."""
    speeds: list[Array] = []
    play(pair(always(1), always(4, speeds)), GAME, games=2, seed=0)
    x, y = speeds[-1][:, 0], speeds[-1][:, 1]

    assert (y > 0.5).all()
    assert (np.abs(x) < y).all()


def test_all_pairings_have_the_same_starts() -> None:
    """Also in the games behind the first ones, whoever plays."""
    starts: dict[int, list[Array]] = {}

    def noting(action: int) -> Policy:
        notes = starts.setdefault(action, [])
        return always(action, notes)

    for action in (0, 3):
        play(pair(noting(action), always(0)), GAME, games=45, seed=7)
    first = [notes[::5] for notes in starts.values()]

    assert len(first[0]) == 3, "20 games at once"
    np.testing.assert_array_equal(first[0], first[1])
    assert not np.array_equal(first[0][0], first[0][1])


def test_every_side_meets_every_side() -> None:
    """Four pairings; only the policies that are meant play in each."""
    asked: list[str] = []

    def named(name: str) -> Policy:
        def act(seen: Array) -> Array:
            asked.append(name)
            return np.zeros(len(seen))

        return act

    old, new = (pair(named(f"{age} seekers"), named(f"{age} hider")) for age in ("old", "new"))
    scores = compare(new, old, GAME, games=2, seed=0)

    assert [(each.seekers, each.hiders) for each in scores] == [
        ("untrained", "untrained"),
        ("trained", "untrained"),
        ("untrained", "trained"),
        ("trained", "trained"),
    ]
    assert asked[::10] == ["old seekers", "new seekers", "old seekers", "new seekers"]
    assert asked[1::10] == ["old hider", "old hider", "new hider", "new hider"]
    assert len(table(scores).splitlines()) == 5


def test_who_touches_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """All seekers are rewarded for each touch, and the hider pays for each."""
    original: Callable[..., Any] = HideAndSeek.reset

    def together(self: HideAndSeek, **options: Any) -> Any:
        found = original(self, **options)
        state = self.get_state()
        far = np.array([[0.8, 0.8], [-0.8, -0.8]])
        state["positions"] = np.array([[0.0, 0.0], [0.02, 0.0], *far, [0.9, 0], [-0.9, 0]])
        state["positions"][3] = [0.0, 0.02]  # the hider, between the first two seekers
        self.set_state({**state, "velocities": np.zeros_like(state["positions"])})
        return found

    monkeypatch.setattr(HideAndSeek, "reset", together)
    [game] = play(pair(always(0), always(0)), GameConfig(episode_steps=1), games=1, seed=0)

    assert game["caught"] == 1.0
    assert game["seeker"] == 20.0
    assert game["hider"] == -20.0
    assert game["all"] == 40.0
