"""Taking a tree apart: JSON for its structure, arrays for its bulk.

Types are compared exactly: numpy's float64 is a float, an IntEnum is an int,
torch.Size is a tuple, and none of them would come back as what it was.

Layer: checkpoint. Imports core only.
"""

import json
import math
import random
import struct
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from enum import Enum
from typing import Any, Final

from evertrain.checkpoint import plugin
from evertrain.checkpoint.plugin import RawArray, Rows, Tree
from evertrain.checkpoint.tree import arrays, generators, registry
from evertrain.checkpoint.tree.kinds import (
    EXACT_INT,
    MARK,
    MAX_DEPTH,
    SHORT_BYTES,
    EnumName,
    Flat,
    Json,
    Part,
    Record,
    Unstorable,
    class_name,
    path_text,
)
from evertrain.checkpoint.tree.records import (
    extra_attributes,
    field_names,
    field_values,
    member_name,
)
from evertrain.core.errors import StateError

Path = tuple[Part, ...]

_PLAIN: Final = frozenset({type(None), bool, int, float, str})
_RESERVED_KEY: Final = "__metadata__"
FACTORIES: Final[Mapping[str, type]] = {
    each.__name__: each for each in (bool, bytes, dict, float, int, list, set, str, tuple)
}


def flatten(tree: Tree, at: str = "") -> Flat:
    """Take a tree apart into JSON and arrays.

    The arrays share memory with the tree: do not change it before they are written.

    Args:
        tree: What to store.
        at: What the tree is called, for messages.

    Raises:
        StateError: A leaf cannot be stored, something contains itself, or the
            nesting is too deep. The message names the path.
    """
    encoder = Encoder(at)
    return Flat(encoder.encode(tree, ()), encoder.arrays, encoder.rows)


