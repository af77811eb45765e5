"""What may change its structure inside the loop, and what a resume could not take back."""

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from evertrain.core.errors import StateError
from support import OpenRun, walk

Things = dict[str, Any]


def _fresh() -> Things:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    return {"model": model, "optimizer": optimizer, "scheduler": scheduler}


def _attach(run: Any, things: Things, *, inside: bool) -> None:
    run.attach(**({"all": things} if inside else things))


def _resize(things: Things) -> None:
    things["model"][0].weight = torch.nn.Parameter(torch.ones(3, 2))


def _grow(things: Things) -> None:
    things["optimizer"].add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})


INSIDE = pytest.mark.parametrize("inside", [False, True], ids=["attached", "inside"])


@INSIDE
@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda x: x["model"].append(torch.nn.Linear(1, 1)), r"model\.2\.\w+: not in the program"),
        (_resize, r"model\.0\.weight: shape \(3, 2\) there, \(2, 2\) here"),
        (lambda x: x["model"].double(), r"model\.0\.bias: torch\.float64 there"),
        (_grow, r"optimizer\.param_groups: 2 groups there, 1 here"),
    ],
)
def test_a_model_that_changes_its_structure_is_refused(
    open_run: OpenRun, change: Callable[[Things], Any], path: str, *, inside: bool
) -> None:
    """At the step where it does, not at the resume days later."""
    run, things = open_run(), _fresh()
    _attach(run, things, inside=inside)
    walk(run, until=1)
    change(things)

    with pytest.raises(StateError, match=path):
        walk(run, until=2)
    assert [info.step for info in run.store.list()] == [1]


@INSIDE
def test_what_a_training_changes_is_no_structure(open_run: OpenRun, *, inside: bool) -> None:
    """Moments appear at the first step, running statistics count, rates fall."""
    run, things = open_run(), _fresh()
    _attach(run, things, inside=inside)
    for _ in run:
        things["optimizer"].zero_grad()
        things["model"](torch.ones(4, 2)).pow(2).sum().backward()
        things["optimizer"].step()
        things["scheduler"].step()
        things["model"].requires_grad_(requires_grad=True).train()

    run, again = open_run(), _fresh()
    _attach(run, again, inside=inside)
    run.restore()

    assert repr(again["model"].state_dict()) == repr(things["model"].state_dict())
    assert again["optimizer"].param_groups[0]["lr"] == things["optimizer"].param_groups[0]["lr"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda: np.zeros(2), lambda: np.zeros(3)),
        (lambda: torch.nn.Linear(2, 2), lambda: torch.nn.Linear(3, 3)),
        (lambda: [1], lambda: {"a": 1}),
    ],
)
def test_what_is_attached_anew_is_judged_as_the_first(
    open_run: OpenRun, first: Any, second: Any
) -> None:
    """A program started again attaches the first one."""
    run = open_run()
    run.attach(thing=first())
    walk(run, until=1)
    run.attach(thing=second())

    with pytest.raises(StateError, match="thing"):
        walk(run, until=2)


def test_what_a_stage_applies_is_applied_again(open_run: OpenRun) -> None:
    """What it attaches is what a program started again in that stage shows."""
    run = open_run()
    run.attach(thing=np.zeros(2))
    walk(run, until=1)
    with run._capture.applying():
        run.attach(thing=np.ones(3))
    walk(run, until=2)
    with run._capture.applying():
        pass  # the next stage leaves it alone, and a program started there shows the first one

    with pytest.raises(StateError, match=r"thing: float64 \(3,\) there, float64 \(2,\) here"):
        walk(run, until=3)
    assert [info.step for info in run.store.list()] == [1, 2]


def test_a_group_that_a_stage_adds_is_added_again(open_run: OpenRun) -> None:
    """What `apply` changes in place is no surprise to a program started again in that stage."""
    run, things = open_run(), _fresh()
    run.attach(**things)
    walk(run, until=1)
    with run._capture.applying():
        _grow(things)
    walk(run, until=2)

    assert [info.step for info in run.store.list()] == [1, 2]


def _arrays() -> list[Any]:
    return [np.zeros(size + 1) for size in range(3)]


@pytest.mark.parametrize(
    ("fresh", "is_attached"),
    [
        (_arrays, False),
        (_arrays, True),
        (lambda: deque(_arrays(), 3), False),
        (lambda: deque(_arrays(), 3), True),
        (lambda: [torch.zeros(1), np.zeros(2), torch.zeros(3, dtype=torch.int64)], True),
        (lambda: deque([{"obs": np.zeros(1)}, {"obs": np.zeros(2)}]), False),
    ],
)
def test_rows_of_data_may_have_any_shape(
    open_run: OpenRun, fresh: Any, *, is_attached: bool
) -> None:
    """A buffer that is full before the loop moves on: what stands first now stood second."""

    def begin() -> Any:
        run, rows = open_run(), fresh()
        if is_attached:
            run.attach(rows=rows)
        else:
            run.state.rows = rows
        return run, rows

    run, rows = begin()
    walk(run, until=1)
    rows.append(rows[0])
    rows.pop() if isinstance(rows, deque) else rows.pop(0)
    rows[-1] = np.ones(7)
    walk(run, until=2)

    run, again = begin()
    run.restore()
    found = again if is_attached else run.state.rows

    assert repr(found) == repr(rows)


def test_members_that_fit_are_filled_where_they_are(open_run: OpenRun) -> None:
    """A list of parameters is still the program's own arrays after a resume."""
    run, params = open_run(), list[Any]([np.zeros(2), torch.zeros(2)])
    run.attach(params=params)
    walk(run, until=1)
    params[0] += 1
    params[1] += 2
    walk(run, until=2)

    run, again = open_run(), list[Any]([np.zeros(2), torch.zeros(2)])
    first, second = again
    run.attach(params=again)
    run.restore()

    assert again[0] is first
    assert again[1] is second
    assert (first.tolist(), second.tolist()) == ([1, 1], [2, 2])


@pytest.mark.parametrize("value", [np.float64(0.5), np.int64(3)])
def test_numpys_scalars_are_numbers_like_others(open_run: OpenRun, value: Any) -> None:
    """They may become another kind of number, and a dict of them may gain names."""

    def begin() -> Any:
        run = open_run()
        run.state.one, run.state.table = value, {"a": value}
        return run

    run = begin()
    walk(run, until=1)
    run.state.one = np.float32(0.25)
    run.state.table["b"] = np.bool_(True)  # noqa: FBT003
    walk(run, until=2)

    run = begin()
    run.restore()

    assert repr((run.state.one, run.state.table)) == repr(
        (np.float32(0.25), {"a": value, "b": np.True_})
    )


def test_a_dict_that_shows_an_array_keeps_its_names(open_run: OpenRun) -> None:
    """It is taken for parameters; one that is empty before the loop takes arrays by any name."""
    run = open_run()
    run.state.params, run.state.history = {"w": np.zeros(2)}, {}
    walk(run, until=1)
    run.state.history[1] = np.zeros(3)
    walk(run, until=2)
    run.state.params["new"] = np.zeros(2)

    with pytest.raises(StateError, match=r"run\.state\.params\.new: not in the program"):
        walk(run, until=3)
