"""A save that no resume could take back is refused at once, not days later."""

import copy
import dataclasses
import enum
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from evertrain import register
from evertrain.core.errors import StateError
from support import OpenRun, walk


class Move(NamedTuple):
    """A row of a replay memory."""

    place: int
    reward: Any


@dataclasses.dataclass
class Episode:
    """A row of a history."""

    profit: float
    path: list[int] = dataclasses.field(default_factory=list)


class Color(enum.Enum):
    """A choice."""

    RED = 1
    BLUE = 2


def _grow(things: Any, name: Any, value: Any) -> None:
    things[name] = value


# What the program shows before the loop, and what the loop makes of it.
HOPELESS: list[Any] = [
    pytest.param([], lambda x: x.append(Move(1, 2)), id="list of named tuples"),
    pytest.param(deque(maxlen=3), lambda x: x.append(Episode(1.0)), id="deque of dataclasses"),
    pytest.param([], lambda x: x.append({"a": [Color.RED]}), id="an enum deep inside"),
    pytest.param({}, lambda x: _grow(x, Color.RED, 1), id="an enum as a key"),
    pytest.param({}, lambda x: _grow(x, "a", {Move(1, 2)}), id="a set of named tuples"),
    pytest.param(
        {"h": np.zeros(1)}, lambda x: _grow(x, "h", np.zeros(2)), id="an array that grows"
    ),
    pytest.param(
        {"h": torch.zeros(1)}, lambda x: _grow(x, "h", torch.zeros(2)), id="a tensor that grows"
    ),
    pytest.param({"h": np.zeros(1)}, lambda x: _grow(x, "h", np.zeros(1, int)), id="a dtype"),
]
ATTACHED_ONLY: list[Any] = [
    pytest.param({}, lambda x: _grow(x, "m", torch.nn.Linear(1, 1)), id="a module"),
    pytest.param([], lambda x: x.append(np.random.default_rng(0)), id="a generator"),
    pytest.param({}, lambda x: _grow(x, "d", defaultdict(list)), id="a defaultdict"),
    pytest.param({"h": []}, lambda x: _grow(x, "h", np.zeros(1)), id="list to array"),
    pytest.param({"h": {}}, lambda x: _grow(x, "h", [np.zeros(1)]), id="dict to list"),
]


@pytest.mark.parametrize(("fresh", "change"), [*HOPELESS, *ATTACHED_ONLY])
def test_an_attached_container_is_judged_at_the_save(
    open_run: OpenRun, fresh: Any, change: Callable[[Any], None]
) -> None:
    """The step that makes it hopeless is the step whose save says so, with the path."""
    run, thing = open_run(), copy.deepcopy(fresh)
    run.attach(thing=thing)
    walk(run, until=1)
    change(thing)

    with pytest.raises(StateError, match=r"(?s)could not take this state back.*thing"):
        walk(run, until=2)
    assert [info.step for info in run.store.list()] == [1]


@pytest.mark.parametrize(("fresh", "change"), HOPELESS)
def test_state_is_judged_at_the_save(
    open_run: OpenRun, fresh: Any, change: Callable[[Any], None]
) -> None:
    """As attached things: a class that no template shows, an array of another shape."""
    run = open_run()
    run.state.thing = copy.deepcopy(fresh)
    walk(run, until=1)
    value = copy.deepcopy(fresh)
    change(value)
    run.state.thing = value

    with pytest.raises(StateError, match=r"(?s)could not take this state back.*run\.state\.thing"):
        walk(run, until=2)
    assert [info.step for info in run.store.list()] == [1]


def test_a_name_that_leaves_the_state_is_refused(open_run: OpenRun) -> None:
    """The fresh program sets it again, and would find nothing stored."""
    run = open_run()
    run.state.x = 1
    walk(run, until=1)
    del run.state.x

    with pytest.raises(StateError, match=r"run\.state\.x: set here"):
        walk(run, until=2)


