"""Values come back as the very class they were saved as, or the save refuses."""

import dataclasses
import enum
from collections import deque
from collections.abc import Callable
from dataclasses import InitVar, dataclass
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pytest
import torch

from evertrain import register
from evertrain.core.errors import StateError
from evertrain.run.classes import Classes, familiar, same_class
from support import OpenRun, walk

T = TypeVar("T")


class Place(NamedTuple):
    """A named tuple that nobody registers."""

    x: Any
    y: Any


class Other(NamedTuple):
    """Another one with the same fields."""

    x: Any
    y: Any


class Mood(enum.Enum):
    """An enumeration that nobody registers."""

    CALM = 1
    WILD = 2


class Weather(enum.Enum):
    """Another one with the same names."""

    CALM = 5
    WILD = 6


class Marks(enum.Flag):
    """Flags, which may be combined."""

    RED = 1
    BLUE = 2


@dataclass
class Episode:
    """A dataclass that nobody registers."""

    profit: Any = 0.0


@dataclass
class Run:
    """Another one with the same field."""

    profit: Any = 0.0


class Row(NamedTuple):
    """A registered named tuple."""

    obs: Any
    reward: Any


@dataclass
class Trip:
    """A registered dataclass that can change."""

    length: Any = 0
    more: Any = None

    @cached_property
    def doubled(self) -> Any:
        """What is computed again."""
        return 2 * self.length


@dataclass
class Box(Generic[T]):
    """A generic one."""

    value: T


class Signs(enum.Flag):
    """Registered flags."""

    LEFT = 1
    RIGHT = 2


