"""A YAML file as plain values, each with its line and column.

YAML 1.2, so `1e-4` is a number and `on` is a word. Positions come from the
parser's nodes; nothing in a file can name a Python type.

Layer: config. Imports core only.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from evertrain.config.fault import Fault
from evertrain.config.layer import Layer, Loc, Origin, dotted

# Aliases of aliases can make a small file mean a huge one.
_MAX_NODES: Final = 100_000
_MERGE_TAG: Final = "tag:yaml.org,2002:merge"


def read_document(path: Path) -> tuple[Layer, list[Fault]]:
    """Return the settings in `path` and every fault of its text.

    With a fault of the syntax there are no settings; a repeated key is a fault
    and the first value is kept, so that the rest can still be judged.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        problem, meant = "there is no such file", _nearby(path)
        return Layer(), [Fault(where=str(path), key="", problem=problem, suggestion=meant)]
    except (OSError, UnicodeDecodeError) as error:
        return Layer(), [Fault(where=str(path), key="", problem=f"cannot be read: {error}")]
    return parse_document(text, str(path))


def parse_document(text: str, name: str) -> tuple[Layer, list[Fault]]:
    """Do as `read_document` with `text`, called `name` in messages."""
    from ruamel.yaml.error import YAMLError

    reader = _Reader(name)
    try:
        values = reader.read(text)
    except YAMLError as error:
        return Layer(), [_syntax_fault(error, name)]
    if values is None:
        values = {}
    if not isinstance(values, dict):
        problem = f"holds {_kind(values)}, not settings of the form `key: value`"
        return Layer(), [Fault(where=f"{name}:1:1", key="", problem=problem, line=1, column=1)]
    return Layer(values, reader.origins), reader.faults


def parse_value(text: str) -> Any:
    """Return one value as a YAML file would hold it: `1e-4` is a number, `[64, 64]` a list.

    Raises:
        ValueError: It is not YAML; the message says why, in one line.
    """
    from ruamel.yaml.error import YAMLError

    reader = _Reader("value")
    try:
        value = reader.read(text)
    except YAMLError as error:
        raise ValueError(_syntax_fault(error, "").problem) from error
    if reader.faults:
        raise ValueError(reader.faults[0].problem)
    return value


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

        self._yaml = YAML(typ="safe", pure=True)
        node = self._yaml.compose(text)
        return None if node is None else self._value(node, ())

    def _value(self, node: Any, loc: Loc) -> Any:
        self._count += 1
        if self._count > _MAX_NODES or any(each is node for each in self._open):
            self._fault(node, loc, "refers to itself, or holds too much through its aliases")
            return None
        self._open.append(node)
        try:
            if isinstance(node.value, str):
                return self._yaml.constructor.construct_object(node)
            if node.id == "mapping":
                return self._table(node, loc)
            return [self._item(each, (*loc, index)) for index, each in enumerate(node.value)]
        finally:
            self._open.pop()

    def _table(self, node: Any, loc: Loc) -> dict[str, Any]:
        table: dict[str, Any] = {}
        own: set[str] = set()
        for key_node, value_node, is_own in _pairs(node):
            key = key_node.value if isinstance(key_node.value, str) else None
            if key is None:
                self._fault(key_node, loc, "a key must be a word")
            elif is_own and key in own:
                first = self.origins[(*loc, key)]
                problem = f"repeated; it was set in line {first.line} already"
                self._fault(key_node, (*loc, key), problem)
            elif is_own or key not in table:
                own |= {key} if is_own else set()
                self._forget((*loc, key))
                self.origins[(*loc, key)] = self._origin(key_node)
                table[key] = self._value(value_node, (*loc, key))
        return table

    def _item(self, node: Any, loc: Loc) -> Any:
        self.origins[loc] = self._origin(node)
        return self._value(node, loc)

    def _forget(self, loc: Loc) -> None:
        for each in [each for each in self.origins if each[: len(loc)] == loc]:
            del self.origins[each]

    def _origin(self, node: Any) -> Origin:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        return Origin("file", f"{self.name}:{line}:{column}", line, column)

    def _fault(self, node: Any, loc: Loc, problem: str) -> None:
        at = self._origin(node)
        self.faults.append(
            Fault(where=at.where, key=dotted(loc), problem=problem, line=at.line, column=at.column)
        )


def _pairs(node: Any) -> Iterator[tuple[Any, Any, bool]]:
    """Yield key, value and whether it stands in `node` itself; own keys come last.

    `<<: *base` takes the keys of `base` that `node` does not set itself.
    """
    for key, value in node.value:
        if key.tag == _MERGE_TAG:
            for each in value.value if value.id == "sequence" else [value]:
                if each.id == "mapping" and each is not node:
                    yield from ((*pair[:2], False) for pair in _pairs(each))
    yield from ((key, value, True) for key, value in node.value if key.tag != _MERGE_TAG)


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
    return "a list" if isinstance(value, list) else f"the value {value!r}"
