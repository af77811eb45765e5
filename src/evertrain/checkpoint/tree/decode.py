"""Putting a tree together. The skeleton may come from anyone: nothing in it is trusted.

Layer: checkpoint. Imports core only.
"""

import math
import struct
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from evertrain.checkpoint import plugin
from evertrain.checkpoint.plugin import RawArray, Tree
from evertrain.checkpoint.tree import arrays, generators, registry
from evertrain.checkpoint.tree.encode import FACTORIES
from evertrain.checkpoint.tree.kinds import EXACT_INT, MARK, MAX_DEPTH, EnumName, Json, Record
from evertrain.core.errors import CorruptError, EvertrainError, FormatError, StateError

# What building a value from wrong parts raises.
_WRONG: Final = (
    TypeError,
    ValueError,
    KeyError,
    IndexError,
    ArithmeticError,
    AttributeError,
    RecursionError,
)
_MAX_SAID: Final = 200
_MAX_NAME: Final = 60


def unflatten(skeleton: Json, arrays: Mapping[str, RawArray]) -> Tree:
    """Put a tree together. Runs no code but this package's, the plugins' and the program's.

    Args:
        skeleton: What `flatten` returned, perhaps by way of a file.
        arrays: The arrays by key. The tree shares memory with them.

    Raises:
        FormatError: It holds a kind of value that this version does not know.
        StateError: The skeleton is not one, or does not fit the arrays; or a registered type
            or a plugin refuses what is stored.
        MissingExtraError: The package that a leaf belongs to is not installed.
    """
    return Decoder(arrays).decode(skeleton, 0)


class Decoder:
    """One unflattening."""

    def __init__(self, arrays: Mapping[str, RawArray]) -> None:
        """Keep the arrays at hand."""
        self._arrays = dict(arrays)

    def decode(self, node: Json, depth: int) -> Tree:
        """Return the value that `node` describes.

        Raises:
            EvertrainError: As `unflatten`.
        """
        kind = type(node)
        if node is None or kind is bool or kind is str:
            return node
        if (kind is int and -EXACT_INT < node < EXACT_INT) or (
            kind is float and math.isfinite(node)
        ):
            return node
        if depth > MAX_DEPTH:
            raise _hopeless(f"a tree is nested more than {MAX_DEPTH} levels deep")
        if kind is list:
            return [self.decode(each, depth + 1) for each in node]
        if kind is dict:
            return self._marked(node, depth) if MARK in node else self.fields(node, depth)
        raise _hopeless(f"{str(node)[:40]} is no value of a tree")

    def items(self, node: Json, depth: int) -> list[Tree]:
        """Return the members of a sequence."""
        members = node["items"]
        if type(members) is not list:
            raise TypeError("items is no list")
        return [self.decode(each, depth + 1) for each in members]

    def pairs(self, node: Json, depth: int) -> list[tuple[Tree, Tree]]:
        """Return the members of a mapping."""
        found = []
        for each in node["items"]:
            key, value = each
            found.append((self.decode(key, depth + 1), self.decode(value, depth + 1)))
        if len({key for key, _ in found}) != len(found):
            raise ValueError("a key stands twice")
        return found

    def fields(self, node: Json, depth: int) -> dict[str, Tree]:
        """Return named members."""
        if type(node) is not dict or any(key[:1] == MARK for key in node):
            raise _hopeless("a mapping has a reserved name")
        return {key: self.decode(each, depth + 1) for key, each in node.items()}

    def bytes_of(self, node: Json) -> bytes:
        """Return stored bytes."""
        if "hex" in node:
            return bytes.fromhex(node["hex"])
        return self.take(node).data.tobytes()

    def take(self, node: Json) -> RawArray:
        """Return the array that a leaf names. It stands for one leaf: a second one has none.

        Else a short file could ask for a thousand copies of a long array.
        """
        return self._arrays.pop(node["key"])

    def _marked(self, node: dict[str, Json], depth: int) -> Tree:
        kind = node[MARK]
        build = _KINDS.get(kind) if isinstance(kind, str) else None
        if build is None:
            raise FormatError(
                f"the checkpoint holds a value of the kind {str(kind)[:40]!r}.",
                "this evertrain does not know that kind.",
                "Upgrade evertrain (pip install -U evertrain), or use the version that wrote it.",
            )
        try:
            return build(self, node, depth)
        except EvertrainError:
            raise
        except (*_WRONG, struct.error, MemoryError) as error:
            raise _hopeless(f"a {kind} cannot be put together ({error!r:.{_MAX_SAID}})") from error


Builder = Callable[[Decoder, dict[str, Json], int], Tree]


def _hopeless(problem: str) -> StateError:
    """Return the error for a tree that cannot be put together although its bytes are right.

    It is no damage: a checkpoint that is called damaged is set aside, and an older one taken.
    """
    return StateError(
        f"{problem}.",
        "these are the bytes that were saved, but they make no tree that evertrain can build.",
        "Resume from an older checkpoint (evertrain ls RUN; --resume STEP), or upgrade evertrain.",
    )


