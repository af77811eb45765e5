"""`init_from`: weights of another run for a fresh start, and nothing else of it."""

from pathlib import Path

import numpy as np
import pytest

from evertrain import Run, every
from evertrain.core.errors import NotFoundError, StateError
from evertrain.core.rundir import RunDir
from support import OpenRun, walk


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """A finished run whose weights are 1, 2, 3 after its three steps; the best is step 2."""
    path = tmp_path / "teacher"
    with Run(path, total=3, save=every(steps=1), best="max:x", seed=5) as run:
        weights, optimizer = np.zeros(2), {"steps": 0}
        run.attach(weights=weights, optimizer=optimizer)
        run.state.epsilon = 0.5
        for step in run:
            weights += 1
            optimizer["steps"] = step
            run.log(x=[0, 1, 9, 2][step])
    return path


@pytest.mark.parametrize(("which", "value"), [("", 3), ("@latest", 3), ("@best", 2), ("@1", 1)])
def test_weights_come_from_any_checkpoint(
    open_run: OpenRun, teacher: Path, which: str, value: int
) -> None:
    """What is attached under the same name starts from there; step, state and metrics are new."""
    run = open_run(init_from=f"{teacher}{which}")
    weights = np.zeros(2)
    run.attach(weights=weights, head=[7])
    run.state.epsilon = 1.0
    run.restore()

    assert weights.tolist() == [value, value]
    assert (run.step, run.state.epsilon, run.metrics) == (0, 1.0, [])


def test_weights_come_from_a_path(open_run: OpenRun, teacher: Path) -> None:
    """A checkpoint's directory serves as well, wherever it lies."""
    run = open_run(init_from=RunDir(teacher).checkpoints / "000000002")
    weights = np.zeros(2)
    run.attach(weights=weights)
    run.restore()

    assert weights.tolist() == [2, 2]


def test_a_resume_does_not_start_from_there_again(open_run: OpenRun, teacher: Path) -> None:
    """Once there is a checkpoint of its own, a run goes on from that."""
    run = open_run(init_from=teacher)
    weights = np.zeros(2)
    run.attach(weights=weights)
    for step in run:
        weights += 10
        if step == 2:
            run.end_step()
            break

    run = open_run(init_from=teacher)
    weights = np.zeros(2)
    run.attach(weights=weights)
    run.restore()

    assert weights.tolist() == [23, 23]
    assert walk(run)[0] == 3


def test_a_source_that_is_not_there_is_told(open_run: OpenRun, tmp_path: Path) -> None:
    """A run that does not exist is an error before the first step."""
    run = open_run(init_from=tmp_path / "nobody")
    run.attach(weights=np.zeros(2))

    with pytest.raises(NotFoundError, match="nobody"):
        run.restore()


def test_weights_that_do_not_fit_are_refused(open_run: OpenRun, teacher: Path) -> None:
    """Other shapes, or no common name at all, are told; nothing starts half from there."""
    run = open_run(init_from=teacher)
    run.attach(weights=np.zeros(5))
    with pytest.raises(StateError, match=r"weights: float64 \(2,\) there, float64 \(5,\) here"):
        run.restore()

    run = open_run(init_from=teacher)
    run.attach(network=np.zeros(2))
    with pytest.raises(StateError, match="none of them is attached here"):
        run.restore()


def test_differences_that_are_named_start_fresh(open_run: OpenRun, teacher: Path) -> None:
    """`partial` lets a new head differ, at the top or inside a dict."""
    run = open_run(init_from=teacher, partial=["weights"])
    weights, optimizer = np.full(5, 7.0), {"steps": 0}
    run.attach(weights=weights, optimizer=optimizer)
    run.restore()

    assert weights.tolist() == [7] * 5
    assert optimizer == {"steps": 3}


def test_a_leaf_inside_a_dict_may_differ(open_run: OpenRun) -> None:
    """The rest of the dict still comes back."""
    run = open_run()
    run.attach(nets={"body": np.ones(2), "head": np.ones(2)})
    walk(run, until=1)

    run = open_run(partial=["head"])
    nets = {"body": np.zeros(2), "head": np.zeros(5)}
    run.attach(nets=nets)
    run.restore()

    assert nets["body"].tolist() == [1, 1]
    assert nets["head"].tolist() == [0] * 5
