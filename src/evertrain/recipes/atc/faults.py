"""A simulator that crashes, hangs and raises at given rates.

What goes wrong depends on nothing but the seed, the environment, the attempt and
how many steps it took. Where crashed simulators are replaced alone, the attempt
does not count, so the same training meets the same crashes however often it is
killed. Where a crash ends the attempt, it counts: otherwise each attempt would
die at the same step.

Layer: recipes. Imports nothing from evertrain.
"""

import ctypes
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import gymnasium
import numpy as np

Luck = tuple[int, ...]
WARM_UP: Final = 200


class FrailEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Before a step, and instead of it, sometimes a disaster.

    None comes within the first `WARM_UP` steps behind a reset with a seed, that is, of a new
    simulator: there evertrain tries out, in copies, whether its state can be put back.

    Args:
        env: What goes wrong.
        rates: Probability of each fault in a step, by its name in `faults`.
        luck: Numbers that the faults follow from, 0 or more each.
        faults: What happens; tests pass some that nobody dies of.

    Attributes:
        salt: Seed of the last reset that had one.
        taken: Steps since then.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        rates: Mapping[str, float],
        luck: Luck,
        faults: Mapping[str, Callable[[], None]] | None = None,
    ) -> None:
        """Let nothing go wrong yet."""
        super().__init__(env)
        # A function, so that no checkpoint has it: rates and luck are this attempt's own.
        self._fate = partial(fate, rates, luck)
        self._faults = FAULTS if faults is None else faults
        self.salt = 0
        self.taken = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Reset; a seed brings luck of its own, so a replaced environment has another one."""
        if seed is not None:
            self.salt, self.taken = seed, 0
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> Any:
        """Take a step, if all goes well."""
        self.taken += 1
        fault = self._fate((self.salt, self.taken))
        if fault is not None and self.taken > WARM_UP:
            self._faults[fault]()
        return super().step(action)


def fate(rates: Mapping[str, float], luck: Luck, moment: Luck) -> str | None:
    """Return which fault comes at a moment, or None. Pure."""
    drawn = float(np.random.default_rng((*luck, *moment)).random())
    for name, rate in rates.items():
        if drawn < rate:
            return name
        drawn -= rate
    return None


def _segfault() -> None:
    ctypes.string_at(0)


def _hang() -> None:
    threading.Event().wait()


def _raise() -> None:
    raise ArithmeticError("the simulator diverged (planted by the faults of the configuration)")


FAULTS: Final[Mapping[str, Callable[[], None]]] = {
    "segfault": _segfault,
    "hang": _hang,
    "error": _raise,
}
