"""What cannot be stored is refused by path; what cannot be a tree is refused on loading."""

import json
import threading
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evertrain.checkpoint.plugin import RawArray
from evertrain.checkpoint.store import Store
from evertrain.checkpoint.tree import MAX_DEPTH, Record, decode, flatten, register, unflatten
from evertrain.core.errors import (
    EvertrainError,
    FormatError,
    MissingExtraError,
    StateError,
    UsageError,
)


class Odd(int):
    """A subclass of a plain type, with perhaps more state."""


@dataclass
class Loose:
    """A dataclass with an attribute that is no field."""

    a: int

    def __post_init__(self) -> None:
        """Set it."""
        self.hidden = 1


class Place(NamedTuple):
    """A named tuple that nobody registers."""

    x: int


@dataclass(frozen=True)
class Spot:
    """A frozen dataclass that nobody registers."""

    x: int


class Mood(Enum):
    """An enumeration that nobody registers."""

    CALM = 1


class Loaded(NamedTuple):
    """A registered one, with room for anything."""

    inner: Any


class Marked(Place):
    """A named tuple that may have attributes."""


MARKED: Any = Marked(1)
MARKED.hidden = 1
register(Loaded, "tests.Loaded")
MASKED: Any = np.ma.masked_array([1, 2], [0, 1])  # type: ignore[no-untyped-call]
CYCLE: list[Any] = []
CYCLE.append({"again": CYCLE})


