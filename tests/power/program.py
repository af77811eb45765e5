"""A small training whose every number is known, so that a wrong resume shows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evertrain import Run, every, keep_last
from evertrain.testing import FakeClock

STILL: Final = np.arange(16.0)
RING: Final = (8, 16)
_MOST: Final = 12


def advance(x: NDArray[np.float64], rng: np.random.Generator, step: int) -> NDArray[np.float64]:
    """Return the state after a step, which depends on everything before it."""
    return 0.5 * x + rng.normal(size=3) + step


def _nothing(_: int) -> None:
    """Do nothing in the middle of a step."""


def train(
    path: Path, until: int, *, during: Callable[[int], object] = _nothing, **options: Any
) -> int:
    """Train up to the step `until`, saving each; return the step that it went on from."""
    defaults: dict[str, Any] = {"save": every(steps=1), "keep": keep_last(9), "best": "max:x"}
    options = defaults | {"on_stop": "return", "clock": FakeClock()} | options
    with Run(path, total=until, seed=3, **options) as run:
        rng, ring = np.random.default_rng(7), np.zeros(RING, np.uint8)
        run.attach(rng=rng, ring=ring, still=STILL.copy())
        run.state.x = np.zeros(3)
        began = 0 if run.resumed_from is None else run.resumed_from.step
        for step in run:
            run.wait()  # one save at a time: the order of operations is always the same
            run.state.x = advance(run.state.x, rng, step)
            ring[step % len(ring)] = step
            run.log(x=float(run.state.x.sum()))
            during(step)
    return began


def _undisturbed() -> list[NDArray[np.float64]]:
    rng, found = np.random.default_rng(7), [np.zeros(3)]
    for step in range(1, _MOST):
        found.append(advance(found[-1], rng, step))
    return found


X: Final = _undisturbed()  # by step
SUMS: Final = [float(each.sum()) for each in X]  # what is logged, by step


def ring_at(step: int) -> NDArray[np.uint8]:
    """Return the ring as it is after a step."""
    ring = np.zeros(RING, np.uint8)
    for each in range(1, step + 1):
        ring[each % len(ring)] = each
    return ring
