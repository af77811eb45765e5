"""`run.state`: rebound values return as what they were, by template."""

import dataclasses
import enum
from typing import Any, NamedTuple

import numpy as np
import pytest

from evertrain.core.errors import StateError
from support import OpenRun, walk


class Moments(NamedTuple):
    """What an optimizer of functional libraries keeps."""

    steps: int
    mu: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class TrainState:
    """A frozen tree, replaced each step."""

    step: int
    params: dict[str, Any]
    moments: Moments
    label: str = dataclasses.field(default="fresh", init=False)


class Phase(enum.Enum):
    """A member of an enumeration."""

    EXPLORE = 1
    EXPLOIT = 2


def _fresh() -> TrainState:
    params = {"w": np.zeros((2, 3), np.float32), "b": np.zeros(3, np.float32)}
    return TrainState(0, params, Moments(0, {"w": np.zeros((2, 3), np.float32)}))


def _advance(state: TrainState) -> TrainState:
    params = {name: value + 0.1 for name, value in state.params.items()}
    moments = Moments(state.moments.steps + 1, {"w": state.moments.mu["w"] - 0.5})
    return TrainState(state.step + 1, params, moments)


def test_pytrees_of_named_tuples_and_dataclasses_return(open_run: OpenRun) -> None:
    """The template's classes, dtypes and shapes come back, with the saved values."""
    run = open_run()
    run.state.train = _fresh()
    for step in run:
        run.state.train = _advance(run.state.train)
        if step == 3:
            run.end_step()
            break
    saved = run.state.train

    run = open_run()
    run.state.train = _fresh()
    run.restore()
    found = run.state.train

    assert isinstance(found, TrainState)
    assert isinstance(found.moments, Moments)
    assert (found.step, found.moments.steps, found.label) == (3, 3, "fresh")
    assert found.params["w"].dtype == np.float32
    np.testing.assert_array_equal(found.params["w"], saved.params["w"])
    np.testing.assert_array_equal(found.moments.mu["w"], saved.moments.mu["w"])


def test_members_of_enumerations_return(open_run: OpenRun) -> None:
    """An enum comes back as the member of the program's own class."""
    run = open_run()
    run.state.phase = Phase.EXPLOIT
    walk(run, until=1)

    run = open_run()
    run.state.phase = Phase.EXPLORE
    run.restore()

    assert run.state.phase is Phase.EXPLOIT


def test_lists_may_grow(open_run: OpenRun) -> None:
    """A history that was empty before the loop is not a mismatch after a resume."""
    run = open_run()
    run.state.history = []
    run.state.counts = {}
    for step in run:
        run.state.history = [*run.state.history, step]
        run.state.counts = {**run.state.counts, f"s{step}": step}
        if step == 3:
            run.end_step()
            break

    run = open_run()
    run.state.history, run.state.counts = [], {}
    run.restore()

    assert run.state.history == [1, 2, 3]
    assert run.state.counts == {"s1": 1, "s2": 2, "s3": 3}


def test_a_name_set_inside_the_loop_returns_without_a_template(open_run: OpenRun) -> None:
    """Plain values need no template."""
    run = open_run()
    for _ in run:
        run.state.note = {"a": [1, 2.5, None]}
        run.end_step()
        break

    run = open_run()
    run.restore()

    assert run.state.note == {"a": [1, 2.5, None]}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda s: {**s, "w": np.zeros((3, 2), np.float32)}, id="shape"),
        pytest.param(lambda s: {**s, "w": np.zeros((2, 3))}, id="dtype"),
        pytest.param(lambda s: {"w": s["w"]}, id="lost leaf"),
        pytest.param(lambda s: {**s, "new": np.zeros(1)}, id="new leaf"),
    ],
)
def test_a_pytree_that_does_not_fit_is_refused(open_run: OpenRun, change: Any) -> None:
    """Reshaped, lost and new leaves of parameters are named, not dropped."""
    params = {"w": np.zeros((2, 3), np.float32), "b": np.zeros(3, np.float32)}
    run = open_run()
    run.state.params = params
    walk(run, until=1)

    run = open_run()
    run.state.params = change(params)
    with pytest.raises(StateError, match=r"state\.params\."):
        run.restore()


def test_private_names_are_refused(open_run: OpenRun) -> None:
    """A name that would silently not be saved is refused."""
    with pytest.raises(StateError, match="underscore"):
        open_run().state._hidden = 1


def test_state_behaves_like_a_namespace(open_run: OpenRun) -> None:
    """Names can be listed, tested and deleted; an unknown one is an AttributeError."""
    state = open_run().state
    state.x, state.y = 1, 2
    del state.x

    assert list(state) == ["y"]
    assert "x" not in state
    with pytest.raises(AttributeError, match="no 'x'"):
        _ = state.x
    with pytest.raises(AttributeError, match="no 'x'"):
        del state.x


def test_what_cannot_be_stored_is_refused_before_the_first_step(open_run: OpenRun) -> None:
    """A function in the state shows at once, by its path."""
    run = open_run()
    run.state.schedule = {"fn": print}

    with pytest.raises(StateError, match="fn"):
        next(run)
