"""Spaces as plain data: nothing is lost on the way, and nothing is built that is none."""

import json
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from evertrain.integrations.envs.space import built, described, nearest

LOW = np.array([-1.1, -np.inf], np.float32)
SPACES: list[spaces.Space[Any]] = [
    spaces.Box(-1.0, 1.0, (2,), np.float32),
    spaces.Box(LOW, -LOW, dtype=np.float32),
    spaces.Box(0, 255, (4, 5, 3), np.uint8),
    spaces.Box(-(2**62), 2**62, (1,), np.int64),
    spaces.Box(0.0, 1.0, (), np.float64),
    spaces.Box(0.0, 1.0, (0,), np.float32),
    spaces.Discrete(4),
    spaces.Discrete(3, start=-1),
    spaces.MultiDiscrete([3, 2]),
    spaces.MultiDiscrete(np.array([[3, 2], [4, 5]]), start=np.array([[1, 0], [0, 2]])),
    spaces.MultiDiscrete([3, 2], np.int32),
    spaces.MultiBinary(3),
    spaces.MultiBinary([2, 2]),
    spaces.Tuple([spaces.Discrete(2), spaces.Tuple([spaces.Box(0.0, 1.0, (1,))])]),
    spaces.Dict([("z", spaces.Discrete(2)), ("a", spaces.Dict({"b": spaces.MultiBinary(1)}))]),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_a_space_comes_back(space: spaces.Space[Any]) -> None:
    """Equal, to the last bound, also by way of a text; drawn from, it gives the same."""
    again = built(json.loads(json.dumps(described(space))))

    assert again == space
    assert again.dtype == space.dtype
    space.seed(3)
    again.seed(3)
    assert str(again.sample()) == str(space.sample())


def test_the_order_of_a_dict_is_kept() -> None:
    """Networks read its parts in order, and Gymnasium sorts what it is given as a dict."""
    space = spaces.Dict([("z", spaces.Discrete(2)), ("a", spaces.Discrete(3))])

    assert list(built(described(space)).spaces) == ["z", "a"]  # type: ignore[attr-defined]


def test_an_unknown_space_is_named() -> None:
    """A subclass may mean anything."""

    class Wrapped(spaces.Box):
        pass

    wrapped = Wrapped(0.0, 1.0, (2,))
    for space in (wrapped, spaces.Text(4), spaces.Dict(x=wrapped), spaces.Tuple([wrapped])):
        with pytest.raises(ValueError, match=r"a space of the class (Wrapped|Text)"):
            described(space)

    plain = spaces.Box(0.0, 1.0, (2,))
    assert described(spaces.Dict(x=wrapped), nearest) == described(spaces.Dict(x=plain))
    with pytest.raises(ValueError, match="a space of the class Text"):
        described(spaces.Text(4), nearest)


BOX = {"shape": [2], "dtype": "float32", "low": 0.0, "high": 1.0}
LARGE = {"box": BOX | {"shape": [2**22, 4]}}  # as large as one may be
COUNTS = {"shape": [1], "dtype": "int64", "n": [2], "start": [0]}


def nested(depth: int) -> Any:
    """Return a space in so many others."""
    tree: Any = {"discrete": {"n": 2, "start": 0}}
    for _ in range(depth):
        tree = {"tuple": [tree]}
    return tree


NONE: dict[str, Any] = {
    "nothing": None,
    "empty": {},
    "a call": {"os.system": "ls"},
    "two": {"box": BOX, "discrete": {}},
    "huge": {"box": BOX | {"shape": [10**9, 10**9]}},
    "negative": {"box": BOX | {"shape": [-1]}},
    "letters": {"box": BOX | {"shape": "ab"}},
    "infinite": {"box": BOX | {"shape": [float("inf")]}},
    "objects": {"box": BOX | {"dtype": "object"}},
    "no dtype": {"box": BOX | {"dtype": None}},
    "other bounds": {"box": BOX | {"low": [0.0] * 3}},
    "no bounds": {"box": {"shape": [2]}},
    "bounds that do not fit": {"box": BOX | {"dtype": "int8", "high": 300}},
    "an int without end": {"box": BOX | {"dtype": "int8", "low": float("-inf")}},
    "many bits": {"multi_binary": 10**12},
    "no bits": {"multi_binary": 0},
    "many counts": {"multi_discrete": COUNTS | {"shape": [10**12]}},
    "real counts": {"multi_discrete": COUNTS | {"dtype": "float64"}},
    "no counts": {"multi_discrete": COUNTS | {"n": [0]}},
    "counts that wrap": {"multi_discrete": COUNTS | {"dtype": "uint8", "n": [300]}},
    "no choice": {"discrete": {"n": 0, "start": 0}},
    "a choice without end": {"discrete": {"n": 10**30, "start": 0}},
    "no parts": {"tuple": 3},
    "a large part": {"dict": [["a", {"box": BOX | {"shape": [2**25]}}]]},
    "many large parts": {"tuple": [LARGE, LARGE]},
    "deep": nested(5000),
}


@pytest.mark.parametrize("tree", NONE.values(), ids=NONE)
def test_what_is_no_space_is_refused(tree: Any) -> None:
    """From a hostile file, and before anything large is made of it."""
    with pytest.raises(ValueError, match="space"):
        built(tree)
