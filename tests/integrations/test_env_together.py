"""What environments of one process share is shared again by a resume, and what is not, is not."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from evertrain.integrations.envs.play import Player
from evertrain.integrations.sb3.keeping import settle
from evertrain.integrations.sb3.vector import capture, confirm, restore
from evertrain.testing.plugin_contract import loaded
from integrations import liars


class Counted(liars.Plain):
    """A bonus for what is rarely visited, counted over all environments in one array."""

    def __init__(self, visits: Any, table: list[int]) -> None:
        super().__init__()
        self.visits = visits
        self.table = table

    def hidden(self) -> float:
        self.visits[int(abs(self.place[1])) % 4] += 1
        return float(self.visits.argmin())


def counted() -> DummyVecEnv:
    """Return two of them, as a program builds them."""
    visits, table = np.zeros(4, dtype=np.int64), [0]
    make: Callable[[], Any] = lambda: Counted(visits, table)  # noqa: E731
    return DummyVecEnv([make] * 2)


def play(venv: Any) -> list[str]:
    """Return what both show, turn by turn."""
    return [mark for turn in range(20) for env in venv.envs for mark in Player(env, turn).play(1)]


def test_a_shared_array_stays_one() -> None:
    """What one of them counts, the other one sees; both go on as they would have."""
    old, new = counted(), counted()
    settle(old, "auto")
    old.reset()
    play(old)
    old.envs[1].unwrapped.table = [7]  # type: ignore[attr-defined]  # parted since

    assert restore(new, loaded(capture(old)))

    one, other = (env.unwrapped for env in new.envs)
    assert one.visits is other.visits  # type: ignore[attr-defined]
    assert (one.table, other.table) == ([0], [7])  # type: ignore[attr-defined]
    assert play(new) == play(old)
    assert confirm(new) == []


def test_what_lived_in_one_process_goes_on_in_workers_and_back() -> None:
    """How they are spread is the program's affair, as long as they share nothing."""
    one, workers = DummyVecEnv([liars.Plain] * 2), SubprocVecEnv([liars.Plain] * 2, "fork")
    back = DummyVecEnv([liars.Plain] * 2)
    with closing(workers):
        settle(one, "auto")
        one.reset()
        actions = np.array([1, 2])
        for _ in range(7):
            one.step(actions)

        assert restore(workers, loaded(capture(one)))
        assert restore(back, loaded(capture(workers)))

        assert confirm(workers) == []
        for _ in range(40):
            seen = [np.asarray(each.step(actions)[0]).tolist() for each in (one, workers, back)]
            assert seen == [seen[0]] * 3


def test_what_was_shared_cannot_go_on_in_workers() -> None:
    """Each would count for itself: it is told, and they are to be reset."""
    one = counted()
    settle(one, "auto")
    one.reset()
    workers = SubprocVecEnv([lambda: Counted(np.zeros(4, dtype=np.int64), [0])] * 2, "fork")
    with closing(workers):
        assert not restore(workers, loaded(capture(one)))

        assert confirm(workers)[0] == (
            "environment 1: .visits was shared with an environment of another process,"
            " and a fresh one has a numpy.ndarray"
        )
