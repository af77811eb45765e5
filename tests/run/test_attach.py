"""Attached things come back in place; what cannot is refused at once."""

import collections
import copy
import dataclasses
import enum
import random
import re
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from evertrain.checkpoint.plugin import Mismatch
from evertrain.core.errors import StateError
from evertrain.run import containers, rebuild
from evertrain.run.adapters import ArrayAdapter
from evertrain.run.capture import Capture
from support import OpenRun, walk


class Counter:
    """Something with a state of its own."""

    def __init__(self) -> None:
        self.count = 0

    def state_dict(self) -> dict[str, int]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.count = state["count"]


@dataclasses.dataclass
class Statistics:
    """A mutable record with something inside that must stay the same object."""

    mean: float = 0.0
    counter: Counter = dataclasses.field(default_factory=Counter)
    seen: list[int] = dataclasses.field(default_factory=list)


def _change(things: dict[str, Any]) -> None:
    things["array"][:] = [4, 5, 6]
    things["counter"].count = 7
    things["table"]["key"] = "value"
    things["table"]["inner"].count = 8
    things["recent"].extend([1, 2, 3])
    things["names"].append("x")
    things["seen"].add(3)
    things["raw"] += b"ab"
    things["statistics"].mean = 0.5
    things["statistics"].counter.count = 9
    things["statistics"].seen.append(1)
    things["generator"].normal()
    things["old_generator"].normal()
    things["python_generator"].random()


def _fresh() -> dict[str, Any]:
    return {
        "array": np.array([1, 2, 3]),
        "counter": Counter(),
        "table": {"inner": Counter()},
        "recent": deque(maxlen=2),
        "names": ["a"],
        "seen": {1, 2},
        "raw": bytearray(b"x"),
        "statistics": Statistics(),
        "generator": np.random.default_rng(1),
        "old_generator": np.random.RandomState(1),
        "python_generator": random.Random(1),
    }


def test_everything_comes_back_in_place(open_run: OpenRun) -> None:
    """Whatever may be attached has its saved contents again, and is the same object."""
    run = open_run()
    things = _fresh()
    run.attach(**things)
    for step in run:
        _change(things)
        if step == 2:
            run.end_step()
            break
    expected = {name: repr(_show(thing)) for name, thing in things.items()}

    run = open_run()
    restored = _fresh()
    inner = restored["statistics"].counter
    run.attach(**restored)
    run.restore()

    assert {name: repr(_show(thing)) for name, thing in restored.items()} == expected
    assert restored["statistics"].counter is inner
    assert restored["recent"].maxlen == 2


def _show(thing: Any) -> Any:
    """Return something that prints the contents."""
    if isinstance(thing, Counter):
        return thing.count
    if isinstance(thing, dict):
        return {key: _show(value) for key, value in thing.items()}
    if isinstance(thing, Statistics):
        return thing.mean, thing.counter.count, thing.seen
    if isinstance(thing, np.random.Generator):
        return thing.bit_generator.state
    if isinstance(thing, np.random.RandomState):
        return [each.tolist() if hasattr(each, "tolist") else each for each in thing.get_state()]
    if isinstance(thing, random.Random):
        return thing.getstate()
    return thing.tolist() if isinstance(thing, np.ndarray) else thing


@pytest.mark.parametrize("value", [0.9, 3, "x", b"x", (1, 2), None, True, frozenset({1})])
def test_immutable_values_are_refused_with_the_way_out(open_run: OpenRun, value: object) -> None:
    """`attach(eps=0.9)` could never be restored; the error says where such values go."""
    with pytest.raises(StateError) as caught:
        open_run().attach(eps=value)

    assert f"run.state.eps = {value!r}" in caught.value.fix


def test_an_unknown_object_is_refused_at_attach(open_run: OpenRun) -> None:
    """What cannot be saved is refused in minute one, by name."""

    class Opaque:
        pass

    with pytest.raises(StateError, match=r"attach\(env=\.\.\.\)"):
        open_run().attach(env=Opaque())


def test_a_leaf_that_cannot_be_stored_is_named_by_its_path(open_run: OpenRun) -> None:
    """The message leads to the very leaf inside."""
    with pytest.raises(StateError, match="hooks"):
        open_run().attach(table={"inner": {"hooks": [print]}})


