"""A YAML file as plain values, each with its line and column.

YAML 1.2, so `1e-4` is a number and `on` is a word. Positions come from the
parser's nodes; nothing in a file can name a Python type. The file may come from
anybody: how long, how deep and how large it is has a limit.

Layer: config. Imports core only.
"""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from evertrain.config.fault import Fault
from evertrain.config.layer import Layer, Loc, Origin, dotted, locs

_MAX_BYTES: Final = 1 << 18
# Aliases of aliases, and merges of merges, can make a small file mean a huge one.
_MAX_NODES: Final = 10_000
_MAX_DEPTH: Final = 50
_MAX_FAULTS: Final = 100
_MAX_BITS: Final = 3_000
_NOTHING: Final = object()
_MAX_OPEN: Final = 4 * _MAX_DEPTH
_BRACKET: Final = re.compile(r"[\[\]{}]")
_TAGS: Final = "tag:yaml.org,2002:"
_MERGE_TAG: Final = f"{_TAGS}merge"
_TABLE_TAGS: Final = frozenset({f"{_TAGS}map", f"{_TAGS}seq"})
# What making a value of a text raises that only looks like one: 31st of June, 0x, !!bool maybe.
_WRONG: Final = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)


def read_document(path: Path) -> tuple[Layer, list[Fault]]:
    """Return the settings in `path` and every fault of its text.

    With a fault of the syntax there are no settings; a repeated key is a fault
    and the first value is kept, so that the rest can still be judged.
    """
    return _table(*read_tree(path), str(path))


def parse_document(text: str, name: str) -> tuple[Layer, list[Fault]]:
    """Do as `read_document` with `text`, called `name` in messages."""
    return _table(*parse_tree(text, name), name)


def read_tree(path: Path) -> tuple[Any, dict[Loc, Origin], list[Fault]]:
    """Return what `path` holds, be it a list or a table, where each value stands, and faults."""
    try:
        text = _text_of(path)
    except FileNotFoundError:
        problem, meant = "there is no such file", _nearby(path)
        return None, {}, [Fault(where=str(path), key="", problem=problem, suggestion=meant)]
    except (OSError, ValueError) as error:
        return None, {}, [Fault(where=str(path), key="", problem=f"cannot be read: {error}")]
    return parse_tree(text, str(path))


def parse_tree(text: str, name: str) -> tuple[Any, dict[Loc, Origin], list[Fault]]:
    """Do as `read_tree` with `text`, called `name` in messages."""
    from ruamel.yaml.error import YAMLError

    reader = _Reader(name)
    try:
        return reader.read(text), reader.origins, reader.faults
    except YAMLError as error:
        return None, {}, [_syntax_fault(error, name)]
    except RecursionError:
        return None, {}, [Fault(where=name, key="", problem="is nested too deep")]
    except _TooMuchError as error:
        return None, {}, [*reader.faults, error.fault]


def _table(
    values: Any, origins: dict[Loc, Origin], faults: list[Fault], name: str
) -> tuple[Layer, list[Fault]]:
    if values is None or isinstance(values, dict):
        return Layer(values or {}, origins if values else {}), faults
    problem = f"holds {_kind(values)}, not settings of the form `key: value`"
    return Layer(), [Fault(where=f"{name}:1:1", key="", problem=problem, line=1, column=1)]


def parse_value(text: str) -> Any:
    """Return one value as a YAML file would hold it: `1e-4` is a number, `[64, 64]` a list.

    Raises:
        ValueError: It is not YAML; the message says why, in one line.
    """
    from ruamel.yaml.error import YAMLError

    reader = _Reader("value")
    try:
        if len(text) > _MAX_BYTES:
            raise ValueError("longer than any setting")
        value = reader.read(text)
    except YAMLError as error:
        raise ValueError(_syntax_fault(error, "").problem) from error
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    except _TooMuchError as error:
        raise ValueError(error.fault.problem) from error
    if reader.faults:
        raise ValueError(reader.faults[0].problem)
    return value


class _TooMuchError(Exception):
    """Reading must not go on: whatever came, there would be more of it.

    Attributes:
        fault: Where, and why.
    """

    def __init__(self, fault: Fault) -> None:
        """Keep the fault."""
        super().__init__(fault.problem)
        self.fault = fault


