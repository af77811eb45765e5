"""Where two runs first differ, to the bit."""

import math
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from evertrain.audit.compare import (
    Difference,
    differing_leaves,
    first_difference,
    first_metric,
    manifest_of,
    unstable_metrics,
)
from evertrain.audit.leaves import leaves
from evertrain.checkpoint.store import Store
from evertrain.core.errors import CorruptError
from evertrain.core.rundir import RunDir
from runs import new_run

Tree = dict[str, Any]


class Point(NamedTuple):
    """A record."""

    x: float
    y: float


def saved(path: Path, *states: Tree) -> RunDir:
    """Return a run with a checkpoint of each state, of the steps 10, 20, ..."""
    run = new_run(path)
    store = Store(run.checkpoints)
    for index, state in enumerate(states, 1):
        store.save(10 * index, state)
    return run


def compared(tmp_path: Path, one: Any, two: Any) -> Difference | None:
    """Compare two runs whose only checkpoints hold these values."""
    return first_difference(
        saved(tmp_path / "one", {"agent": {"x": one}}),
        saved(tmp_path / "two", {"agent": {"x": two}}),
    )


def bits(text: str) -> float:
    """Return the float of these bits."""
    return float(np.frombuffer(bytes.fromhex(text), ">f8")[0])


EQUAL = {
    "NaN of the same bits": (math.nan, math.nan),
    "arrays with NaN": (np.array([math.nan, 1.0]), np.array([math.nan, 1.0])),
    "a set in any order": ({"a", "b", "c"}, {"c", "b", "a"}),
    "empty": ({"d": {}, "l": [], "a": np.zeros(0)}, {"d": {}, "l": [], "a": np.zeros(0)}),
    "all together": ([1, "a", None, (2.5, b"x"), Point(1.0, 2.0)],) * 2,
}


@pytest.mark.parametrize("name", EQUAL)
def test_equal(tmp_path: Path, name: str) -> None:
    """What has the same bits does not differ."""
    assert compared(tmp_path, *EQUAL[name]) is None


UNLIKE = {
    "a number": (1.5, 2.5, "agent.x", "1.5", "2.5"),
    "kinds of numbers": (1, 1.0, "agent.x", "1", "1.0"),
    "True is not 1": (True, 1, "agent.x", "True", "1"),
    "signed zeros": (0.0, -0.0, "agent.x", "0.0", "-0.0"),
    "NaN of other bits": (
        bits("7ff8000000000000"),
        bits("7ff8000000000001"),
        "agent.x",
        "nan (bits 7ff8000000000000)",
        "nan (bits 7ff8000000000001)",
    ),
    "zeros of an array": (
        np.array([0.0]),
        np.array([-0.0]),
        "agent.x",
        "0.0 at [0]",
        "-0.0 at [0]",
    ),
    "a dtype": (np.zeros(2, "f4"), np.zeros(2), "agent.x", "F32 (2,)", "F64 (2,)"),
    "a shape": (np.zeros((2, 1)), np.zeros(2), "agent.x", "F64 (2, 1)", "F64 (2,)"),
    "an item that is missing": ([1, 2], [1], "agent.x[1]", "2", "(nothing)"),
    "one too many": ({"a": 1}, {"a": 1, "b": {"c": 2}}, "agent.x.b.c", "(nothing)", "2"),
    "an empty container": ({"a": []}, {"a": {}}, "agent.x.a", "[]", "{}"),
    "a scalar of numpy": (np.float32(1), np.float32(2), "agent.x", "np.float32(1.0)", None),
    "a large integer": (2**70, 2**70 + 1, "agent.x", str(2**70), str(2**70 + 1)),
    "a long list": (
        list(range(500)),
        [*range(499), 1.0],
        "agent.x",
        "499 at [499]",
        "1.0 at [499]",
    ),
    "a long tuple": ((0,) * 99, (0,) * 98, "agent.x", "99 numbers", "98 numbers"),
    "inside a deque": (deque([1, 2]), deque([1, 3]), "agent.x[1]", "2", "3"),
    "a key that is no text": ({(1, 2): 3}, {(1, 2): 4}, None, "3", "4"),
}


@pytest.mark.parametrize("name", UNLIKE)
def test_unlike(tmp_path: Path, name: str) -> None:
    """The path of the leaf, and both values."""
    one, two, path, a, b = UNLIKE[name]

    found = compared(tmp_path, one, two)

    assert found is not None
    assert (found.step, found.part, found.others) == (10, "state", 0)
    assert path is None or found.path == path
    assert found.one == a
    assert b is None or found.two == b


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ((1, 2), [1, 2]),
        (deque([1, 2], 5), deque([1, 2], 6)),
        (OrderedDict(a=1), {"a": 1}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (np.ones((2, 2)), np.asfortranarray(np.ones((2, 2)))),
    ],
    ids=["tuple and list", "maxlen", "kinds of dicts", "order of keys", "order of an array"],
)
def test_structure_counts(tmp_path: Path, one: Any, two: Any) -> None:
    """The same values in another container, or in another order, are not the same state."""
    found = compared(tmp_path, one, two)

    assert found is not None
    assert found.detail