def test_no_name_is_taken(open_run: OpenRun) -> None:
    """What programs like to call their things does not clash with the run's own parts."""
    run = open_run()
    run.attach(state=[1], rng=np.random.default_rng(0), run=[2], position=[3])
    walk(run, until=1)

    run = open_run()
    things = {"state": [0], "rng": np.random.default_rng(9), "run": [0], "position": [0]}
    run.attach(**things)
    run.restore()

    assert (things["state"], things["run"], things["position"]) == ([1], [2], [3])


@pytest.mark.parametrize("name", ["run.state", "run.rng", "run.position"])
def test_a_part_of_the_run_is_not_attached_over(open_run: OpenRun, name: str) -> None:
    """By `**` a name may have a dot; it would stand in place of the run's own."""
    with pytest.raises(StateError, match=f"attach.. got the name '{name}'"):
        open_run().attach(**{name: [1]})


def test_the_way_out_accepts_every_difference(open_run: OpenRun) -> None:
    """Who writes what the error says is not told of the next one."""
    run = open_run()
    run.attach(a=np.zeros(2), b=np.zeros(2))
    walk(run, until=1)
    run = open_run()
    run.attach(a=np.zeros(3), b=np.zeros(3))
    with pytest.raises(StateError) as caught:
        run.restore()
    patterns = re.findall(r"'([^']+)'", caught.value.fix)
    run = open_run(partial=patterns)
    run.attach(a=np.ones(3), b=np.ones(3))
    run.restore()

    assert run.step == 1


def test_all_differences_are_listed_and_nothing_is_changed(open_run: OpenRun) -> None:
    """A program that does not fit its checkpoint learns every difference at once."""
    run = open_run()
    run.attach(a=np.zeros(3), b=[1], c=np.zeros(2))
    run.state.x = 1
    walk(run, until=1)

    run = open_run()
    array, short = np.ones(3), np.ones(4)
    run.attach(a=array, c=short, d=[2])
    run.state.y = 1
    with pytest.raises(StateError) as caught:
        run.restore()

    text = caught.value.what
    assert "b: in the checkpoint, but not attached" in text
    assert "d: attached, but missing in the checkpoint" in text
    assert "c: float64 (2,) there, float64 (4,) here" in text
    assert "state.y: set here, but missing in the checkpoint" in text
    assert array.tolist() == [1, 1, 1]
    assert run.store.list(), "a program's fault must not cost a checkpoint"


def test_differences_that_are_named_are_accepted(open_run: OpenRun) -> None:
    """`partial` lets named leaves differ; everything else still comes back."""
    run = open_run()
    run.attach(a=np.zeros(3), b=[1])
    walk(run, until=1)

    run = open_run(partial=["b", "d"])
    array, fresh = np.ones(3), [2]
    run.attach(a=array, d=fresh)
    run.restore()

    assert array.tolist() == [0, 0, 0]
    assert fresh == [2]


def test_what_is_accepted_is_told(open_run: OpenRun, capsys: pytest.CaptureFixture[str]) -> None:
    """Each difference that was let through has its line; nobody resumes less without a word."""
    run = open_run()
    run.attach(a=np.zeros(3), b=[1], many={str(n): np.zeros(2) for n in range(30)})
    walk(run, until=1)
    capsys.readouterr()

    run = open_run(partial=["b", "d", "many.*"])
    run.attach(a=np.ones(3), d=[2], many={str(n): np.zeros(3) for n in range(30)})
    run.restore()

    told = [line for line in capsys.readouterr().out.splitlines() if "not restored: " in line]
    assert told[0].endswith("not restored: b: in the checkpoint, but not attached")
    assert told[1].endswith("not restored: d: attached, but missing in the checkpoint")
    assert told[-1].endswith("not restored: 12 more that `partial` names")
    assert len(told) == 21