@dataclass(slots=True)
class _Reader:
    """Turns nodes into values and notes where each stood."""

    name: str
    origins: dict[Loc, Origin] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    _count: int = 0
    _yaml: Any = None
    _open: list[Any] = field(default_factory=list)

    def read(self, text: str) -> Any:
        from ruamel.yaml import YAML

        if _most_open(text) > _MAX_OPEN:  # the parser would take minutes to find out
            raise RecursionError
        self._yaml = YAML(typ="safe", pure=True)
        node = self._yaml.compose(text)
        return None if node is None else self._value(node, ())

    def _value(self, node: Any, loc: Loc) -> Any:
        self._count_one(node, loc)
        if any(each is node for each in self._open):
            self._fault(node, loc, "refers to itself")
            return None
        if isinstance(node.value, str):
            return self._scalar(node, loc)
        if node.tag not in _TABLE_TAGS:
            self._fault(node, loc, f"has the tag {node.tag!s:.60}, which means nothing here")
            return None
        self._open.append(node)
        try:
            if node.id == "mapping":
                return self._table(node, loc)
            return [self._item(each, (*loc, index)) for index, each in enumerate(node.value)]
        finally:
            self._open.pop()

    def _count_one(self, node: Any, loc: Loc) -> None:
        self._count += 1
        if self._count > _MAX_NODES:
            self._stop(node, loc, "the file holds too much, perhaps through its aliases")
        if len(loc) > _MAX_DEPTH:
            self._stop(node, loc, "is nested too deep")

    def _scalar(self, node: Any, loc: Loc) -> Any:
        try:
            value = self._yaml.constructor.construct_object(node)
        except _WRONG:
            value = _NOTHING
        is_giant = isinstance(value, int) and value.bit_length() > _MAX_BITS  # nobody prints it
        if value is _NOTHING or is_giant:
            kind = str(node.tag).removeprefix(_TAGS)
            self._fault(node, loc, f"looks like a value of the kind {kind}, and is none")
            return None
        return value

    def _table(self, node: Any, loc: Loc) -> dict[str, Any]:
        table: dict[str, Any] = {}
        own: set[str] = set()
        for key_node, value_node, is_own in _pairs(node):
            self._count_one(key_node, loc)
            key = key_node.value if isinstance(key_node.value, str) else None
            if key is None:
                self._fault(key_node, loc, "a key must be a word")
            elif is_own and key in own:
                first = self.origins[(*loc, key)]
                problem = f"repeated; it was set in line {first.line} already"
                self._fault(key_node, (*loc, key), problem)
            elif is_own or key not in table:
                own |= {key} if is_own else set()
                if key in table:
                    self._forget((*loc, key), table[key])
                self.origins[(*loc, key)] = self._origin(key_node)
                table[key] = self._value(value_node, (*loc, key))
        return table

    def _item(self, node: Any, loc: Loc) -> Any:
        self.origins[loc] = self._origin(node)
        return self._value(node, loc)

    def _forget(self, loc: Loc, value: Any) -> None:
        for each in [(), *locs(value)]:
            self.origins.pop((*loc, *each), None)

    def _origin(self, node: Any) -> Origin:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        return Origin("file", f"{self.name}:{line}:{column}", line, column)

    def _fault(self, node: Any, loc: Loc, problem: str) -> None:
        self.faults.append(self._fault_at(node, loc, problem))
        if len(self.faults) >= _MAX_FAULTS:
            self._stop(node, loc, f"this is the fault number {_MAX_FAULTS}")

    def _stop(self, node: Any, loc: Loc, problem: str) -> NoReturn:
        raise _TooMuchError(self._fault_at(node, loc[:3], problem))

    def _fault_at(self, node: Any, loc: Loc, problem: str) -> Fault:
        at = self._origin(node)
        return Fault(
            where=at.where, key=dotted(loc), problem=problem, line=at.line, column=at.column
        )


def _most_open(text: str) -> int:
    """Return how many brackets are open at once; those in texts and comments count, too."""
    count = most = 0
    for found in _BRACKET.finditer(text):
        count = max(0, count + (1 if found[0] in "[{" else -1))
        most = max(most, count)
    return most


def _text_of(path: Path) -> str:
    with path.open("rb") as file:  # a pipe is welcome: <(generate)
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError(f"it is longer than {_MAX_BYTES} bytes")
    return data.decode("utf-8")


def _pairs(node: Any) -> Iterator[tuple[Any, Any, bool]]:
    """Yield key, value and whether it stands in `node` itself; own keys come last.

    `<<: *base` takes the keys of `base` that `node` does not set itself.
    """
    yield from ((key, value, False) for key, value in _merged(node, {id(node)}))
    yield from ((key, value, True) for key, value in _own(node))


def _merged(node: Any, seen: set[int]) -> Iterator[tuple[Any, Any]]:
    """Yield what `node` takes from others, what counts most first; from each of them once."""
    for key, value in node.value:
        if key.tag != _MERGE_TAG:
            continue
        for each in value.value if value.id == "sequence" else [value]:
            if each.id == "mapping" and id(each) not in seen:
                seen.add(id(each))
                yield from _own(each)
                yield from _merged(each, seen)


def _own(node: Any) -> Iterator[tuple[Any, Any]]:
    return ((key, value) for key, value in node.value if key.tag != _MERGE_TAG)


def _syntax_fault(error: Any, name: str) -> Fault:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    context = getattr(error, "context", None)
    text = "not YAML: " + (f"{context}: {problem}" if context else problem)
    if mark is None:
        return Fault(where=name, key="", problem=text)
    line, column = mark.line + 1, mark.column + 1
    return Fault(
        where=f"{name}:{line}:{column}",
        key="",
        problem=text,
        line=line,
        column=column,
    )


def _nearby(path: Path) -> str | None:
    try:
        beside = [each.name for each in path.parent.iterdir() if each.is_file()]
    except OSError:
        return None
    found = difflib.get_close_matches(path.name, beside, n=1)
    return str(path.with_name(found[0])) if found else None


def _kind(value: object) -> str:
    return "a list" if isinstance(value, list) else f"the value {value!r:.60}"
