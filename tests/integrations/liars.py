"""Environments whose state is not what it seems: each hides it in another place."""

import itertools
import os
import random
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

Observation = NDArray[np.float32]
COUNTS: list[int] = []  # of a module


class Plain(gymnasium.Env[Observation, int]):
    """A walk that ends now and then; all that it is stands in its attributes."""

    def __init__(self) -> None:
        self.observation_space = gymnasium.spaces.Box(-1e9, 1e9, (2,), np.float32)
        actions: Any = gymnasium.spaces.Discrete(3)
        self.action_space = actions
        self.place = np.zeros(2)
        self.length = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed, options=options)
        self.place = self.np_random.normal(size=2)
        self.length = int(self.np_random.integers(15, 30))
        return self.look(), {}

    def step(self, action: int) -> Any:
        self.place[0] += float(action) + self.hidden()
        self.place[1] += self.np_random.normal()
        self.length -= 1
        return self.look(), float(self.place[1]), self.length <= 0, False, {}

    def look(self) -> Observation:
        return self.place.astype(np.float32)

    def hidden(self) -> float:
        """Return what an episode depends on besides."""
        return 0.0


class Closure(Plain):
    """In the variables of a function."""

    def __init__(self) -> None:
        super().__init__()
        self.count = _counter()

    def hidden(self) -> float:
        return self.count()


class ClosureOfAnEpisode(Closure):
    """The same, but each reset starts it afresh: it can be played again."""

    def reset(self, **options: Any) -> Any:
        self.count = _counter()
        return super().reset(**options)


class Module(Plain):
    """In a variable of a module."""

    def hidden(self) -> float:
        COUNTS.append(1)
        return len(COUNTS) % 7


class OfTheClass(Plain):
    """In a variable of the class."""

    steps = 0

    def hidden(self) -> float:
        type(self).steps += 1
        return type(self).steps % 7


class Iterator(Plain):
    """In an object of C."""

    def __init__(self) -> None:
        super().__init__()
        self.counter = itertools.cycle([1.0, 2.0, 3.0])

    def hidden(self) -> float:
        return next(self.counter)


class Growing(Plain):
    """In objects that an episode creates."""

    def __init__(self) -> None:
        super().__init__()
        self.others: list[Other] = []

    def reset(self, **options: Any) -> Any:
        self.others = []
        return super().reset(**options)

    def hidden(self) -> float:
        self.others.append(Other())
        return float(len(self.others))


class Other:
    """An object."""


class Clock(Plain):
    """Nowhere: it looks at the time."""

    def hidden(self) -> float:
        return time.monotonic_ns() % 1000


class Forgetful(Plain):
    """With methods of its own that forget half of it."""

    def get_state(self) -> Any:
        return {"place": self.place.copy()}

    def set_state(self, state: Any) -> None:
        self.place = state["place"].copy()


class Sound(Forgetful):
    """With methods of its own that forget nothing."""

    def get_state(self) -> Any:
        return {"place": self.place.copy(), "length": self.length}

    def set_state(self, state: Any) -> None:
        super().set_state(state)
        self.length = state["length"]


class Hanging(Plain):
    """It waits for something that does not come."""

    def hidden(self) -> float:
        time.sleep(1000)
        return 0.0


class Deadly(Plain):
    """It ends its process."""

    def hidden(self) -> float:
        os._exit(3)


class Drawing(ClosureOfAnEpisode):
    """Its steps draw from the global generators."""

    def hidden(self) -> float:
        return super().hidden() + np.random.normal() + random.random()  # noqa: NPY002


class Remote(Plain):
    """A simulator beside it, at the other end of a pipe, does the thinking."""

    def __init__(self, to: int, back: int) -> None:
        super().__init__()
        self.ends = (to, back)

    def hidden(self) -> float:
        os.write(self.ends[0], b"x")
        return float(os.read(self.ends[1], 1)[0])


class Writing(Plain):
    """It reads a file and writes another one as it goes."""

    def __init__(self, source: int, sink: int) -> None:
        super().__init__()
        self.files = (source, sink)

    def hidden(self) -> float:
        os.write(self.files[1], b"step\n")
        return float(len(os.read(self.files[0], 1)))


def _counter() -> Callable[[], float]:
    count = 0.0

    def next_one() -> float:
        nonlocal count
        count += 1.0
        return count

    return next_one