def test_what_nothing_can_accept_is_refused_whatever_is_asked_for(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pattern cannot let it through, also inside a dict, and the error offers none."""
    run = open_run()
    run.attach(things={"a": np.zeros(3)})
    walk(run, until=1)
    found = [Mismatch("kind", "a there, b here", None), Mismatch("size", "3, 4", "all is lost")]
    monkeypatch.setattr(ArrayAdapter, "mismatches", lambda *_: found)

    run = open_run(partial=["*"])
    run.attach(things={"a": np.zeros(3)})
    with pytest.raises(StateError, match=r"things\.a\.kind: a there, b here") as caught:
        run.restore()
    assert "partial=" not in caught.value.fix

    run = open_run()
    run.attach(things={"a": np.zeros(3)})
    with pytest.raises(StateError, match=r"things\.a\.size: 3, 4 \(if accepted: all is lost\)"):
        run.restore()


def test_an_object_that_refuses_its_state_is_a_config_error(open_run: OpenRun) -> None:
    """A KeyError deep in a framework becomes one message that names the object."""
    run = open_run()
    run.attach(counter=Counter())
    walk(run, until=1)

    class Renamed(Counter):
        def load_state_dict(self, state: dict[str, int]) -> None:
            self.count = state["total"]

    run = open_run()
    run.attach(counter=Renamed())
    with pytest.raises(StateError, match="counter refused its stored state: KeyError"):
        run.restore()


KINDS: dict[str, Callable[[], Any]] = {
    "array": lambda: np.array([1.0, 2.0]),
    "bytearray": lambda: bytearray(b"ab"),
    "counter": Counter,
    "dataclass": Statistics,
    "deque": lambda: deque([1, 2]),
    "dict": lambda: {"a": 1},
    "dict of things": lambda: {"a": Counter()},
    "generator": lambda: np.random.default_rng(0),
    "list": lambda: [1, 2],
    "list of things": lambda: [Counter()],
    "random": lambda: random.Random(0),
    "set": lambda: {1, 2},
}
OTHERS = [(a, b) for a in KINDS for b in KINDS if a != b and {a, b} != {"dict", "dict of things"}]


@pytest.mark.parametrize("inside", [False, True], ids=["attached", "inside"])
@pytest.mark.parametrize(("stored", "attached"), OTHERS)
def test_another_kind_of_thing_is_refused(stored: str, attached: str, *, inside: bool) -> None:
    """What was stored of one kind never fills, nor becomes, something of another kind."""
    there, here = Capture(), Capture()
    there.attach({"thing": {"x": KINDS[stored]()} if inside else KINDS[stored]()})
    here.attach({"thing": {"x": KINDS[attached]()} if inside else KINDS[attached]()})

    with pytest.raises(StateError, match="thing"):
        here.restore(there.trees({}), (), "the checkpoint")


def _array(value: float = 0.0) -> "np.ndarray[Any, Any]":
    return np.full(2, value)


@pytest.mark.parametrize(
    ("stored", "attached", "path"),
    [
        ({"red": Counter()}, {"red": Counter(), "blue": Counter()}, "thing.blue: missing in the"),
        ({"red": Counter(), "blue": Counter()}, {"red": Counter()}, "thing.blue: object there"),
        ({"red": _array()}, {"red": _array(), "blue": _array()}, "thing.blue: missing in the"),
        ([Counter()], [Counter(), Counter()], "thing.1: missing in the"),
        ([Counter(), Counter()], [Counter()], "thing.1: object there"),
        ([_array()], [_array(), _array()], "thing.1: missing in the"),
        ([1], [Counter()], "thing.0: int there, Counter here"),
        ([Counter()], [1], "thing.0: object there"),
        ({}, {"inner": {"deep": [Counter()]}}, "thing.inner: missing in the"),
        ({"inner": {"deep": [Counter()]}}, {}, "thing.inner: object there"),
        ({"a": {"b": Counter()}}, {"a": {}}, "thing.a.b: object there"),
        (deque([1, 2, 3]), deque(maxlen=2), "thing: 3 items there, room for 2 here"),
    ],
)
def test_things_on_one_side_only_are_refused(
    open_run: OpenRun, stored: Any, attached: Any, path: str
) -> None:
    """An object that was not stored, or that the program lacks, is neither dropped nor invented."""
    run = open_run()
    run.attach(thing=stored)
    walk(run, until=1)

    run = open_run()
    run.attach(thing=attached)
    with pytest.raises(StateError, match=path):
        run.restore()


@pytest.mark.parametrize("count", [3, 30])
def test_a_container_is_read_as_often_however_much_it_holds(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """The table of what stood in it is not made anew for each of its leaves."""
    read: list[Any] = []

    def counted(tree: Any) -> Any:
        read.append(tree)
        return rebuild.kinds_of(tree)

    monkeypatch.setattr(containers, "kinds_of", counted)
    for until in (1, 2):
        run = open_run()
        run.attach(thing={number: Counter() for number in range(count)})
        walk(run, until=until)

    assert 0 < len(read) < 9


def test_what_is_on_one_side_only_can_be_accepted(open_run: OpenRun) -> None:
    """`partial` keeps the program's fresh object, and drops the stored one."""
    run = open_run()
    run.attach(thing={"red": Counter(), "green": Counter()})
    walk(run, until=1)

    run = open_run(partial=["thing.blue", "thing.green"])
    thing = {"red": Counter(), "blue": Counter()}
    blue = thing["blue"]
    run.attach(thing=thing)
    run.restore()

    assert list(thing) == ["red", "blue"]
    assert thing["blue"] is blue


def test_data_comes_and_goes(open_run: OpenRun) -> None:
    """What a training adds to its histories and buffers comes back as what it was."""

    def fresh() -> dict[str, Any]:
        return {"rows": [], "table": {"start": {"n": 0}}, "buffer": deque(maxlen=4)}

    run = open_run()
    things = fresh()
    run.attach(**things)
    for step in run:
        things["rows"].append({"step": step, "parts": [{"x": _array(step)}, [1, {2}]]})
        things["table"].pop("start", None)
        things["table"][step] = [[{"n": step}], collections.Counter("aab"), deque([1], maxlen=3)]
        things["buffer"].append((_array(step), step))
        if step == 3:
            run.end_step()
            break

    run = open_run()
    restored = fresh()
    run.attach(**restored)
    run.restore()

    assert repr(restored) == repr(things)


class Move(NamedTuple):
    """What a buffer is full of."""

    place: int
    reward: int


class Color(enum.Enum):
    """A choice."""

    RED = 1
    BLUE = 2


@pytest.mark.parametrize(
    "stored", [[Move(1, 2)], deque([Move(1, 2)]), {"a": Move(1, 2)}, [Color.RED]]
)
def test_a_class_that_the_program_does_not_show_is_refused(open_run: OpenRun, stored: Any) -> None:
    """No file creates a class: a buffer of named tuples must not come back as something else."""
    run = open_run()
    run.attach(thing=stored)
    walk(run, until=1)

    run = open_run()
    run.attach(thing=type(stored)())
    with pytest.raises(StateError, match=r"thing(\.0|\.a)?: "):
        run.restore()


@pytest.mark.parametrize("stored", [[Move(1, 2)], {"a": (Color.RED, Move(1, 2))}])
def test_a_class_that_the_program_shows_comes_back(open_run: OpenRun, stored: Any) -> None:
    """Where the fresh container has a value of that class, the stored one becomes one."""
    fresh = copy.deepcopy(stored)
    run = open_run()
    run.attach(thing=stored)
    walk(run, until=1)

    run = open_run()
    run.attach(thing=fresh)
    run.restore()

    assert fresh == stored
    assert repr(fresh) == repr(stored)


def test_whatever_an_object_raises_names_it(open_run: OpenRun) -> None:
    """A `load_state_dict` that trips over a list does not escape as an AttributeError."""

    class Strict(Counter):
        def load_state_dict(self, state: dict[str, int]) -> None:
            self.count = next(iter(state.values()))

    run = open_run()
    run.attach(thing=[1, 2])
    walk(run, until=1)

    run = open_run()
    run.attach(thing=Strict())
    with pytest.raises(StateError, match="thing refused its stored state: AttributeError"):
        run.restore()


def test_children_of_a_generator_go_on_with_the_next_one(open_run: OpenRun) -> None:
    """`spawn` after a resume does not give the first children again."""

    def train(until: int | None = None, **options: Any) -> list[float]:
        run, drawn = open_run(total=6, **options), []
        generator = np.random.default_rng(0)
        run.attach(generator=generator)
        for step in run:
            drawn.append(float(generator.spawn(1)[0].random()))
            if step == until:
                run.end_step()
                break
        return drawn

    whole = train(resume="never")

    assert train(3, resume="never") + train() == whole
