"""What flatten accepts comes back equal, type for type and bit for bit, through real JSON."""

import json
import math
import random
import struct
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from enum import Enum, Flag, IntEnum
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from evertrain.checkpoint.plugin import RawArray
from evertrain.checkpoint.tree import EnumName, Record, flatten, register, unflatten


def trip(tree: Any) -> Any:
    """Send a tree through strict JSON and copies of its bytes."""
    flat = flatten(tree, "state")
    text = json.dumps(flat.skeleton, allow_nan=False)
    arrays = {
        key: RawArray(raw.dtype, raw.shape, raw.data.copy()) for key, raw in flat.arrays.items()
    }
    return unflatten(json.loads(text), arrays)


def same(one: Any, two: Any) -> bool:
    """Compare exactly: types, bits of floats, order of dicts and members, lengths of deques."""
    if isinstance(one, dict):
        return same_members([*one.items()], [*two.items()]) and type(one) is type(two)
    if isinstance(one, (list, tuple, deque)):
        is_alike = type(one) is type(two)
        is_alike = is_alike and getattr(one, "maxlen", 0) == getattr(two, "maxlen", 0)
        return is_alike and same_members(one, two)
    return type(one) is type(two) and bits(one) == bits(two)


def same_members(one: Any, two: Any) -> bool:
    """Compare two sequences member by member."""
    return len(one) == len(two) and all(same(a, b) for a, b in zip(one, two, strict=True))


def bits(leaf: Any) -> Any:
    """Return what decides whether two leaves of a type are the same."""
    if isinstance(leaf, (np.ndarray, np.generic)):
        return leaf.dtype, leaf.shape, leaf.tobytes()
    if isinstance(leaf, float):
        return struct.pack("d", leaf)
    if isinstance(leaf, complex):
        return struct.pack("dd", leaf.real, leaf.imag)
    return leaf


floats = st.floats() | st.sampled_from([math.nan, -math.nan, -0.0, math.inf, -math.inf, 5e-324])
ints = st.integers() | st.sampled_from([2**53, -(2**53), 2**53 - 1, 2**64, -(10**300)])
texts = st.text(st.characters(codec=None)) | st.sampled_from(
    ["$", "\ud800\udc00", "a/b", "__metadata__"]
)
hashables = st.recursive(
    st.none()
    | st.booleans()
    | ints
    | floats.filter(lambda x: not math.isnan(x))
    | texts
    | st.binary(max_size=99),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
dtypes = (
    hnp.scalar_dtypes()
    | hnp.byte_string_dtypes()
    | hnp.unicode_string_dtypes()
    | hnp.datetime64_dtypes()
    | hnp.array_dtypes(allow_subarrays=True)
    | st.sampled_from([np.dtype(np.longdouble), np.dtype(np.clongdouble)])
)
arrays = hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, min_side=0, max_dims=4, max_side=4))
leaves = (
    st.none()
    | st.booleans()
    | ints
    | floats
    | texts
    | st.complex_numbers()
    | st.binary(max_size=200)
    | st.binary(max_size=200).map(bytearray)
    | st.builds(range, st.integers(), st.integers(), st.integers(min_value=1))
    | arrays
)
trees: st.SearchStrategy[Any] = st.recursive(
    leaves | hashables,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(texts, inner, max_size=4)
        | st.dictionaries(hashables, inner, max_size=4)
        | st.dictionaries(texts, inner, max_size=4).map(OrderedDict)
        | st.dictionaries(texts, inner, max_size=3).map(lambda d: defaultdict(list, d))
        | st.dictionaries(hashables, ints, max_size=3).map(Counter)
        | st.builds(deque, st.lists(inner, max_size=4), st.sampled_from([None, 4, 9]))
        | st.sets(hashables, max_size=3)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(tree=trees)
def test_any_tree(tree: Any) -> None:
    """Any nesting of storable things comes back the same."""
    assert same(trip(tree), tree)


@settings(deadline=None)
@given(tree=trees)
def test_flatten_is_deterministic(tree: Any) -> None:
    """A tree that came back flattens to the same skeleton and bytes: digests can be compared."""
    one, two = flatten(tree), flatten(trip(tree))
    assert json.dumps(one.skeleton) == json.dumps(two.skeleton)
    assert list(one.arrays) == list(two.arrays)
    for key, raw in one.arrays.items():
        other = two.arrays[key]
        assert (raw.dtype, raw.shape) == (other.dtype, other.shape)
        assert raw.data.tobytes() == other.data.tobytes()


def test_array_names_show_no_hash_order() -> None:
    """Equal sets may iterate in another order; what lies under such a key is called the same."""
    one, two = frozenset([8, 0]), frozenset([0, 8])
    assert list(one) != list(two)
    flats = [flatten({key: np.zeros(1), (1, key): np.ones(1)}) for key in (one, two)]
    assert flats[0].skeleton == flats[1].skeleton
    assert list(flats[0].arrays) == list(flats[1].arrays)


@settings(deadline=None)
@given(array=arrays)
def test_any_array(array: np.ndarray[Any, Any]) -> None:
    """An array of any dtype comes back with its dtype, shape and bits."""
    back = trip(array)
    assert same(back, array)
    assert back.flags.writeable


@settings(deadline=None)
@given(array=arrays.filter(lambda a: a.size > 0))
def test_any_scalar(array: np.ndarray[Any, Any]) -> None:
    """A numpy scalar of any dtype comes back as that scalar, not as an array or a float."""
    scalar = array.flat[0]
    if isinstance(scalar, np.generic):
        assert same(trip(scalar), scalar)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24).reshape(2, 3, 4)[:, ::2, ::-1],
        np.arange(6, dtype=">i4").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(12.0).reshape(3, 4).T,
        np.broadcast_to(np.float32(3), (4, 5)),
        np.zeros((0, 5), np.int16),
        np.zeros((3, 0, 2), ">c8"),
        np.array(7),
        np.array(np.datetime64("2024-02-29", "us")),
        np.zeros(3, np.dtype({"names": ["a", "b"], "formats": ["u1", "<f8"]}, align=True)),
        np.zeros(2, [("x", "<f4", (2, 2)), ("y", [("z", ">u2"), ("w", "S3")])]),
        np.zeros((), "V7"),
        np.array(["", "abc"]),
        np.zeros(3, "U0"),
        np.arange(3, dtype=np.float64)[1:2],
    ],
    ids=lambda array: f"{array.dtype}{array.shape}{array.strides}",
)
def test_awkward_array(array: np.ndarray[Any, Any]) -> None:
    """Strided, big-endian, Fortran-ordered, empty, 0-d, structured: all of them come back."""
    assert same(trip(array), array)