class Case:
    """A class that the program takes apart itself."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner


for known in (Row, Trip, Box, Signs):
    register(known)
register(Case, "tests.Case", lambda case: {"inner": case.inner}, lambda tree: Case(tree["inner"]))


def resume(open_run: OpenRun, fresh: Callable[[], Any], change: Any, *, attached: bool) -> Any:
    """Return what was saved after `change`, and what a program started again gets back."""
    run, box = open_run(), {"x": fresh()}
    if attached:
        run.attach(box=box)
    else:
        run.state.x = box["x"]
    walk(run, until=1)
    box["x"] = change(box["x"])
    if not attached:
        run.state.x = box["x"]
    walk(run, until=2)

    run, again = open_run(), {"x": fresh()}
    if attached:
        run.attach(box=again)
    else:
        run.state.x = again["x"]
    run.restore()
    return box["x"], again["x"] if attached else run.state.x


def _added(row: Any) -> Any:
    def change(rows: Any) -> Any:
        if isinstance(rows, dict):
            rows["new"] = row()
        else:
            rows.append(row())
        return rows

    return change


ATTACHED = pytest.mark.parametrize("attached", [False, True], ids=["state", "attached"])


@ATTACHED
@pytest.mark.parametrize(
    ("fresh", "row"),
    [
        pytest.param(list, lambda: Row(np.ones(2), 1), id="arrays"),
        pytest.param(list, lambda: Row(torch.ones(2), np.float32(1)), id="tensors and scalars"),
        pytest.param(deque, lambda: Row((1, 2), None), id="tuples"),
        pytest.param(dict, lambda: [Row(Row(1, [np.ones(1)]), {"a": 2})], id="nested"),
        pytest.param(dict, lambda: {Row(1, 2): 0.5}, id="a key"),
        pytest.param(list, lambda: {Row(1, 2)}, id="a member of a set"),
        pytest.param(list, lambda: Trip(3), id="a dataclass"),
        pytest.param(dict, lambda: Trip(3, [np.ones(1)]), id="a dataclass in a dict"),
        pytest.param(list, lambda: Box[int](3), id="a generic dataclass"),
        pytest.param(list, lambda: Signs.LEFT | Signs.RIGHT, id="combined flags"),
        pytest.param(list, lambda: Signs(0), id="no flag at all"),
    ],
)
def test_registered_values_come_back_as_they_are(
    open_run: OpenRun, fresh: Any, row: Any, *, attached: bool
) -> None:
    """Whatever fields they hold, in whatever was empty before the loop."""
    saved, found = resume(open_run, fresh, _added(row), attached=attached)

    assert repr(found) == repr(saved)


def test_a_registered_value_may_replace_another(open_run: OpenRun) -> None:
    """Its fields need no template: an array may stand where None stood."""
    saved, found = resume(
        open_run, lambda: Row(None, 0), lambda _: Row([1], np.ones(3)), attached=False
    )

    assert repr(found) == repr(saved)


def test_what_a_cached_property_holds_is_no_state(open_run: OpenRun) -> None:
    """It is computed again from what came back, not kept from the fresh value."""
    trip = Trip(3)
    assert trip.doubled == 6
    run = open_run()
    run.state.trips, kept = [trip], Trip(4)
    run.attach(kept=kept)
    walk(run, until=1)

    run, kept = open_run(), Trip(1)
    assert kept.doubled == 2
    run.attach(kept=kept)
    run.state.trips = []
    run.restore()

    assert run.state.trips == [Trip(3)]
    assert kept.doubled == 8


@ATTACHED
@pytest.mark.parametrize(
    ("fresh", "row"),
    [
        pytest.param(lambda: [Place(0, 0)], lambda: Place(1, 2), id="list"),
        pytest.param(lambda: deque([Place(0, 0)], 9), lambda: Place(1, 2), id="deque"),
        pytest.param(lambda: {"a": Mood.CALM}, lambda: Mood.WILD, id="dict"),
        pytest.param(lambda: [[Place(0, 0)]], lambda: [Place(Place(1, 2), [3])], id="nested"),
        pytest.param(lambda: [Episode()], lambda: Episode([1]), id="dataclass"),
        pytest.param(lambda: [Episode()], lambda: [Episode(Episode(1))], id="deep"),
        pytest.param(lambda: {(0, Mood.CALM): 1}, lambda: {(1, Mood.WILD): 2}, id="key"),
        pytest.param(lambda: {"a": Marks.RED}, lambda: Marks.RED | Marks.BLUE, id="flags"),
    ],
)
def test_one_value_shows_its_class(
    open_run: OpenRun, fresh: Any, row: Any, *, attached: bool
) -> None:
    """A list that begins with one may grow: the class is known in all its members."""
    saved, found = resume(open_run, fresh, _added(row), attached=attached)

    assert repr(found) == repr(saved)


@ATTACHED
@pytest.mark.parametrize(
    ("fresh", "stranger"),
    [(Place(1, 2), Other(1, 2)), (Mood.CALM, Weather.CALM), (Episode(1), Run(1))],
)
def test_another_class_with_the_same_fields_is_refused(
    open_run: OpenRun, fresh: Any, stranger: Any, *, attached: bool
) -> None:
    """It would come back as the class that the program shows there."""
    with pytest.raises(StateError, match=type(stranger).__name__):
        resume(open_run, lambda: fresh, lambda _: stranger, attached=attached)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("a:X", "a:X", True),
        ("__main__:X", "train:X", True),
        ("train:X", "__main__:X", True),
        ("a:X", "b:X", False),
        ("__main__:X", "train:Y", False),
    ],
)
def test_a_file_run_as_a_script_is_called_main(one: str, other: str, *, is_same: bool) -> None:
    """The same class has two names, and a class of another module is another class."""
    assert same_class(one, other) is is_same


def test_the_last_look_at_a_class_counts() -> None:
    """What a program knows stays its own object; what it does not know becomes a name."""
    known, place = Classes([Place(0, 0)]), Place(1, 2)
    names = familiar([place, Mood.CALM], Classes())

    assert familiar([place], known)[0] is place
    assert familiar(names, known)[0] == place
    assert type(familiar(names, known)[1]).__name__ == "EnumName"


class Keeper:
    """Has a state of its own, which it judges itself."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def state_dict(self) -> dict[str, Any]:
        return {"deep": [self.value]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.value = state["deep"][0]


class Extra(torch.nn.Module):
    """A module with extra state."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value

    def get_extra_state(self) -> Any:
        return {"value": self.value}

    def set_extra_state(self, state: Any) -> None:
        self.value = state["value"]


@pytest.mark.parametrize("inside", [False, True], ids=["attached", "inside"])
@pytest.mark.parametrize("kind", [Keeper, Extra])
@pytest.mark.parametrize("value", [Mood.CALM, Place(1, 2), Episode(1), [Mood.CALM]])
def test_an_object_gets_back_what_it_gave(
    open_run: OpenRun, kind: Any, value: Any, *, inside: bool
) -> None:
    """A class that a file only names never reaches its `load_state_dict`."""
    run = open_run()
    run.attach(thing={"inner": kind(value)} if inside else kind(value))
    run.state.shown = [Mood.CALM, Place(1, 2), Episode(1)]

    with pytest.raises(StateError, match=r"(?s)thing.*register\("):
        walk(run, until=1)
    assert run.store.list() == []


@pytest.mark.parametrize("value", [Signs.LEFT, Row(1, 2), Trip(1)])
def test_an_object_gets_back_what_is_registered(open_run: OpenRun, value: Any) -> None:
    """A registered class needs nothing else."""
    run = open_run()
    run.attach(thing=Keeper(value))
    walk(run, until=1)

    run, thing = open_run(), Keeper(None)
    run.attach(thing=thing)
    run.restore()

    assert thing.value == value


@ATTACHED
@pytest.mark.parametrize("wrap", [lambda x: Row(x, 1), lambda x: Trip([x]), Case])
@pytest.mark.parametrize("value", [Mood.CALM, Place(1, 2), Episode(1), {Place(1, 2): 3}])
def test_a_registered_value_is_registered_throughout(
    open_run: OpenRun, wrap: Any, value: Any, *, attached: bool
) -> None:
    """Its `from_tree` would get a name where its `to_tree` gave a value."""
    with pytest.raises(StateError, match=r"stands in a registered|a file only names") as caught:
        resume(open_run, list, _added(lambda: wrap(value)), attached=attached)

    assert "register(" in caught.value.fix


@dataclass
class Doubling:
    """Its `__init__` does more than to keep."""

    value: float = 1.0
    seed: InitVar[int] = 0

    def __post_init__(self, seed: int) -> None:
        if self.value > 5:
            raise ValueError("must start small")
        self.value = self.value * 2 + seed


@dataclass(frozen=True, slots=True)
class Bounds:
    """Frozen, with slots."""

    low: float
    high: float = dataclasses.field(default=0.0, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "high", self.low + 1)


@pytest.mark.parametrize("fresh", [lambda: Doubling(1.0, 3), lambda: Bounds(2.0)])
def test_init_does_not_run_again(open_run: OpenRun, fresh: Any) -> None:
    """A dataclass comes back with the fields that were saved, whatever makes a new one."""
    run = open_run()
    run.state.x = fresh()
    run.state.big = Doubling(5.0)
    walk(run, until=1)
    saved = (run.state.x, run.state.big)

    run = open_run()
    run.state.x, run.state.big = fresh(), Doubling()
    run.restore()

    assert (run.state.x, run.state.big) == saved


def test_a_named_tuple_may_have_a_constructor_of_its_own(open_run: OpenRun) -> None:
    """Outlines and restored values are made of fields, without it."""

    class Pair(Place):
        def __new__(cls, both: Any) -> Any:
            return super().__new__(cls, *both)

    saved, found = resume(
        open_run,
        lambda: Pair((0, 0)),
        lambda _: Pair((1, 2)),
        attached=False,
    )

    assert (found, type(found)) == (saved, Pair)
