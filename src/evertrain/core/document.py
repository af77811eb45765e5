"""JSON that may come from anybody: bounded, strict, and refused as one kind of error.

What is read is small enough, flat enough and plain enough before the parser sees
it: no recursion ends a program, no short file fills the memory.

Layer: core. Imports nothing from evertrain.
"""

import json
import re
from typing import Any, Final, NoReturn

Json = Any

# Sizes that no file of ours reaches, bytes; docs/format.md lists them.
NOTE_BYTES: Final = 1 << 20  # a lease, a request
CARD_BYTES: Final = 16 << 20  # run.json, metadata.json, a line of the journal
DOCUMENT_BYTES: Final = 128 << 20  # a manifest, an archive's listing
LINES_BYTES: Final = 1 << 30  # a journal, metrics

MAX_DEPTH: Final = 100  # of a line, a card, a note
MAX_VALUES: Final = 4_000_000
MAX_DIGITS: Final = 1_000

# A string, or the beginning of one that never ends: each quote is looked at once.
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKET: Final = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")


def parse_json(data: bytes, *, max_bytes: int = CARD_BYTES, max_depth: int = MAX_DEPTH) -> Json:
    """Parse a document: UTF-8, no NaN, no key twice in one object, nothing too large.

    Args:
        data: The whole file.
        max_bytes: The longest one that is looked at.
        max_depth: How many lists and objects may stand in each other.

    Raises:
        ValueError: It is anything else. The message says what, in a few words.
    """
    return _DOCUMENT.decode(_checked(data, max_bytes, max_depth))


def parse_line(data: bytes) -> Json:
    """Parse a line of a file that is read in bulk: as `parse_json`, but the last of two keys wins.

    Raises:
        ValueError: It is no JSON, or too large.
    """
    return _LINE.decode(_checked(data, CARD_BYTES, MAX_DEPTH).strip())


def is_deep(data: bytes, most: int) -> bool:
    """Say whether more than `most` brackets of JSON are open at once, or do not match.

    Each round takes the innermost pairs away, so what is left after `most` rounds is deeper.
    Which kind of bracket closes which is the parser's to judge.
    """
    if data.count(b"[") + data.count(b"{") <= most:
        return False
    left = _STRING.sub(b"", data).translate(_ONE_KIND, _NO_BRACKET)
    for _ in range(most):
        before = len(left)
        left = left.replace(b"[]", b"")
        if len(left) in {0, before}:
            break
    return bool(left)


def count_values(data: bytes) -> int:
    """Return a number of values that JSON text does not exceed, by its punctuation.

    What stands in strings counts, too. A value has at most four quotes, with its name.
    """
    return max(data.count(b",") + data.count(b"[") + data.count(b"{") + 1, data.count(b'"') // 4)


def _checked(data: bytes, max_bytes: int, max_depth: int) -> str:
    if len(data) > max_bytes:
        raise ValueError(f"it has {len(data)} bytes, at most {max_bytes} are read")
    if len(data) > MAX_VALUES and count_values(data) > MAX_VALUES:
        raise ValueError(f"it has {count_values(data)} values, at most {MAX_VALUES} are read")
    if is_deep(data, max_depth):
        raise ValueError(f"it is nested more than {max_depth} levels deep, or cut short")
    return data.decode("utf-8")


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


_DOCUMENT: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_whole
)
_LINE: Final = json.JSONDecoder(parse_constant=_no_constant, parse_int=_whole)
