"""Where settings come from, and how one source lies over another.

Tables merge key by key; everything else, lists included, replaces.

Layer: config. Imports core only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Loc = tuple[str | int, ...]
Source = Literal["default", "preset", "file", "environment", "command line"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Who set a value.

    Attributes:
        source: Kind of the place.
        where: The place itself: "train.yaml:6:5", "EVERTRAIN_PPO__GAMMA",
            "-o ppo.gamma=0.9"; empty for a default.
        line: Line in the file, from 1, or None.
        column: Column in the file, from 1, or None.
    """

    source: Source
    where: str = ""
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        """Return the place, or "default"."""
        return self.where or self.source


@dataclass(frozen=True, slots=True)
class Layer:
    """Settings with their origins. Mutable inside: `lay` and `put` build one up.

    Attributes:
        values: Plain dicts, lists and scalars.
        origins: Who set what, tables and lists included.
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Loc, Origin] = field(default_factory=dict)


def dotted(loc: Loc) -> str:
    """Return `("stages", 0, "steps")` as "stages.0.steps"."""
    return ".".join(str(part) for part in loc)


def preset_layer(values: Mapping[str, Any], name: str) -> Layer:
    """Return the settings that ship with a recipe, as the lowest layer."""
    layer = Layer()
    lay(layer, Layer(dict(values), {}))
    layer.origins.update(dict.fromkeys(locs(layer.values), Origin("preset", f"preset {name}")))
    return layer


def lay(below: Layer, over: Layer) -> None:
    """Lay `over` on top of `below`, in place; `over` stays as it is."""
    _merge(below, over, below.values, over.values, ())


def put(layer: Layer, loc: Loc, value: Any, origin: Origin) -> str | None:
    """Set one value inside `layer`. Return the problem, or None."""
    here: Any = layer.values
    at: Loc = ()
    for depth, part in enumerate(loc):
        problem = _missing_item(here, part, at)
        if problem:
            return problem
        key: Any = int(part) if isinstance(here, list) else part
        at = (*at, key)
        if depth == len(loc) - 1:
            _forget(layer, at, here[key] if isinstance(here, list) else here.get(key))
            here[key] = value
            break
        inner = here[key] if isinstance(here, list) else here.get(key)
        if not isinstance(inner, (dict, list)):
            _forget(layer, at, inner)
            inner = here[key] = {}
            layer.origins[at] = origin
        here = inner
    layer.origins.update({(*at, *below): origin for below in [(), *locs(value)]})
    return None


def origin_of(origins: Mapping[Loc, Origin], loc: Loc) -> Origin | None:
    """Return who set `loc`, or the nearest thing around it that anybody set."""
    for length in range(len(loc), 0, -1):
        if loc[:length] in origins:
            return origins[loc[:length]]
    return None


def _merge(below: Layer, over: Layer, base: Any, new: Mapping[str, Any], at: Loc) -> None:
    for key, value in new.items():
        loc = (*at, key)
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            if loc in over.origins:
                below.origins[loc] = over.origins[loc]
            _merge(below, over, base[key], value, loc)
        else:
            _forget(below, loc, base.get(key))
            base[key] = _copied(value)
            inside = [(*loc, *each) for each in [(), *locs(value)]]
            below.origins.update({x: over.origins[x] for x in inside if x in over.origins})


def _missing_item(here: Any, part: str | int, at: Loc) -> str | None:
    if isinstance(here, list) and str(part) not in map(str, range(len(here))):
        have = f"items 0 to {len(here) - 1}" if here else "no items"
        return f"there is no item {part!r} in {dotted(at)!r}, which has {have}"
    return None


def _forget(layer: Layer, loc: Loc, value: Any) -> None:
    """Drop the origins of `value`, which stood at `loc`, and of everything inside it."""
    for each in [(), *locs(value)]:
        layer.origins.pop((*loc, *each), None)


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_copied(each) for each in value]
    return value


def locs(value: Any) -> list[Loc]:
    """Return the place of everything inside `value`."""
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, (list, tuple)):
        pairs = list(enumerate(value))
    else:
        return []
    return [(key, *below) for key, each in pairs for below in [(), *locs(each)]]