def test_partial_lets_it_pass(open_run: OpenRun) -> None:
    """What may differ anyway does not stop a save; it starts fresh after the resume."""
    run = open_run(partial=["run.state.h"])
    run.state.h = np.zeros(1)
    walk(run, until=1)
    run.state.h = np.ones(2)
    walk(run, until=2)

    run = open_run(partial=["run.state.h"])
    run.state.h = np.full(1, 7.0)
    run.restore()

    assert (run.step, run.state.h.tolist()) == (2, [7.0])


def test_what_is_attached_inside_the_loop_is_refused(open_run: OpenRun) -> None:
    """A resume would find nothing to fill; a known name may be attached anew."""
    run = open_run()
    run.attach(a=[1])
    walk(run, until=1)

    run.attach(a=[2])
    with pytest.raises(StateError, match="before the loop"):
        run.attach(b=[1])


def test_a_refused_resume_fills_no_tensor(open_run: OpenRun) -> None:
    """One leaf does not fit: the tensors of the state that do fit keep their fresh values."""
    run = open_run()
    run.state.a, run.state.b = torch.ones(2), torch.ones(2)
    walk(run, until=1)

    run = open_run()
    run.state.a, run.state.b = torch.zeros(2), torch.zeros(3)
    with pytest.raises(StateError, match=r"run\.state\.b"):
        run.restore()
    assert run.state.a.tolist() == [0.0, 0.0]


def test_outlines_do_not_hold_the_first_arrays(open_run: OpenRun) -> None:
    """A program that replaces its arrays must not keep the first ones in memory."""
    import gc
    import weakref

    run, first = open_run(), np.zeros(1000)
    run.state.x, things = first, {"y": first}
    run.attach(things=things)
    walk(run, until=1)
    gone = weakref.ref(first)
    run.state.x = things["y"] = np.ones(1000)
    del first
    gc.collect()

    assert gone() is None


def test_a_registered_class_needs_no_template(open_run: OpenRun) -> None:
    """The usual replay memory: empty at the start, full of the program's own rows."""
    for each in (Move, Episode, Color):
        register(each)
    run = open_run()
    run.state.memory = []
    rows: deque[Any] = deque(maxlen=4)
    run.attach(rows=rows)
    walk(run, until=1)
    rows.append(Move(1, np.arange(3)))
    run.state.memory = [Episode(1.5, [1, 2]), {Color.BLUE: Color.RED}]
    walk(run, until=2)

    run = open_run()
    run.state.memory = []
    back: deque[Any] = deque(maxlen=4)
    run.attach(rows=back)
    run.restore()

    assert repr(back) == repr(rows)
    assert run.state.memory == [Episode(1.5, [1, 2]), {Color.BLUE: Color.RED}]


def test_dicts_of_other_classes_come_back_as_they_were(open_run: OpenRun) -> None:
    """Rows inside ordered and default dicts are filled with the classes that the program shows."""

    def fresh() -> Any:
        return OrderedDict(a=Move(0, 0)), defaultdict(list, {Color.RED: [Move(0, 0)]})

    run = open_run()
    run.state.pair = fresh()
    run.state.rows = deque([Move(0, 0)], maxlen=3)
    walk(run, until=1)
    run.state.pair[0]["a"] = Move(3, 4)
    run.state.pair[1][Color.RED][0] = Move(5, 6)
    run.state.rows[0] = Move(7, 8)
    walk(run, until=2)
    saved = repr((run.state.pair, run.state.rows))

    run = open_run()
    run.state.pair = fresh()
    run.state.rows = deque([Move(0, 0)], maxlen=3)
    run.restore()

    assert repr((run.state.pair, run.state.rows)) == saved


@dataclasses.dataclass
class Agent:
    """An attached dataclass."""

    weight: float = 0.0

    @cached_property
    def doubled(self) -> float:
        """What is computed again."""
        return 2 * self.weight


def test_attributes_that_are_no_fields_are_refused(open_run: OpenRun) -> None:
    """They would start fresh; a cached property is computed again and may stay."""
    agent = Agent(1.0)
    assert agent.doubled == 2.0
    run = open_run()
    run.attach(agent=agent)
    agent.extra = 1  # type: ignore[attr-defined]
    with pytest.raises(StateError, match="extra, which is no field"):
        walk(run, until=1)
