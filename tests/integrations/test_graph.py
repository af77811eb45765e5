"""All that an object holds comes back, shared where it was shared; what cannot is named."""

import copy
import enum
import itertools
import random
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from evertrain.checkpoint.tree import flatten, unflatten
from evertrain.integrations.envs import fill, graph

Pair = namedtuple("Pair", "left right")  # noqa: PYI024  (an untyped one, as programs have them)


def stored(tree: Any) -> Any:
    """Take a tree through the checkpoint's own form."""
    flat = copy.deepcopy(flatten(tree))
    return unflatten(flat.skeleton, flat.arrays)


def move(old: object, new: object) -> list[str]:
    """Put what `old` holds into `new`; return what has no place there."""
    return fill.put(new, stored(graph.take(old).nodes))


class Color(enum.Enum):
    """Something that is no number."""

    RED = 1
    BLUE = 2


class Slotted:
    """Without a `__dict__`."""

    __slots__ = ("speed",)

    def __init__(self, speed: float) -> None:
        self.speed = speed


class World:
    """Everything that an environment in plain Python may hold."""

    def __init__(self, seed: int) -> None:
        self.count, self.name, self.nothing = seed, f"world {seed}", None
        self.number = np.float32(seed)
        self.grid = np.full((2, 3), seed)
        self.row = self.grid[1]
        self.bodies = [Slotted(seed), Slotted(seed + 1)]
        self.hero = self.bodies[0]
        self.names: dict[Any, Any] = {"a": [seed], ("b", 1): (seed, {seed})}
        self.tables: list[Any] = [OrderedDict(x=seed), defaultdict(list, y=[seed]), Counter(z=seed)]
        self.window = deque([seed], maxlen=3)
        self.seen = {seed, "x"}
        self.raw: Any = bytearray([seed])
        self.long = [float(seed)] * 100
        self.color = Color.RED if seed else Color.BLUE
        self.pair = Pair(seed, [seed])
        self.range = range(seed)
        self.nan = float("nan")
        self.generator = np.random.default_rng(seed)
        self.legacy = np.random.RandomState(seed)
        self.python = random.Random(seed)
        self.lent = self.generator
        self.space = gymnasium.spaces.Discrete(50, seed=seed)
        self.rule = max
        self.me = self

    def draws(self) -> list[Any]:
        """Draw from every generator."""
        found = [self.generator.random(), self.legacy.rand(), self.python.random()]
        return [*found, self.lent.random(), self.space.sample()]


def test_everything_comes_back_into_the_program_s_own_objects() -> None:
    """Data of all kinds, parts, and generators where they stood."""
    old, new = World(5), World(0)
    old.draws()
    old.hero.speed = 7.5
    kept = (new.bodies, new.hero, new.generator, new.space, new.me)

    assert move(old, new) == []

    assert graph.differences(graph.take(new), graph.take(old).nodes) == []
    assert (new.bodies, new.hero, new.generator, new.space, new.me) == kept
    assert (new.names, new.tables, new.window, new.seen) == (
        old.names,
        old.tables,
        old.window,
        old.seen,
    )
    assert (new.window.maxlen, type(new.tables[1]), new.tables[1].default_factory) == (
        3,
        defaultdict,
        list,
    )
    assert (new.color, new.pair, new.range, new.raw) == (Color.RED, Pair(5, [5]), range(5), b"\x05")
    assert (type(new.pair), type(new.number), new.hero.speed) == (Pair, np.float32, 7.5)
    assert new.draws() == old.draws()


def test_what_was_shared_is_shared_again() -> None:
    """A row of a grid, a hero among the bodies, a generator that was lent."""
    old, new = World(5), World(0)
    assert move(old, new) == []

    new.row[0] = 99
    new.hero.speed = 1.25
    new.names["a"].append(3)

    assert new.grid[1, 0] == 99
    assert new.bodies[0].speed == 1.25
    assert new.lent is new.generator
    assert new.me is new


def test_what_was_parted_is_not_shared() -> None:
    """A fresh object may still share what an older one does not any more."""

    class Mover:
        def __init__(self) -> None:
            self.start = [0.0]
            self.place = self.start
            self.home = np.zeros(2)
            self.at = self.home
            self.rng = np.random.default_rng(0)
            self.other = self.rng

    old, new = Mover(), Mover()
    old.place, old.at = [3.0], old.home + 1
    old.other = np.random.default_rng(1)

    assert move(old, new) == []

    assert (new.start, new.place) == ([0.0], [3.0])
    assert (new.home.tolist(), new.at.tolist()) == ([0, 0], [1, 1])
    assert [new.rng.random(), new.other.random()] == [old.rng.random(), old.other.random()]


def test_plain_data_that_the_fresh_one_does_not_have_is_created() -> None:
    """Attributes that begin with the first episode, and lists that grew."""

    class Late:
        items: list[Any] = []  # noqa: RUF012

    old, new = Late(), Late()
    old.state = np.arange(3)  # type: ignore[attr-defined]
    old.items = [[1, {"x": np.ones(2)}], (1, 2)]

    assert move(old, new) == []

    assert new.state.tolist() == [0, 1, 2]  # type: ignore[attr-defined]
    assert new.items[0][1]["x"].tolist() == [1, 1]
    assert new.items[1] == (1, 2)


