"""The effective configuration: every source merged, checked, and its origins kept.

Command line over environment over file over preset over default.

Layer: config. Imports core only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from evertrain.config.document import read_document
from evertrain.config.fault import Fault, error_of
from evertrain.config.layer import Layer, Loc, Origin, dotted, lay, origin_of, preset_layer
from evertrain.config.override import apply, from_environment, from_options
from evertrain.config.suggest import suggest

ModelT = TypeVar("ModelT", bound=BaseModel)

DEFAULT: Final = Origin("default")


@dataclass(frozen=True, slots=True)
class Resolved(Generic[ModelT]):
    """A configuration that can work.

    Attributes:
        config: The checked model.
        origins: Who set each effective value, by dotted key ("stages.0.steps").
    """

    config: ModelT
    origins: dict[str, Origin]


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings that a recipe ships, below the user's file.

    Attributes:
        name: Shown as their origin.
        values: Plain dicts, lists and scalars.
    """

    name: str
    values: Mapping[str, Any]


def resolve(
    model_class: type[ModelT],
    *,
    file: Path | str | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    preset: Preset | None = None,
) -> Resolved[ModelT]:
    """Return the effective configuration and where each value came from.

    Args:
        model_class: What a configuration must look like; use `extra="forbid"`.
        file: YAML file, or None.
        overrides: "key.inner=value" texts of `-o`; the last one wins.
        environ: Variables to look at, such as `os.environ`; None looks at none.
        preset: Settings below the file, or None.

    Raises:
        ConfigError: Something is wrong. One error names every fault, each with its place.
    """
    found, faults = examine(
        model_class, file=file, overrides=overrides, environ=environ, preset=preset
    )
    if found is None or faults:
        raise error_of(faults, str(file) if file else "the configuration")
    return found


def examine(
    model_class: type[ModelT],
    *,
    file: Path | str | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    preset: Preset | None = None,
) -> tuple[Resolved[ModelT] | None, list[Fault]]:
    """Do as `resolve`, but return the faults instead of raising them.

    Returns:
        The configuration, or None if it has faults; and the faults, in the order of the file.
    """
    layer = preset_layer(preset.values, preset.name) if preset else Layer()
    faults: list[Fault] = []
    if file is not None:
        from_file, faults = read_document(Path(file))
        if faults and not from_file.values:
            return None, faults  # nothing to judge: more faults would only mislead
        lay(layer, from_file)
    for given, wrong in (from_environment(environ or {}, model_class), from_options(overrides)):
        faults += wrong + apply(layer, given)
    config, invalid = _validate(model_class, layer, "" if file is None else str(file))
    faults = sorted(faults + invalid, key=_order)
    if config is None or faults:
        return None, faults
    return Resolved(config, dict(_origins(config, layer))), []


def leaves(config: BaseModel) -> list[tuple[str, Any]]:
    """Return every effective value by its dotted key, in the order of the model."""
    return [(dotted(loc), value) for loc, value in _leaves(config.model_dump(mode="json"), ())]


def _validate(
    model_class: type[ModelT], layer: Layer, file: str
) -> tuple[ModelT | None, list[Fault]]:
    try:
        return model_class.model_validate(layer.values), []
    except ValidationError as error:
        found = error.errors(include_url=False)
        own = [each for each in found if not _follows_from_another(each, found)]
        faults = [_fault(model_class, layer, file, each) for each in own]
        return None, list(dict.fromkeys(faults))


def _follows_from_another(error: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether a list is "too short" only because its items are at fault."""
    loc = error["loc"]
    return error["type"] == "too_short" and any(
        each["loc"][: len(loc)] == loc and len(each["loc"]) > len(loc) for each in found
    )


def _fault(
    model_class: type[BaseModel], layer: Layer, file: str, error: Mapping[str, Any]
) -> Fault:
    is_unknown = error["type"] == "extra_forbidden"
    loc = _real(layer.values, error["loc"], is_missing=error["type"] == "missing")
    at = origin_of(layer.origins, loc) or DEFAULT
    return Fault(
        where=at.where or file,
        key=dotted(loc),
        problem="unknown key" if is_unknown else _problem(error),
        suggestion=suggest(model_class, loc) if is_unknown else None,
        line=at.line,
        column=at.column,
    )


def _problem(error: Mapping[str, Any]) -> str:
    """Return pydantic's message as the end of a sentence that began with the key."""
    if error["type"] == "missing":
        return "is missing"
    text = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if text.startswith("Input should"):
        text = text.removeprefix("Input ")
    if isinstance(error["input"], (dict, list, BaseModel)) or not error["loc"]:
        return text
    shown = repr(error["input"])
    return f"{text}, found {shown}" if len(shown) <= 60 else text  # noqa: PLR2004


def _real(values: Any, loc: Loc, *, is_missing: bool) -> Loc:
    """Return `loc` without the names of types that pydantic puts between the keys."""
    kept: list[str | int] = []
    here = values
    for part in loc:
        inner = _inside(here, part)
        if inner is not _NOTHING:
            kept.append(part)
            here = inner
        elif is_missing and part == loc[-1]:
            kept.append(part)
    return tuple(kept)


_NOTHING: Final = object()


def _inside(here: Any, part: str | int) -> Any:
    if isinstance(here, Mapping):
        return here.get(part, _NOTHING)
    if isinstance(here, (list, tuple)) and isinstance(part, int) and part < len(here):
        return here[part]
    return _NOTHING


def _origins(config: BaseModel, layer: Layer) -> Iterator[tuple[str, Origin]]:
    for loc, _ in _leaves(config.model_dump(mode="json"), ()):
        yield dotted(loc), _effective(layer, loc)


def _effective(layer: Layer, loc: Loc) -> Origin:
    """Return who set the value at `loc`: it, or the scalar around it that became a table."""
    for length in range(len(loc), 0, -1):
        at = loc[:length]
        if at in layer.origins and (length == len(loc) or not _is_table(layer.values, at)):
            return layer.origins[at]
    return DEFAULT


def _is_table(values: Any, loc: Loc) -> bool:
    for part in loc:
        values = _inside(values, part)
    return isinstance(values, (Mapping, list, tuple))


def _leaves(value: Any, loc: Loc) -> Iterator[tuple[Loc, Any]]:
    """Yield scalars, and lists of scalars whole."""
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _leaves(each, (*loc, key))
    elif isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value):
        for index, each in enumerate(value):
            yield from _leaves(each, (*loc, index))
    else:
        yield loc, value


def _order(fault: Fault) -> tuple[bool, int, int]:
    return fault.line is None, fault.line or 0, fault.column or 0