class Encoder:
    """One flattening: the arrays found so far, and the containers that are open.

    Attributes:
        arrays: Arrays by key.
        rows: Those that are `Rows`, by key.
    """

    def __init__(self, at: str) -> None:
        """Start with nothing."""
        self.arrays: dict[str, RawArray] = {}
        self.rows: dict[str, int | None] = {}
        self._at = at
        self._open: set[int] = set()
        self._taken: dict[str, int] = {}
        self._is_inline = False
        self._within = ""

    def encode(self, value: Tree, path: Path) -> Json:
        """Return `value` as JSON; its arrays go to `arrays`.

        Raises:
            StateError: It cannot be stored.
        """
        if type(value) in _PLAIN:
            return _plain(value)
        key = id(value)
        try:
            self._check_open(key)
            self._open.add(key)
            return _handler(value)(self, value, path)
        except Unstorable as error:
            raise StateError(
                f"{path_text(self._at, path)} is a {type(value).__qualname__}"
                " that cannot be stored.",
                error.reason,
                error.fix,
            ) from error
        finally:
            self._open.discard(key)

    def items(self, values: Iterable[Tree], path: Path) -> list[Json]:
        """Encode the members of a sequence."""
        if isinstance(values, list) and _is_bulk(values):
            return list(values)
        return [
            _plain(each) if type(each) in _PLAIN else self.encode(each, (*path, index))
            for index, each in enumerate(values)
        ]

    def fields(self, values: Iterable[tuple[str, Tree]], path: Path) -> dict[str, Json]:
        """Encode named members."""
        return {name: self.encode(each, (*path, name)) for name, each in values}

    def pairs(self, values: Mapping[Tree, Tree], path: Path) -> list[Json]:
        """Encode a mapping whose keys JSON cannot hold."""
        return [
            [self.inline(key, path), self.encode(each, (*path, _part(key)))]
            for key, each in values.items()
        ]

    def inline(self, value: Tree, path: Path) -> Json:
        """Encode a value that must stand in the skeleton: a key, a member of a set."""
        was, self._is_inline = self._is_inline, True
        try:
            return self.encode(value, path)
        finally:
            self._is_inline = was

    def within(self, name: str, tree: Tree, path: Path) -> Json:
        """Encode what a registered value was taken apart into: its `from_tree` is to get it back.

        A class that is stored by its name would not come back as what `to_tree` gave.
        """
        was, self._within = self._within, name
        try:
            return self.encode(tree, path)
        finally:
            self._within = was

    def check_class(self, name: str, *, may_be_key: bool) -> None:
        """Refuse a class that is stored by its name only, where the program could not turn it back.

        Raises:
            Unstorable: It is a key, a member of a set, or inside a registered value.
        """
        short = name.rpartition(":")[2].rpartition(".")[2]
        fix = f"Register it, before the first save and the first load: evertrain.register({short})"
        if self._within:
            raise Unstorable(
                f"it stands in a registered {self._within}, and a file only names its class.", fix
            )
        if self._is_inline and not may_be_key:
            raise Unstorable(
                "it is a key of a dict or a member of a set, and a file only names its class.", fix
            )

    def put(self, raw: RawArray, path: Path) -> str:
        """Keep an array and return its key.

        Raises:
            Unstorable: It stands where only small values may.
        """
        if self._is_inline:
            raise Unstorable(
                "a key of a dict or a member of a set cannot be an array.",
                "Use a name or a number as the key, and a list or dict instead of the set.",
            )
        key = self._free_key(path)
        self.arrays[key] = raw
        return key

    def put_bytes(self, data: bytes, path: Path) -> dict[str, Json]:
        """Store bytes: short ones in the skeleton, long ones as an array."""
        if self._is_inline or len(data) <= SHORT_BYTES:
            return {"hex": data.hex()}
        import numpy as np

        raw = RawArray("U8", (len(data),), np.frombuffer(data, "u1"), is_own=True)
        return {"key": self.put(raw, path)}

    def _check_open(self, key: int) -> None:
        if key in self._open:
            raise Unstorable("it contains itself.", "Store the parts, without the cycle.")
        if len(self._open) >= MAX_DEPTH:
            raise Unstorable(
                f"it is nested more than {MAX_DEPTH} levels deep.", "Store a flatter structure."
            )

    def _free_key(self, path: Path) -> str:
        wanted = "/".join(map(str, path)) or "value"
        wanted = wanted.encode("utf-8", "backslashreplace").decode()
        key, count = wanted, self._taken.get(wanted, 1)
        while key in self.arrays or key == _RESERVED_KEY:
            count += 1
            key = f"{wanted}~{count}"
        self._taken[wanted] = count  # thousands of keys may be cut to the same one
        return key


Handler = Callable[[Encoder, Any, Path], Json]


def _plain(value: Tree) -> Json:
    """Return a None, bool, int, float or str as JSON."""
    if type(value) is float and not math.isfinite(value):
        return {MARK: "float", "bits": struct.pack(">d", value).hex()}
    if type(value) is int and not -EXACT_INT < value < EXACT_INT:
        return {MARK: "int", "hex": hex(value)}
    if type(value) is str and not _is_text(value):
        return {MARK: "str", "hex": value.encode("utf-8", "surrogatepass").hex()}
    return value


