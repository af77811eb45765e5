"""The nouns of a tree: what flattening yields and what decoding may return.

Layer: checkpoint. Imports core only.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from evertrain.checkpoint.plugin import RawArray, Tree

# JSON values: None, bool, int, float, str, list, dict with str keys.
Json = Any

# One step into a tree: a name, or an index.
Part = str | int

# A key or a field that marks a JSON object as an encoded value.
MARK: Final = "$"

# Deeper than any real state; well below Python's recursion limit.
MAX_DEPTH: Final = 100

# Integers at least this large are not exact in every JSON reader.
EXACT_INT: Final = 2**53

# Shorter byte strings stand in the skeleton itself, as hex.
SHORT_BYTES: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class Flat:
    """A tree taken apart.

    Attributes:
        skeleton: The tree as JSON; each array is replaced by its key.
        arrays: The arrays by key, in the tree's order. They share memory with the tree.
        rows: Those of them that are `Rows`, with what their owner has written, or None.
    """

    skeleton: Json
    arrays: dict[str, RawArray]
    rows: dict[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """A dataclass or named tuple as a file describes it: its class is only a name.

    Attributes:
        class_name: "module:Class" of the object that was saved.
        fields: Its fields, in order.
        is_tuple: Whether it was a named tuple.
    """

    class_name: str
    fields: dict[str, Tree]
    is_tuple: bool

    def __hash__(self) -> int:
        """Hash by value, as the named tuple or frozen dataclass did that was a key."""
        return hash((self.class_name, tuple(self.fields.items())))


@dataclass(frozen=True, slots=True)
class EnumName:
    """A member of an enumeration as a file describes it.

    Attributes:
        class_name: "module:Class" of the enumeration.
        name: Name of the member; "A|B" for flags that are combined, "" for none of them.
    """

    class_name: str
    name: str


class Unstorable(Exception):  # noqa: N818  (never leaves the room: the encoder adds the path)
    """A leaf cannot be stored.

    Attributes:
        reason: Why.
        fix: What to do about it.
    """

    def __init__(self, reason: str, fix: str) -> None:
        """Keep both parts."""
        super().__init__(reason, fix)
        self.reason = reason
        self.fix = fix


def class_name(cls: type) -> str:
    """Return "module:Class"."""
    return f"{cls.__module__}:{cls.__qualname__}"


def path_text(at: str, path: tuple[Part, ...]) -> str:
    """Return a path as a person writes it: `agent.layers[3].hook`."""
    text = at
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isidentifier():
            text += f".{part}" if text else part
        else:
            text += f"[{part!r}]"
    return text or "(the whole tree)"