def test_how_two_arrays_differ(tmp_path: Path) -> None:
    """How many elements, the first one, and the largest difference."""
    one = np.arange(12.0).reshape(3, 4)
    two = one.copy()
    two[1, 2], two[2, 3] = 6.5, 9.0

    found = compared(tmp_path, one, two)

    assert found is not None
    assert (found.one, found.two) == ("6.0 at [1, 2]", "6.5 at [1, 2]")
    assert found.detail == "F64 (3, 4): 2 of 12 elements differ, by at most 2"


def test_an_array_of_many_parts(tmp_path: Path) -> None:
    """One element of five megabytes, in the last part, is found where it is."""
    one = np.zeros(1_300_000, np.float32)
    two = one.copy()
    two[1_299_999] = 1.0

    found = compared(tmp_path, one, two)

    assert found is not None
    assert found.two == "1.0 at [1299999]"
    assert "1 of 1,300,000 elements" in found.detail


def test_the_earliest_checkpoint_counts(tmp_path: Path) -> None:
    """What is equal is passed over; the others of the step that differ are counted."""
    first = {"a": {"x": 1, "y": 2, "z": 3}}
    one = saved(tmp_path / "one", first, {"a": {"x": 1, "y": 5, "z": 6}}, first)
    two = saved(tmp_path / "two", first, {"a": {"x": 1, "y": 7, "z": 8}}, {"a": {"x": 9}})

    found = first_difference(one, two)

    assert found is not None
    assert (found.step, found.path, found.others, found.equal) == (20, "a.y", 1, 1)
    assert found.names == ("a.y", "a.z")
    assert first_difference(one, two, through=10) is None


def test_a_checkpoint_that_only_one_has(tmp_path: Path) -> None:
    """A save that one of them missed is a difference."""
    one, two = saved(tmp_path / "one", {"a": 1}, {"a": 2}), saved(tmp_path / "two", {"a": 1})

    found = first_difference(one, two)

    assert found is not None
    assert (found.step, found.part, found.one, found.two) == (
        20,
        "checkpoints",
        "saved",
        "not saved",
    )


def test_times_do_not_count(tmp_path: Path) -> None:
    """The attached object called "clock" holds times, which never repeat."""
    one = saved(tmp_path / "one", {"clock": {"t": 1.0}, "a": 1})
    two = saved(tmp_path / "two", {"clock": {"t": 2.0}, "a": 1})

    assert first_difference(one, two) is None
    assert [each.path for each in leaves(manifest_of(one, 10))] == ["a"]


def test_a_damaged_checkpoint_is_not_compared(tmp_path: Path) -> None:
    """Equal digests prove nothing about bytes that are not theirs."""
    one, two = (saved(tmp_path / name, {"a": np.ones(100)}) for name in ("one", "two"))
    file = two.checkpoints / "000000010" / "a.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.chmod(0o644)
    file.write_bytes(data)

    with pytest.raises(CorruptError, match="damaged"):
        first_difference(one, two)


def test_leaves_of_torch(tmp_path: Path) -> None:
    """A tensor is one leaf, under the name of its parameter; its dtype is part of it."""
    torch = pytest.importorskip("torch")
    one = saved(tmp_path / "one", {"m": {"w": torch.ones(2, dtype=torch.bfloat16)}})
    two = saved(tmp_path / "two", {"m": {"w": torch.tensor([1, 1.5], dtype=torch.bfloat16)}})

    found = first_difference(one, two)

    assert found is not None
    assert (found.path, found.one, found.two) == ("m.w", "1.0 at [1]", "1.5 at [1]")
    mine = leaves(manifest_of(one, 10))
    assert differing_leaves(mine, mine) == []


ROWS: list[Tree] = [
    {"step": 1, "loss": 1.0, "fps": 9, "time": "a", "attempt": 1},
    {"step": 2, "loss": 2.0},
]


def test_metrics() -> None:
    """Live rows are compared without their times and attempts."""
    same = [{**row, "time": "b", "attempt": 2} for row in ROWS]
    other = [{**ROWS[0], "fps": 8}, {"step": 2, "loss": 2.5, "more": 1}]

    assert first_metric(ROWS, same) is None
    found = first_metric(ROWS, other)
    assert found is not None
    assert (found.step, found.part, found.path, found.one, found.two) == (
        1,
        "metrics",
        "fps",
        "9",
        "8",
    )
    assert unstable_metrics(ROWS, other) == {"fps", "loss", "more"}
    assert first_metric(ROWS, other, {"fps", "loss", "more"}) is None