def _is_text(value: str) -> bool:
    """Say whether JSON can hold the string: two lone surrogates would come back as one letter."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_bulk(values: Sequence[Tree]) -> bool:
    """Say whether a list is all finite floats: the one long list that real states hold."""
    return set(map(type, values)) == {float} and all(map(math.isfinite, values))


def _part(key: Tree) -> Part:
    """Return what a path calls a key: short, and the same in every process.

    A repr would show a set in hash order, or an address.
    """
    if type(key) is str or (type(key) is int and abs(key) < EXACT_INT):
        return key
    if type(key) in {bool, float, bytes, type(None)}:
        return repr(key)[:40]
    if type(key) is tuple:
        return f"({', '.join(str(_part(each)) for each in key)})"[:40]
    return f"a {type(key).__name__}"


def _dict(encoder: Encoder, value: dict[Tree, Tree], path: Path) -> Json:
    if all(type(key) is str and key[:1] != MARK and _is_text(key) for key in value):
        return encoder.fields(value.items(), path)
    return {MARK: "dict", "items": encoder.pairs(value, path)}


def _defaultdict(encoder: Encoder, value: defaultdict[Tree, Tree], path: Path) -> Json:
    factory = value.default_factory
    name = getattr(factory, "__name__", "")
    if factory is not None and FACTORIES.get(name) is not factory:
        raise Unstorable(
            f"its default_factory {factory!r} is code, and code is not stored.",
            f"Use one of {', '.join(FACTORIES)} as the factory, or a plain dict.",
        )
    body = {"factory": name if factory is not None else None}
    return {MARK: "defaultdict", **body, "items": encoder.pairs(value, path)}


def _set(encoder: Encoder, value: set[Tree] | frozenset[Tree], path: Path) -> Json:
    members = [encoder.inline(each, (*path, _part(each))) for each in value]
    return {MARK: type(value).__name__, "items": sorted(members, key=json.dumps)}


def _deque(encoder: Encoder, value: deque[Tree], path: Path) -> Json:
    return {MARK: "deque", "maxlen": value.maxlen, "items": encoder.items(value, path)}


def _complex(_: Encoder, value: complex, path: Path) -> Json:
    del path
    return {MARK: "complex", "bits": struct.pack(">dd", value.real, value.imag).hex()}


def _bytes(encoder: Encoder, value: bytes | bytearray, path: Path) -> Json:
    # A view of a bytearray would forbid its owner to resize it: copy.
    return {MARK: type(value).__name__, **encoder.put_bytes(bytes(value), path)}


def _range(_: Encoder, value: range, path: Path) -> Json:
    del path
    return {MARK: "range", "items": [_plain(value.start), _plain(value.stop), _plain(value.step)]}


def _raw(encoder: Encoder, value: RawArray, path: Path) -> Json:
    return {MARK: "raw", "key": encoder.put(value, path)}


def _rows(encoder: Encoder, value: Rows, path: Path) -> Json:
    before = len(encoder.arrays)
    node = encoder.encode(value.array, path)
    keys = list(encoder.arrays)[before:]
    encoder.rows |= {key: _count(value, node, encoder.arrays[key]) for key in keys}
    return node


def _count(value: Rows, node: Json, raw: RawArray) -> int | None:
    """Return the rows written so far, if a row is stored as one: not in Fortran order."""
    shape = tuple(getattr(value.array, "shape", ()))
    is_transposed = type(node) is dict and "order" in node
    return value.written if raw.shape == shape and shape and not is_transposed else None


def _array(encoder: Encoder, value: Any, path: Path) -> Json:
    raw, about = arrays.array_to_raw(value)
    return {MARK: "array", "key": encoder.put(raw, path), **about}


def _scalar(_: Encoder, value: Any, path: Path) -> Json:
    del path
    return {MARK: "scalar", **arrays.scalar_to_json(value)}


def _generator(encoder: Encoder, value: Any, path: Path) -> Json:
    return {MARK: "generator", "tree": encoder.encode(generators.generator_to_tree(value), path)}


def _random(encoder: Encoder, value: random.Random, path: Path) -> Json:
    return {MARK: "random", "tree": encoder.encode(generators.random_to_tree(value), path)}


def _record(encoder: Encoder, value: Record, path: Path) -> Json:
    encoder.check_class(value.class_name, may_be_key=False)
    kind = "namedtuple" if value.is_tuple else "dataclass"
    body = encoder.fields(value.fields.items(), path)
    return {MARK: kind, "class": value.class_name, "fields": body}


def _with_fields(encoder: Encoder, value: Any, path: Path) -> Json:
    """Encode a named tuple or a dataclass."""
    name = class_name(type(value))
    encoder.check_class(name, may_be_key=False)
    found, extra = field_values(value), extra_attributes(value)
    missing = [each for each in field_names(value) if each not in found]
    if extra or missing:
        raise Unstorable(
            f"{', '.join(extra or missing)} "
            + ("is set on it but is no field." if extra else "is a field without a value."),
            "Declare every attribute that counts as a field and set it, or register the type.",
        )
    body = encoder.fields(found.items(), path)
    kind = "namedtuple" if isinstance(value, tuple) else "dataclass"
    return {MARK: kind, "class": name, "fields": body}


def _enum(encoder: Encoder, value: Enum, path: Path) -> Json:
    return _enum_name(encoder, EnumName(class_name(type(value)), member_name(value)), path)


def _enum_name(encoder: Encoder, value: EnumName, path: Path) -> Json:
    del path
    encoder.check_class(value.class_name, may_be_key=True)
    return {MARK: "enum", "class": value.class_name, "name": value.name}


def _registered(encoder: Encoder, value: Any, path: Path) -> Json:
    entry = registry.by_type(type(value))
    if entry is None:
        raise AssertionError(type(value))
    tree = encoder.within(entry.name, entry.to_tree(value), path)
    return {MARK: "registered", "name": entry.name, "tree": tree}


def _codec(encoder: Encoder, value: Any, path: Path) -> Json:
    codec = _codec_for(value)
    if codec is None:
        raise AssertionError(type(value))
    encoded = codec.encode(value)
    return {
        MARK: "codec",
        "name": codec.name,
        "meta": encoder.inline(encoded.meta, path),
        "children": _children(encoder, encoded.children, path),
    }


def _children(encoder: Encoder, children: Mapping[str, Tree], path: Path) -> dict[str, Json]:
    """Encode the parts of a leaf; an only array is called what the leaf is called."""
    if any(name[:1] == MARK for name in children):
        raise Unstorable(f"a part of it has a name that starts with {MARK}.", "Fix the plugin.")
    if len(children) == 1:
        [(name, child)] = children.items()
        if type(child) is RawArray:
            return {name: encoder.encode(child, path)}
    return encoder.fields(children.items(), path)


def _codec_for(value: Tree) -> plugin.Codec | None:
    codecs = (codec for each in plugin.active() for codec in each.codecs)
    return next((codec for codec in codecs if codec.accepts(value)), None)


def _refused(_: Encoder, value: Tree, path: Path) -> Json:
    del path
    if callable(value):
        raise Unstorable(
            "code is not stored: loading a checkpoint never runs anything.",
            "Leave it out of the state, and let the program build it at each start.",
        )
    raise Unstorable(
        f"evertrain does not know how to take a {class_name(type(value))} apart.",
        "Leave it out of the state, turn it into numbers, lists and dicts,"
        " or teach evertrain: register(cls, name, to_tree, from_tree).",
    )


_EXACT: Final[Mapping[type, Handler]] = {
    list: lambda encoder, value, path: encoder.items(value, path),
    tuple: lambda encoder, value, path: {MARK: "tuple", "items": encoder.items(value, path)},
    dict: _dict,
    OrderedDict: lambda encoder, value, path: {
        MARK: "ordereddict",
        "items": encoder.pairs(value, path),
    },
    Counter: lambda encoder, value, path: {MARK: "counter", "items": encoder.pairs(value, path)},
    defaultdict: _defaultdict,
    set: _set,
    frozenset: _set,
    deque: _deque,
    bytes: _bytes,
    bytearray: _bytes,
    complex: _complex,
    range: _range,
    random.Random: _random,
    RawArray: _raw,
    Rows: _rows,
    Record: _record,
    EnumName: _enum_name,
}

_TESTS: Final[tuple[tuple[Callable[[Tree], bool], Handler], ...]] = (
    (lambda value: registry.by_type(type(value)) is not None, _registered),
    (arrays.is_array, _array),
    (arrays.is_scalar, _scalar),
    (generators.is_numpy_generator, _generator),
    (lambda value: _codec_for(value) is not None, _codec),
    (lambda value: isinstance(value, Enum), _enum),
    (lambda value: isinstance(value, tuple) and hasattr(value, "_fields"), _with_fields),
    (lambda value: is_dataclass(value) and not isinstance(value, type), _with_fields),
)


def _handler(value: Tree) -> Handler:
    exact = _EXACT.get(type(value))
    if exact is not None:
        return exact
    return next((handler for test, handler in _TESTS if test(value)), _refused)
