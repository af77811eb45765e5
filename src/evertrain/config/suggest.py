"""Which keys a model knows at a place, and which of them was meant.

Layer: config. Imports core only.
"""

import difflib
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import BaseModel

from evertrain.config.layer import Loc, dotted

Model = type[BaseModel]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that looks most like `word`, or None."""
    by_lower = {each.lower(): each for each in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def suggest(model: Model, loc: Loc) -> str | None:
    """Return the key that the unknown key at `loc` was probably meant to be, or None.

    A key of the same table if one looks like it; else a key of that very name
    elsewhere, dotted.
    """
    word = str(loc[-1])
    near = nearest(word, keys_at(model, loc[:-1]))
    if near:
        return near
    elsewhere = [each for each in _all_keys(model) if each[-1] == word]
    return dotted(elsewhere[0]) if elsewhere else None


def keys_at(model: Model, loc: Loc) -> list[str]:
    """Return the keys that may stand in the table at `loc`; none if any may."""
    found = [model]
    for part in loc:
        found = [inner for each in found for inner in _models_below(each, part)]
    return list(dict.fromkeys(key for each in found for key in _names(each)))


def _models_below(model: Model, part: str | int) -> list[Model]:
    if isinstance(part, int) or part.isdecimal():
        return [model]  # an item of a list: its model was found through the list
    for name, info in model.model_fields.items():
        if part in {name, info.alias}:
            return list(_models_in(info.annotation))
    return []


def _models_in(annotation: Any) -> Iterator[Model]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _models_in(each)


def _names(model: Model) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _all_keys(model: Model, at: Loc = (), depth: int = 5) -> Iterator[Loc]:
    for name, info in model.model_fields.items():
        loc = (*at, info.alias or name)
        yield loc
        if depth > 0:
            for inner in _models_in(info.annotation):
                yield from _all_keys(inner, loc, depth - 1)
