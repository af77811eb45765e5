"""Generators: seeded once, saved always, restored last."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from evertrain import Run, Store, every
from evertrain.checkpoint import plugin
from evertrain.checkpoint.plugin import Plugin, Tree
from support import OpenRun


def _draw() -> tuple[float, float]:
    return random.random(), float(np.random.random())  # noqa: NPY002


def _train(run: Run, until: int | None = None) -> list[tuple[float, float]]:
    drawn = []
    for step in run:
        drawn.append(_draw())
        if step == until:
            run.end_step()
            break
    return drawn


def test_a_resume_continues_the_stream(open_run: OpenRun) -> None:
    """Draws after a crash are those that would have come, not the first ones again."""
    whole = _train(open_run(seed=5, resume="never"))

    first = _train(open_run(seed=5, resume="never"), until=4)
    rest = _train(open_run(seed=5))

    assert first + rest == whole
    assert len(set(whole)) == len(whole)


def test_set_up_code_that_draws_does_not_matter(open_run: OpenRun) -> None:
    """The generators come back after everything else, so set-up may draw as it likes."""
    whole = _train(open_run(seed=5, resume="never"))

    _train(open_run(seed=5, resume="never"), until=4)
    run = open_run(seed=5)
    for _ in range(17):
        _draw()

    assert _train(run) == whole[4:]


def test_saving_draws_nothing(open_run: OpenRun) -> None:
    """When it is saved cannot matter to what is drawn."""
    often = _train(open_run(seed=5, resume="never", save=every(steps=1)))
    seldom = _train(open_run(seed=5, resume="never", save=every(steps=100)))

    assert often == seldom


def test_without_a_seed_the_generators_are_left_alone(open_run: OpenRun) -> None:
    """A program that seeds by itself keeps its seeds."""
    random.seed(99)
    expected = random.Random(99).random()
    open_run(seed=None)

    assert random.random() == expected


def test_a_phase_can_be_shielded(open_run: OpenRun) -> None:
    """An evaluation that draws random numbers does not move the training's."""
    run = open_run(seed=5, resume="never")
    next(run)
    with run.phase("eval", isolate_rng=True):
        _draw()
    shielded = _draw()

    run = open_run(seed=5, resume="never")
    next(run)

    assert _draw() == shielded


LATE = """
import sys
from evertrain import Run, every
with Run(sys.argv[1], total=4, seed=5, save=every(steps=1)) as run:
    run.state.drawn = []
    for step in run:
        if step == 3:
            import numpy as np
            run.state.drawn.append(np.random.random())
"""


@pytest.mark.slow
def test_numpy_is_seeded_whenever_it_is_imported(tmp_path: Path) -> None:
    """A program that comes to numpy within its loop, or never, repeats itself as any other."""
    for name in ("a", "b"):
        subprocess.run([sys.executable, "-c", LATE, name], cwd=tmp_path, check=True)

    ends = [Store(tmp_path / name).load().state for name in ("a", "b")]

    assert ends[0]["run.state"] == ends[1]["run.state"] != {"drawn": []}
    keys = [end["run.rng"]["numpy"]["state"]["key"] for end in ends]
    assert np.array_equal(*keys)


class Dice:
    """The global generator of a framework: the number of draws is its state."""

    name = "dice"
    drawn = 0
    seeds = 0

    def capture(self) -> Tree:
        """Return its state."""
        return self.drawn

    def restore(self, tree: Tree) -> None:
        """Set it."""
        self.drawn = tree

    def seed(self, seed: int) -> None:
        """Start over."""
        self.drawn = seed * 0
        self.seeds += 1


@pytest.fixture
def dice(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Dice]]:
    """A framework with a plugin, which nobody has imported yet."""
    found: list[Dice] = []

    def load() -> Plugin:
        sys.modules["dice"] = ModuleType("dice")
        found.append(Dice())
        return Plugin(rngs=(found[-1],))

    def forget() -> None:
        sys.modules.pop("dice", None)
        plugin._loaded.cache_clear()
        plugin._load.cache_clear()

    forget()
    monkeypatch.setattr(plugin, "_entry_points", lambda: {"dice": SimpleNamespace(load=load)})
    yield found
    forget()


def test_a_framework_that_is_imported_within_the_loop_goes_on(
    open_run: OpenRun, dice: list[Dice]
) -> None:
    """Its generator is put back, though the new process has not come to its import yet."""
    table: list[int] = []
    run = open_run(seed=5, resume="never")
    run.attach(table=table)
    for step in run:
        if step == 2:
            plugin._load("dice")  # its import
        if step > 2:
            dice[0].drawn += 1
        if step == 4:
            run.end_step()
            break

    del sys.modules["dice"]
    plugin._loaded.cache_clear()
    plugin._load.cache_clear()
    run = open_run(seed=5)
    run.attach(table=table)
    next(run)
    run.attach(table=table)  # attached anew within the loop: nothing is seeded for it

    assert len(dice) == 2, "the framework of the checkpoint was not imported"
    assert (dice[1].drawn, dice[1].seeds) == (2, 0)
