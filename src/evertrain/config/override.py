"""Settings from outside the file: `-o ppo.gamma=0.9` and `EVERTRAIN_PPO__GAMMA=0.9`.

Both hold values as a YAML file would: `1e-4`, `true`, `[64, 64]`, `null`.

A variable is a setting if its name, after `EVERTRAIN_`, is a top-level key of
the configuration or contains `__`, which separates keys; case does not matter.
The names in `RESERVED` are evertrain's own and never settings.

Layer: config. Imports core only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from evertrain.config.document import parse_value
from evertrain.config.fault import Fault
from evertrain.config.layer import Layer, Loc, Origin, dotted, put
from evertrain.config.suggest import Model, keys_at, nearest

PREFIX: Final = "EVERTRAIN_"
RESERVED: Final = frozenset(
    {"RUN", "ATTEMPT", "COMMAND", "HEARTBEAT", "RESUME", "SUPERVISED", "CONFIG", "RECIPE"}
)
MAX_WORDS: Final = 50  # as deep as a file may be nested


@dataclass(frozen=True, slots=True)
class Override:
    """One setting from outside the file, not yet parsed.

    Attributes:
        loc: Where it goes.
        text: Its value as text.
        origin: Who gave it.
    """

    loc: Loc
    text: str
    origin: Origin


def from_options(options: Sequence[str]) -> tuple[list[Override], list[Fault]]:
    """Return what `-o key=value` options set, in order: of two alike the last one wins."""
    found: list[Override] = []
    faults: list[Fault] = []
    for option in options:
        key, equals, text = option.partition("=")
        loc: Loc = tuple(key.strip().split("."))
        if not equals or not all(loc) or len(loc) > MAX_WORDS:
            problem = "is not of the form key=value, as in -o ppo.gamma=0.99"
            faults.append(Fault(where=f"-o {option:.80}", key="", problem=problem))
        else:
            found.append(Override(loc, text, Origin("command line", f"-o {option}")))
    return found, faults


def from_environment(
    environ: Mapping[str, str], model: Model
) -> tuple[list[Override], list[Fault]]:
    """Return what variables set, in the order of their names."""
    found: list[Override] = []
    faults: list[Fault] = []
    top = keys_at(model, ())
    for variable, text, words in _candidates(environ):
        if len(words) > MAX_WORDS:
            problem = f"names a setting of {len(words)} words; none is that deep"
            faults.append(Fault(where=f"{variable[:60]}...", key="", problem=problem))
            continue
        loc = tuple(_spelled(model, words))
        if loc[0] in top or len(loc) > 1:
            found.append(Override(loc, text, Origin("environment", variable)))
        elif meant := nearest(words[0], top):
            suggestion = f"{PREFIX}{meant.upper()}"
            problem = "no setting has this name"
            faults.append(Fault(where=variable, key="", problem=problem, suggestion=suggestion))
    return found, faults


def apply(layer: Layer, overrides: Sequence[Override]) -> list[Fault]:
    """Set each of `overrides` in `layer`, in order. Return the faults."""
    faults: list[Fault] = []
    for each in overrides:
        try:
            problem = put(layer, each.loc, parse_value(each.text), each.origin)
        except ValueError as error:
            problem = f"the value {each.text!r:.80} is {error}; quote it if it is text"
        if problem:
            faults.append(Fault(where=each.origin.where, key=dotted(each.loc), problem=problem))
    return faults


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[str, str, list[str]]]:
    for variable in sorted(environ):
        name = variable.removeprefix(PREFIX)
        words = name.split("__")
        if variable.startswith(PREFIX) and name.upper() not in RESERVED and all(words):
            yield variable, environ[variable], words


def _spelled(model: Model, words: Sequence[str]) -> Iterator[Any]:
    """Yield each word as the model spells it; in lower case where it does not know it."""
    done: list[str] = []
    for word in words:
        known = {key.lower(): key for key in keys_at(model, tuple(done))}
        done.append(known.get(word.lower(), word.lower()))
        yield done[-1]