def test_fortran_order_stays() -> None:
    """The memory order is kept: algebra on the restored array rounds as before."""
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    back = trip(array)
    assert back.flags.f_contiguous
    assert not back.flags.c_contiguous


def test_contiguous_arrays_are_not_copied() -> None:
    """Flattening a large state costs no memory: C and Fortran order both share it."""
    array = np.zeros((30, 40))
    for each in (array, array.T, array[3:5]):
        assert np.shares_memory(next(iter(flatten({"a": each}).arrays.values())).data, array)


def test_memmap_is_an_array(tmp_path: Any) -> None:
    """A memory-mapped array is stored by value and comes back as a plain array."""
    array = np.memmap(tmp_path / "rows", np.float32, "w+", shape=(3, 4))
    array[:] = 5
    back = trip(array)
    assert type(back) is np.ndarray
    np.testing.assert_array_equal(back, np.full((3, 4), 5, np.float32))


def test_bfloat16_as_raw() -> None:
    """A dtype that numpy lacks travels as a RawArray, bytes untouched."""
    raw = RawArray("BF16", (2, 3), np.arange(12, dtype=np.uint8))
    back = trip({"w": raw})["w"]
    assert (back.dtype, back.shape, back.data.tobytes()) == ("BF16", (2, 3), raw.data.tobytes())


def test_trailing_nuls_of_scalars() -> None:
    """The strings of numpy keep the NULs at their end, which an array would drop."""
    for scalar in (np.bytes_(b"a\0"), np.str_("a\0"), np.str_(""), np.str_("\ud800")):
        back = trip(scalar)
        assert (type(back), len(back), back == scalar) == (type(scalar), len(scalar), True)


def test_enormous_ints() -> None:
    """An int that Python refuses to print is stored all the same, as a key too."""
    huge = -(10**5000)
    assert trip({"n": huge, huge: np.arange(2)}) == {"n": huge, huge: pytest.approx([0, 1])}
    assert trip({(huge, 1): {huge}}) == {(huge, 1): {huge}}


def test_nan_keeps_its_bits() -> None:
    """A NaN with a payload and a sign is not just any NaN."""
    value = struct.unpack(">d", bytes.fromhex("fff8000000000abc"))[0]
    assert struct.pack(">d", trip([value])[0]).hex() == "fff8000000000abc"


def draw(generator: Any) -> list[int]:
    """Draw nine numbers."""
    if isinstance(generator, np.random.Generator):
        return [int(each) for each in generator.integers(0, 255, 9)]
    return [int(each) for each in generator.random_raw(9)]


