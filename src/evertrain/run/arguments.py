"""What `Run(...)` was given, judged before anything is touched.

Layer: run. Imports checkpoint and core.
"""

import json
import operator
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, SupportsIndex

from evertrain.checkpoint import keep, when
from evertrain.checkpoint.rank import Best, parse_best
from evertrain.checkpoint.store import MAX_STEP
from evertrain.core.document import parse_json
from evertrain.core.errors import UsageError
from evertrain.core.journal import finite
from evertrain.run.choose import MEANINGS, is_meant
from evertrain.run.rng import MAX_SEED

# What makes a rule is easily taken for one: `save=auto` instead of `save=auto()`.
_MAKERS: Final[tuple[object, ...]] = (
    when.auto,
    when.every,
    when.when_any,
    keep.keep_all,
    keep.keep_any,
    keep.keep_best,
    keep.keep_daily,
    keep.keep_every,
    keep.keep_hourly,
    keep.keep_last,
    keep.keep_stages,
    keep.keep_within,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """The checked arguments of a run, each of the type that the rest of it relies on.

    Attributes:
        path: Run directory.
        total: Steps wanted, 1 or more, or None.
        unit: What a step is called.
        seed: Seed of the global generators, or None.
        best: What is better, or None.
        resume: Where to begin: a keyword, a step or a path.
        config: The configuration as strict JSON has it, or None.
        stride: Steps that an iteration counts, 1 or more.
        partial: Patterns of leaves that may differ.
    """

    path: Path
    total: int | None
    unit: str
    seed: int | None
    best: Best | None
    resume: str | int | Path
    config: dict[str, Any] | None
    stride: int
    partial: tuple[str, ...]


def check(**given: Any) -> Arguments:
    """Return the arguments of `Run` as the types that they stand for.

    Raises:
        UsageError: One of them cannot mean anything. The message names it.
    """
    _check_rule("save", given["save"], "every(steps=10)")
    _check_rule("keep", given["keep"], "keep_last(5)")
    _check_text("recipe", given["recipe"])
    _check_text("best", given["best"])
    _check_source(given["init_from"])
    _check_end(given["on_stop"])
    return Arguments(
        path=_path(given["path"]),
        total=None if given["total"] is None else _count("total", given["total"]),
        unit=_unit(given["unit"]),
        seed=None if given["seed"] is None else _whole("seed", given["seed"], 0, MAX_SEED),
        best=None if given["best"] is None else parse_best(given["best"]),
        resume=_resume(given["resume"]),
        config=None if given["config"] is None else plain_config(given["config"]),
        stride=_count("stride", given["stride"]),
        partial=_patterns(given["partial"]),
    )


def plain_config(config: Any) -> dict[str, Any]:
    """Return a configuration as strict JSON has it, so that comparing with the file is fair.

    NaN and the infinities become their names. Pydantic models dump themselves.

    Raises:
        UsageError: It is no mapping, has keys that JSON cannot have, or is too large or
            too deep to be read again.
    """
    try:
        dump = getattr(config, "model_dump", None)
        found = dump(mode="json") if callable(dump) else config
        if isinstance(found, Mapping):
            plain = finite(json.loads(json.dumps(dict(found), default=_other)))
            read_back: dict[str, Any] = parse_json(json.dumps(plain).encode())
            return read_back
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"config= cannot be written as JSON: {error}.",
            "it is kept in run.json, so that a later start can tell what has changed.",
            "Give names as strings, and values that JSON has.",
        ) from error
    raise UsageError(
        f"config= got {config!r:.80}.",
        "a configuration is a mapping from names to values, or a pydantic model.",
        "Give a dict: config=dict(...), config=vars(args), config=dataclasses.asdict(settings)",
    )


def _other(value: object) -> Any:
    """Return what JSON does not have as what it has: a mapping stays one, the rest is told."""
    return dict(value) if isinstance(value, Mapping) else str(value)


def _path(path: Any) -> Path:
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if isinstance(text, str) and text and "\0" not in text:
        return Path(text)
    raise _refused("path", path, "a run lives in a directory.", "Run('runs/NAME')")


def _unit(unit: Any) -> str:
    if isinstance(unit, str) and unit.strip() and unit.isprintable():
        return unit
    raise _refused("unit", unit, "it is the word for a step, and is printed.", "unit='episode'")


def _resume(resume: Any) -> str | int | Path:
    if isinstance(resume, os.PathLike) and isinstance(text := os.fspath(resume), str):
        return Path(text)
    if isinstance(resume, str) and "\0" not in resume and is_meant(resume):
        return resume
    step = as_index(resume)
    if step is not None and 0 <= step <= MAX_STEP:
        return step
    raise _refused("resume", resume, f"it is {MEANINGS}.", "resume='auto'")


def _patterns(partial: Any) -> tuple[str, ...]:
    if isinstance(partial, str):
        return (partial,)  # one pattern, and not a sequence of letters
    if isinstance(partial, (Sequence, set, frozenset)):
        found = tuple(partial)
        if all(isinstance(each, str) for each in found):
            return found
    raise _refused("partial", partial, "it is a list of patterns of names.", "partial=['head.*']")


def _check_source(source: Any) -> None:
    if source is None or isinstance(source, os.PathLike) or (isinstance(source, str) and source):
        return
    raise _refused(
        "init_from", source, "it names a run or a checkpoint.", "init_from='runs/NAME@best'"
    )


def _check_end(on_stop: Any) -> None:
    if not isinstance(on_stop, str) or on_stop not in {"exit", "return"}:
        why = "it says what a stop request does: end the process, or end the loop."
        raise _refused("on_stop", on_stop, why, "on_stop='exit' or on_stop='return'")


def _check_text(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, str):
        example = {"best": "best='max:reward' or best='min:loss'"}.get(name, f"{name}='NAME'")
        raise _refused(name, value, "it is a string, or None.", example)


def is_rule(rule: object) -> bool:
    """Say whether `rule` can be asked; a class, or what makes a rule, is none yet."""
    is_maker = any(rule is each for each in _MAKERS)
    return callable(rule) and not isinstance(rule, type) and not is_maker


def _check_rule(name: str, rule: Any, example: str) -> None:
    if rule is None or is_rule(rule):
        return
    raise _refused(name, rule, "it is a rule, or None for the usual one.", f"{name}={example}")


def _count(name: str, value: Any) -> int:
    return _whole(name, value, 1, MAX_STEP)


def _whole(name: str, value: Any, low: int, high: int) -> int:
    """Return a whole number as an int; numpy's are welcome, True and 5.0 are not."""
    found = as_index(value)
    if found is not None and low <= found <= high:
        return found
    raise _refused(
        name, value, f"a {name} is {low} to {high}, and a whole number.", f"{name}={max(low, 1)}"
    )


def as_index(value: Any) -> int | None:
    """Return a whole number of any library as an int; None for True, 5.0 and all else."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        return None
    try:
        return operator.index(value)
    except TypeError:  # an array of several numbers promises an index, and has none
        return None


def _refused(name: str, value: object, why: str, example: str) -> UsageError:
    return UsageError(
        f"Run({name}={_shown(value)}) cannot run.", why, f"Write for example {example}"
    )


def _shown(value: object) -> str:
    name = getattr(value, "__name__", None) if callable(value) else None
    return name if isinstance(name, str) else f"{value!r:.80}"