def _float(_: Decoder, node: Json, __: int) -> float:
    found: float
    (found,) = struct.unpack(">d", bytes.fromhex(node["bits"]))
    return found


def _complex(_: Decoder, node: Json, __: int) -> complex:
    return complex(*struct.unpack(">dd", bytes.fromhex(node["bits"])))


def _int(_: Decoder, node: Json, __: int) -> int:
    return int(_text(node, "hex"), 16)


def _str(_: Decoder, node: Json, __: int) -> str:
    return bytes.fromhex(node["hex"]).decode("utf-8", "surrogatepass")


def _deque(decoder: Decoder, node: Json, depth: int) -> deque[Tree]:
    items, maxlen = decoder.items(node, depth), node["maxlen"]
    if maxlen is not None and (type(maxlen) is not int or len(items) > maxlen):
        raise ValueError(f"maxlen {maxlen!r}")
    return deque(items, maxlen)


def _defaultdict(decoder: Decoder, node: Json, depth: int) -> defaultdict[Tree, Tree]:
    name = node["factory"]
    return defaultdict(None if name is None else FACTORIES[name], decoder.pairs(node, depth))


def _range(decoder: Decoder, node: Json, depth: int) -> range:
    return range(*decoder.items(node, depth))


def _array(decoder: Decoder, node: Json, _: int) -> Any:
    return arrays.raw_to_array(decoder.take(node), node)


def _generator(decoder: Decoder, node: Json, depth: int) -> Any:
    return generators.generator_from_tree(decoder.decode(node["tree"], depth + 1))


def _random(decoder: Decoder, node: Json, depth: int) -> Any:
    return generators.random_from_tree(decoder.decode(node["tree"], depth + 1))


def _namedtuple(decoder: Decoder, node: Json, depth: int) -> Record:
    return Record(_text(node, "class"), decoder.fields(node["fields"], depth), is_tuple=True)


def _dataclass(decoder: Decoder, node: Json, depth: int) -> Record:
    return Record(_text(node, "class"), decoder.fields(node["fields"], depth), is_tuple=False)


def _enum(_: Decoder, node: Json, __: int) -> EnumName:
    return EnumName(_text(node, "class"), _text(node, "name"))


def _registered(decoder: Decoder, node: Json, depth: int) -> Tree:
    name = _text(node, "name")
    entry = registry.by_name(name)
    if entry is None:
        raise StateError(
            f"the checkpoint holds a {name!r:.{_MAX_NAME}}, which this program has not registered.",
            "only the program knows how to put such a value together.",
            f"Call register(cls, {name!r:.{_MAX_NAME}}, to_tree, from_tree) before loading.",
        )
    tree = decoder.decode(node["tree"], depth + 1)
    try:
        return entry.from_tree(tree)
    except _WRONG as error:
        raise _refused(name, error) from error


def _codec(decoder: Decoder, node: Json, depth: int) -> Tree:
    name = _text(node, "name")
    codec = plugin.codec_named(name)
    meta = decoder.decode(node["meta"], depth + 1)
    children = decoder.fields(node["children"], depth + 1)
    try:
        return codec.decode(meta, children)
    except (*_WRONG, RuntimeError, CorruptError) as error:
        raise _refused(name, error) from error


def _refused(name: str, error: Exception) -> StateError:
    return StateError(
        f"{name!r} refuses what the checkpoint holds: {error!r:.{_MAX_SAID}}.",
        "its code no longer fits the stored value.",
        "Use the version of the program that saved it, or make its from_tree accept the old form.",
    )


def _text(node: Json, name: str) -> str:
    found = node[name]
    if type(found) is not str:
        raise TypeError(f"{name} is {found!r:.{_MAX_NAME}}")
    return found


_KINDS: Final[Mapping[str, Builder]] = {
    "array": _array,
    "bytearray": lambda decoder, node, _: bytearray(decoder.bytes_of(node)),
    "bytes": lambda decoder, node, _: decoder.bytes_of(node),
    "codec": _codec,
    "complex": _complex,
    "counter": lambda decoder, node, depth: Counter(dict(decoder.pairs(node, depth))),
    "dataclass": _dataclass,
    "defaultdict": _defaultdict,
    "deque": _deque,
    "dict": lambda decoder, node, depth: dict(decoder.pairs(node, depth)),
    "enum": _enum,
    "float": _float,
    "frozenset": lambda decoder, node, depth: frozenset(decoder.items(node, depth)),
    "generator": _generator,
    "int": _int,
    "namedtuple": _namedtuple,
    "ordereddict": lambda decoder, node, depth: OrderedDict(decoder.pairs(node, depth)),
    "random": _random,
    "range": _range,
    "raw": lambda decoder, node, _: decoder.take(node),
    "registered": _registered,
    "scalar": lambda _, node, __: arrays.scalar_from_json(node),
    "set": lambda decoder, node, depth: set(decoder.items(node, depth)),
    "str": _str,
    "tuple": lambda decoder, node, depth: tuple(decoder.items(node, depth)),
}