@pytest.mark.parametrize(
    ("leaf", "why"),
    [
        (lambda: 0, "code is not stored"),
        (threading.Lock(), "does not know"),
        (object(), "does not know"),
        (int, "code is not stored"),
        (Odd(3), "does not know"),
        (np.array([{}]), "Python objects"),
        (np.zeros(2, [("a", "O")]), "Python objects"),
        (MASKED, "holds more than an array"),
        (np.zeros(2, [("a", "i4")]).view(np.recarray), "holds more than an array"),
        (np.zeros(2, np.dtypes.StringDType()), "Python objects"),
        (defaultdict(lambda: 0), "default_factory"),
        (Loose(1), "hidden is set on it but is no field"),
        ({RawArray("U8", (1,), np.zeros(1, np.uint8)): 1}, "cannot be an array"),
        (CYCLE, "contains itself"),
        (np.random.RandomState(np.random.PCG64(1)), "MT19937"),
        ({Place(1)}, "a file only names its class"),
        ({Spot(1): 1}, "a file only names its class"),
        ({frozenset([(1, Place(1))]): 1}, "a file only names its class"),
        ({Record("a:B", {"x": 1}, is_tuple=True): 1}, "a file only names its class"),
        (Loaded([Place(1)]), "stands in a registered tests.Loaded"),
        (Loaded({"a": Mood.CALM}), "stands in a registered tests.Loaded"),
        (Loaded(Spot(1)), "stands in a registered tests.Loaded"),
        (MARKED, "hidden is set on it but is no field"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_refused_with_its_path(leaf: Any, why: str) -> None:
    """A leaf that cannot be stored is named by path, with a reason and a way out."""
    with pytest.raises(StateError) as caught:
        flatten({"layers": [1, 2, 3, {"hook": leaf}]}, "agent")
    assert caught.value.what.startswith("agent.layers[3].hook")
    assert why in caught.value.why
    assert caught.value.fix


def test_odd_keys_in_the_path() -> None:
    """Names that are no identifiers stand in brackets."""
    with pytest.raises(StateError, match=r"agent\['conv-1'\]\[7\]\.x is a"):
        flatten({"conv-1": {7: {"x": object()}}}, "agent")


def test_depth() -> None:
    """Nesting has a limit, the same in both directions, well before Python's own."""
    tree: Any = 1
    for _ in range(MAX_DEPTH):
        tree = (tree,)
    flat = flatten(tree)
    assert unflatten(json.loads(json.dumps(flat.skeleton)), {}) == tree
    with pytest.raises(StateError, match="nested"):
        flatten((tree,))
    with pytest.raises(StateError, match="nested"):
        unflatten([[flat.skeleton]], {})


def test_bad_registrations() -> None:
    """A name belongs to one type; a name nobody registered cannot be loaded."""
    register(Odd, "tests.Odd", int, Odd)
    with pytest.raises(UsageError, match="Loose"):
        register(Loose, "tests.Odd", lambda x: x.a, Loose)
    with pytest.raises(UsageError):
        register(Loose, "", lambda x: x.a, Loose)
    with pytest.raises(StateError, match="register"):
        unflatten({"$": "registered", "name": "tests.Nobody", "tree": 1}, {})
    with pytest.raises(StateError, match="refuses"):
        unflatten({"$": "registered", "name": "tests.Odd", "tree": "x"}, {})
    with pytest.raises(MissingExtraError):
        unflatten({"$": "codec", "name": "nowhere.Thing", "meta": {}, "children": {}}, {})


RAW = RawArray("F32", (2,), np.zeros(8, np.uint8))
ODD_BYTES = RawArray("U8", (5,), np.zeros(5, np.uint8))
HUGE = RawArray("U8", (0,), np.zeros(0, np.uint8))


@pytest.mark.parametrize(
    "node",
    [
        2**60,
        float("inf"),
        {"$": "int", "hex": "zz"},
        {"$": "int", "hex": 5},
        {"$": "float", "bits": "00"},
        {"$": "float"},
        {"$": "complex", "bits": "0" * 30},
        {"$": "str", "hex": "ff"},
        {"$": "bytes", "hex": "0"},
        {"$": "bytes", "key": "nope"},
        {"$": "tuple", "items": 5},
        {"$": "dict", "items": [[1, 2, 3]]},
        {"$": "dict", "items": [[1, 2], [1, 3]]},
        {"$": "dict", "items": [[[], 2]]},
        {"$": "dict", "items": 7},
        {"$": "set", "items": [[1]]},
        {"$": "deque", "items": [1, 2, 3], "maxlen": 2},
        {"$": "deque", "items": [], "maxlen": -1},
        {"$": "deque", "items": [], "maxlen": "x"},
        {"$": "defaultdict", "factory": "eval", "items": []},
        {"$": "counter", "items": [[1]]},
        {"$": "range", "items": [0, 1, 0]},
        {"$": "range", "items": [1, 2, 3, 4]},
        {"$": "array", "key": "nope"},
        {"$": "array", "key": ["raw"]},
        {"$": "array", "key": "raw", "order": "K"},
        {"$": "array", "key": "odd", "descr": "<f4", "shape": [1]},
        {"$": "array", "key": "odd", "descr": "|O", "shape": [1]},
        {"$": "array", "key": "odd", "descr": [["a", "|O"]], "shape": [1]},
        {"$": "array", "key": "odd", "descr": [["a", "|u1"]], "shape": [-5]},
        {"$": "array", "key": "odd", "descr": "|u1", "shape": ["5"]},
        {"$": "array", "key": "odd", "descr": "|u1"},
        {"$": "array", "key": "odd", "descr": {"a": 1}, "shape": [5]},
        {"$": "array", "key": "odd", "descr": [[[[[]]]]], "shape": [5]},
        {"$": "array", "key": "odd", "descr": [1, [2]], "shape": [5]},
        {"$": "array", "key": "none", "descr": "|V0", "shape": [2**61, 2**61]},
        {"$": "array", "key": "none", "descr": "<f4", "shape": [0, 2**70]},
        {"$": "array", "key": "none", "descr": "<f4", "shape": [1] * 70},
        {"$": "scalar", "descr": "|O", "hex": "0000000000000000"},
        {"$": "scalar", "descr": "<f4", "hex": "00"},
        {"$": "scalar", "descr": "evil", "hex": ""},
        {"$": "scalar", "descr": "U", "hex": "ff"},
        {
            "$": "generator",
            "tree": {"class": "Generator", "bits": "eval", "state": {}, "seed": None},
        },
        {"$": "generator", "tree": {"class": "Popen", "bits": "PCG64", "state": {}, "seed": None}},
        {"$": "generator", "tree": {"class": "RandomState", "state": {"bit_generator": "x"}}},
        {"$": "generator", "tree": 5},
        {"$": "random", "tree": {"version": 3, "words": 5, "gauss": None}},
        {"$": "namedtuple", "class": 5, "fields": {}},
        {"$": "dataclass", "class": "os:system", "fields": []},
        {"$": "dataclass", "class": "os:system", "fields": {"$x": 1}},
        {"$": "enum", "class": "os:system"},
        {"$": "raw", "key": "nope"},
        {"$": "pickle", "data": "gASV"},
        {"$": ["tuple"]},
        {"$": None},
        {"$": "registered", "name": 5, "tree": 1},
    ],
    ids=lambda node: json.dumps(node)[:60],
)
def test_hostile_skeletons(node: Any) -> None:
    """A skeleton that flatten never writes is refused, whatever it asks for."""
    with pytest.raises((StateError, FormatError)):
        unflatten({"x": [node]}, {"raw": RAW, "odd": ODD_BYTES, "none": HUGE})


def test_what_cannot_be_built_is_no_damage(tmp_path: Path) -> None:
    """Bytes that are right are not set aside as damaged, whatever they say."""
    store = Store(tmp_path)
    store.save(1, {"a": Loaded(1)})
    register(Loaded, "tests.Loaded", lambda _: 1, lambda tree: tree[0])
    try:
        with pytest.raises(StateError, match="refuses"):
            store.load(1)
    finally:
        register(Loaded, "tests.Loaded")
    with pytest.raises(StateError, match="no tree that evertrain can build"):
        unflatten({"$": "set", "items": [[1]]}, {})


KINDS = st.sampled_from(sorted([*vars(decode)["_KINDS"], "nothing"]))
FIELDS = st.sampled_from(
    ["items", "key", "hex", "bits", "descr", "shape", "order", "maxlen", "tree", "class", "fields"]
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats(allow_nan=False)
    | st.sampled_from(
        ["", "raw", "odd", "none", "<f4", "|O", "PCG64", "Generator", "zz", "00", "F"]
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(FIELDS, inner, max_size=4)
        | st.builds(
            lambda kind, body: {"$": kind, **body},
            KINDS,
            st.dictionaries(FIELDS, inner, max_size=5),
        )
    ),
    max_leaves=15,
)


@settings(deadline=None, max_examples=300)
@given(node=json_values)
def test_any_json_is_a_tree_or_an_error_of_ours(node: Any) -> None:
    """Whatever JSON a file holds, decoding ends in a value or in one of our errors."""
    with suppress(EvertrainError):
        unflatten(node, {"raw": RAW, "odd": ODD_BYTES, "none": HUGE})
