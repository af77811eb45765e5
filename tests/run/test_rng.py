"""Generators: seeded once, saved always, restored last."""

import random

import numpy as np

from evertrain import Run, every
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