@pytest.mark.parametrize("name", ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"])
@pytest.mark.parametrize("wrap", [np.random.Generator, lambda bits: bits])
def test_numpy_generators(name: str, wrap: Any) -> None:
    """A generator goes on with the same numbers and spawns the same children."""
    generator = wrap(getattr(np.random, name)(np.random.SeedSequence([3, 4], spawn_key=(5,))))
    draw(generator)
    generator.spawn(2)
    back = trip(generator)
    assert type(back) is type(generator)
    assert draw(back) == draw(generator)
    assert [draw(each) for each in back.spawn(2)] == [draw(each) for each in generator.spawn(2)]


def test_half_used_generators() -> None:
    """What a generator has left over (half a word, a second normal) is part of its state."""
    new, old, py = np.random.default_rng(1), np.random.RandomState(2), random.Random(3)
    new.integers(0, 9, dtype=np.int32)
    old.standard_normal()
    py.gauss(0, 1)
    new2, old2, py2 = trip([new, old, py])
    assert (
        new2.integers(0, 9, 5, dtype=np.int32).tolist()
        == new.integers(0, 9, 5, dtype=np.int32).tolist()
    )
    assert old2.standard_normal(3).tolist() == old.standard_normal(3).tolist()
    assert [py2.gauss(0, 1) for _ in range(3)] == [py.gauss(0, 1) for _ in range(3)]


def test_saving_draws_nothing() -> None:
    """Flattening a generator leaves it where it was."""
    one, two = np.random.default_rng(5), np.random.default_rng(5)
    flatten({"rng": one})
    assert one.random() == two.random()


class Point(NamedTuple):
    """A named tuple."""

    x: int
    y: Any


@dataclass
class Settings:
    """A plain dataclass."""

    rate: float
    table: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Frozen:
    """One without a __dict__."""

    weights: Any


class Color(Enum):
    """A plain enumeration."""

    RED = "red"


class Level(IntEnum):
    """One whose members are ints."""

    LOW = 1


class Mode(Flag):
    """One whose members combine."""

    A = 1
    B = 2


def test_records_and_enums_name_their_class() -> None:
    """Classes come back as names with fields: nothing is imported, nothing instantiated."""
    back = trip([Point(1, (2,)), Settings(0.5, {3: 4.0}), Color.RED, Level.LOW, Mode.A | Mode.B])
    assert back == [
        Record(f"{__name__}:Point", {"x": 1, "y": (2,)}, is_tuple=True),
        Record(f"{__name__}:Settings", {"rate": 0.5, "table": {3: 4.0}}, is_tuple=False),
        EnumName(f"{__name__}:Color", "RED"),
        EnumName(f"{__name__}:Level", "LOW"),
        EnumName(f"{__name__}:Mode", "A|B"),
    ]
    assert flatten(trip(back)).skeleton == flatten(back).skeleton


def test_slots_dataclass() -> None:
    """A dataclass with slots and an array inside is a record like any other."""
    back = trip({"f": Frozen(np.arange(3))})["f"]
    assert back.class_name.endswith(":Frozen")
    assert back.fields["weights"].tolist() == [0, 1, 2]


class Money:
    """A type of the program's own."""

    def __init__(self, cents: int, log: Any = None) -> None:
        """Keep both."""
        self.cents = cents
        self.log = log


def test_registered_type() -> None:
    """A registered type travels by the program's own two functions, arrays included."""
    register(Money, "tests.Money", lambda m: {"cents": m.cents, "log": m.log}, lambda t: Money(**t))
    back = trip({"cash": [Money(5, np.arange(3))]})["cash"][0]
    assert (type(back), back.cents, back.log.tolist()) == (Money, 5, [0, 1, 2])


@pytest.mark.parametrize("factory", [None, list, int, float, dict])
def test_defaultdict_keeps_its_factory(factory: Any) -> None:
    """A table that makes its own entries still does so after loading."""
    back = trip(defaultdict(factory, {(1, 2): 3.0}))
    assert back.default_factory is factory
    assert dict(back) == {(1, 2): 3.0}


def test_keys_never_collide() -> None:
    """Paths that read alike still have keys of their own, legal in safetensors."""
    one = np.arange(1)
    tree = {"a": {"b": one}, "a/b": one + 1, 1: one + 2, "1": one + 3, "": {"": one + 4}}
    flat = flatten({"__metadata__": one + 5, "x": tree})
    assert len(flat.arrays) == 6
    assert "__metadata__" not in flat.arrays
    assert same(trip(tree), tree)