class Holder:
    """Something with one attribute."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing


class Closed(Exception):  # noqa: N818
    """A class of Python on top of one of C, which may hold anything."""


@pytest.mark.parametrize(
    ("thing", "problem"),
    [
        ([Slotted(1.0)], ".thing[0] was Slotted, and a fresh one has nothing"),
        (Pair(1, 2), ".thing was Pair, and a fresh one has a builtins.NoneType"),
        (Color.RED, "RED, of an enumeration, and a fresh one has a builtins.NoneType"),
        (min, ".thing was min, and a fresh one has a builtins.NoneType"),
        (OrderedDict(), "OrderedDict, and a fresh one has a builtins.NoneType"),
        (gymnasium.spaces.Discrete(3), "gymnasium.Space, and a fresh one has a builtins.NoneType"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_no_object_is_created(thing: Any, problem: str) -> None:
    """What the program has not built has no place, and is named with its path."""
    [found] = move(Holder(thing), Holder(None))

    assert found.startswith(".thing")
    assert problem in found


def test_other_code_is_named() -> None:
    """A function that was exchanged since is as much a part of the state as a number."""
    [found] = move(Holder(min), Holder(max))

    assert found == ".thing was min, and a fresh one has max"


@pytest.mark.parametrize(
    "make",
    [itertools.count, lambda: iter([1, 2]), Closed, random.SystemRandom, object],
)
def test_what_cannot_be_looked_into_is_named(make: Any) -> None:
    """Iterators, objects of C, and classes of Python on top of them."""
    hidden = graph.take(Holder([make()])).hidden

    assert len(hidden) == 1
    assert hidden[0].startswith(".thing[0] is a ")


def test_files_are_named(tmp_path: Path) -> None:
    """An open file stands somewhere, and nobody can tell where its readers are."""
    with (tmp_path / "x").open("w") as file:
        [found] = graph.take(Holder(file)).hidden

    assert found == ".thing is a _io.TextIOWrapper"


def test_an_array_of_objects_is_named() -> None:
    """Its members could be anything."""
    assert graph.take(Holder(np.array([object()]))).hidden == (".thing is a numpy.ndarray",)


def test_keys_that_are_objects_are_named() -> None:
    """Nobody could find them again."""
    assert graph.take(Holder({Slotted(1.0): 1})).hidden == (".thing is a builtins.dict",)


def test_bystanders_are_left_alone() -> None:
    """Modules, paths and what only shows are the program's own."""
    holder = Holder([Path("x"), random])

    taken = graph.take(holder)

    assert taken.hidden == ()
    assert move(Holder([Path("x"), random]), holder) == []


def test_a_difference_has_its_path() -> None:
    """Down to the array."""
    old, new = World(5), World(5)
    new.grid[0, 0] += 1
    new.nan = 1.0

    found = graph.differences(graph.take(new), graph.take(old).nodes)

    assert found == ["", ".grid"]


def test_taking_changes_nothing() -> None:
    """No number is drawn, no generator made."""
    world = World(3)
    world.space = gymnasium.spaces.Discrete(3)
    before = graph.generator_state(world.generator)

    graph.take(world)

    assert graph.generator_state(world.generator) == before
    assert vars(world.space)["_np_random"] is None


def test_children_of_a_generator_come_back_too() -> None:
    """What it spawns next is decided by its seed, and by how many it has spawned."""
    old, new = Holder(np.random.default_rng(1)), Holder(np.random.default_rng(2))
    old.thing.spawn(2)
    mine = new.thing

    assert move(old, new) == []

    assert new.thing is mine
    assert new.thing.spawn(1)[0].random() == old.thing.spawn(1)[0].random()


def test_sets_are_compared_as_sets() -> None:
    """Their order is that of hashes and of their history; another process has another one."""
    old, new = Holder([{0, 8}, frozenset([0, 8])]), Holder([set(), frozenset()])
    other = Holder([{8}, frozenset([8, 0])])
    other.thing[0].add(0)

    assert move(old, new) == []

    assert list(other.thing[0]) != list(old.thing[0])
    assert graph.differences(graph.take(other), graph.take(old).nodes) == []
    assert new.thing == old.thing


def test_a_frozen_set_of_objects_is_named() -> None:
    """Nothing tells which of them is which."""
    assert graph.take(Holder(frozenset([Slotted(1.0)]))).hidden == (
        ".thing is a builtins.frozenset",
    )


class Switching:
    """It does next what it has chosen before."""

    def __init__(self) -> None:
        self.act = self.wait
        self.other: Any = None

    def wait(self) -> str:
        return "wait"

    def go(self) -> str:
        return "go"


def test_a_method_of_its_own_is_kept_by_its_name() -> None:
    """It stays bound to the object that is filled; one of nobody's name is refused."""
    old, new = Switching(), Switching()
    old.act, old.other = old.go, [old.wait]
    nodes = graph.take(old).nodes

    assert fill.put(new, nodes) == []

    assert (new.act, new.other) == (new.go, [new.wait])
    assert graph.differences(graph.take(new), nodes) == []
    assert graph.differences(graph.take(Switching()), nodes) != []
    nodes[""]["attributes"]["act"]["method"] = "__class__"
    assert fill.put(new, nodes) == [".act was __class__, and a fresh one has Switching.go"]
