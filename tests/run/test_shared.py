"""Names that share one object before the loop, and memory that cannot be written to."""

import random
from collections import deque
from typing import Any

import numpy as np
import pytest
import torch

from evertrain.core.errors import StateError
from support import OpenRun, walk


def test_names_of_the_state_that_share_a_tensor_come_back_apart(open_run: OpenRun) -> None:
    """Each has what it was saved with, not all of them the last one's."""

    def begin() -> Any:
        run, zero = open_run(), torch.zeros(2)
        run.state.w = run.state.best = zero
        run.state.rows = [zero] * 3
        return run

    run = begin()
    walk(run, until=1)
    run.state.w = run.state.w + 1
    run.state.rows = [row + index for index, row in enumerate(run.state.rows)]
    walk(run, until=2)

    run = begin()
    run.restore()

    assert (run.state.w.tolist(), run.state.best.tolist()) == ([1, 1], [0, 0])
    assert [row.tolist() for row in run.state.rows] == [[0, 0], [1, 1], [2, 2]]


@pytest.mark.parametrize("make", [lambda: np.zeros(2), lambda: torch.zeros(2)])
def test_attached_members_that_share_an_array_come_back_apart(open_run: OpenRun, make: Any) -> None:
    """The first is filled where it is; a second name of it gets a copy of its own."""

    def begin() -> Any:
        run, one = open_run(), make()
        things = {"table": {"w": one, "best": one, "deep": {"w": one}}, "rows": [one] * 3}
        run.attach(**things)
        return run, things, one

    run, things, _ = begin()
    walk(run, until=1)
    things["table"]["best"] = things["table"]["best"] + 1
    things["table"]["deep"]["w"] = things["table"]["w"] + 2
    things["rows"][1] = things["rows"][1] + 3
    walk(run, until=2)

    run, again, one = begin()
    run.restore()

    assert again["table"]["w"] is one
    assert repr(again) == repr(things)


def test_attached_members_that_share_a_list_come_back_apart(open_run: OpenRun) -> None:
    """Containers as well."""

    def begin() -> Any:
        run, rows = open_run(), list[list[int]]([[]] * 3)
        run.attach(rows=rows)
        return run, rows

    run, rows = begin()
    walk(run, until=1)
    rows[1] = [1]
    walk(run, until=2)

    run, again = begin()
    run.restore()

    assert again == rows == [[], [1], []]


def test_a_tensor_of_the_state_needs_a_gradient_as_it_did(open_run: OpenRun) -> None:
    """It comes back as a tensor or parameter, with `requires_grad` as it was saved."""
    run = open_run()
    run.state.a, run.state.b = torch.zeros(2), torch.zeros(2, requires_grad=True)
    walk(run, until=1)
    run.state.a = torch.nn.Parameter(torch.ones(2))
    run.state.b = torch.ones(2)
    walk(run, until=2)

    run = open_run()
    run.state.a, run.state.b = torch.zeros(2), torch.zeros(2, requires_grad=True)
    run.restore()

    assert (type(run.state.a), run.state.a.requires_grad) == (torch.nn.Parameter, True)
    assert (type(run.state.b), run.state.b.requires_grad) == (torch.Tensor, False)


def _read_only() -> Any:
    array = np.zeros(2)
    array.flags.writeable = False
    return array


def _of_inference() -> Any:
    with torch.inference_mode():
        return torch.zeros(2)


FIXED: list[Any] = [
    pytest.param(_read_only, id="read-only"),
    pytest.param(lambda: np.broadcast_to(np.zeros(1), (2,)), id="broadcast"),
    pytest.param(lambda: torch.zeros(1).expand(2), id="expanded"),
    pytest.param(_of_inference, id="inference mode"),
]


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"w": x}, lambda x: [{"w": x}]])
@pytest.mark.parametrize("make", FIXED)
def test_what_cannot_be_written_to_is_refused_at_attach(
    open_run: OpenRun, make: Any, wrap: Any
) -> None:
    """A resume would fail to fill it, hours later."""
    with pytest.raises(StateError, match=r"(?s)cannot be.*thing") as caught:
        open_run().attach(thing=wrap(make()))

    assert ".copy()" in caught.value.fix


@pytest.mark.parametrize("make", FIXED)
def test_the_state_is_replaced_and_may_be_of_such_memory(open_run: OpenRun, make: Any) -> None:
    """Nothing of it is filled in place."""
    run = open_run()
    run.state.w = make()
    walk(run, until=1)
    run.state.w = run.state.w + 1
    walk(run, until=2)

    run = open_run()
    run.state.w = make()
    run.restore()

    assert run.state.w.tolist() == [1, 1]


def test_what_contains_itself_is_refused_by_path(open_run: OpenRun) -> None:
    """At attach, in the state, and at the save of the step that closes the circle."""
    inner: Any = {"x": []}
    inner["x"].append(inner)
    with pytest.raises(StateError, match=r"(?s)thing\.x\[0\].*contains itself"):
        open_run().attach(thing=inner)

    run, late = open_run(), {}  # type: Any, dict[str, Any]
    run.attach(late=late)
    run.state.late = {}
    walk(run, until=1)
    late["x"] = late
    with pytest.raises(StateError, match=r"(?s)late\.x.*contains itself"):
        walk(run, until=2)
    late.clear()
    run.state.late["y"] = deque([run.state.late])
    with pytest.raises(StateError, match=r"(?s)run\.state\.late\.y\[0\].*contains itself"):
        walk(run, until=3)


def test_the_machines_own_generator_has_no_state(open_run: OpenRun) -> None:
    """It is refused as what cannot be saved."""
    with pytest.raises(StateError, match="SystemRandom"):
        open_run().attach(thing=random.SystemRandom())


def test_a_dict_may_answer_any_name(open_run: OpenRun) -> None:
    """Keys as attributes do not make it an object with a state of its own."""

    class Keys(dict[str, Any]):
        def __getattr__(self, name: str) -> Any:
            return self[name]

    run, keys = open_run(), Keys(a=1, inner=Keys(b=2))
    run.attach(keys=keys)
    walk(run, until=1)
    keys["inner"]["b"] = 3
    walk(run, until=2)

    run, again = open_run(), Keys(a=0, inner=Keys(b=0))
    run.attach(keys=again)
    run.restore()

    assert (again, type(again.inner)) == (keys, Keys)
