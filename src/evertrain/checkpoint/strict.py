"""JSON as the store writes it: sealed, and its members believed only after a look.

Layer: checkpoint. Imports core only.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from evertrain.core.clock import is_time
from evertrain.core.document import DOCUMENT_BYTES, parse_json
from evertrain.core.errors import CorruptError, EvertrainError

T = TypeVar("T")
Json = Any

_DAMAGED: Final = " is damaged: "
_INT_LIMIT: Final = 2**62
_MAX_SAID: Final = 400
MAX_DEPTH: Final = 400  # of JSON: a level of a tree takes up to three
_NON_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def corrupt(path: Path, problem: str) -> CorruptError:
    """Return the error for a file that is not what evertrain wrote."""
    return CorruptError(
        f"{path}{_DAMAGED}{shortened(problem)}.",
        "these are not the bytes that were saved; training on from them could go silently wrong.",
        "Use another checkpoint; list the damaged ones with: evertrain verify RUN",
    )


def problem_of(error: EvertrainError) -> str:
    """Return what an error says is wrong with a file, without its path."""
    return error.what.partition(_DAMAGED)[2].rstrip(".") or error.what


def shortened(text: str) -> str:
    """Return `text`, or the beginning of it: a name in a file may have a million letters."""
    return text if len(text) <= _MAX_SAID else f"{text[:_MAX_SAID]}..."


def loads(data: bytes, path: Path, *, max_bytes: int = DOCUMENT_BYTES) -> Json:
    """Parse strict JSON, as `core.document` does, as deep as a tree may be stored.

    Raises:
        CorruptError: It is anything else.
    """
    try:
        return parse_json(data, max_bytes=max_bytes, max_depth=MAX_DEPTH)
    except ValueError as error:
        raise corrupt(path, f"it is not strict JSON ({error})") from error


def dumps(value: Json) -> str:
    """Return `value` as strict JSON: ASCII, no spaces, members in their order.

    Raises:
        ValueError: It holds NaN or an infinity.
    """
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def seal(members: Mapping[str, str]) -> bytes:
    """Return a document of one member a line that ends with its own digest.

    The digest is BLAKE3 over the whole file, with the 64 digits of the
    digest itself written as zeros: a flipped bit anywhere shows.

    Args:
        members: JSON text by name.
    """
    lines = ",\n".join(f"{dumps(name)}:{text}" for name, text in members.items())
    body = f"{{\n{lines},".encode() + _LABEL
    return body + _digest(body + _ZEROS + _TAIL).encode() + _TAIL


def check_seal(data: bytes, path: Path) -> str:
    """Return the digest that a sealed document ends with.

    Raises:
        CorruptError: It is not the digest of these bytes.
    """
    start = len(data) - len(_TAIL) - len(_ZEROS)
    said = data[start : start + len(_ZEROS)]
    if start < len(_LABEL) or not data.endswith(_TAIL) or data[:start][-len(_LABEL) :] != _LABEL:
        raise corrupt(path, "it does not end with its digest")
    found = _digest(data[:start] + _ZEROS + _TAIL)
    if found.encode() != said:
        raise corrupt(path, f"its digest is {found[:12]}, it says {said[:12]!r}")
    return found


def float_to_json(value: float) -> Json:
    """Return a float as JSON; what JSON cannot hold becomes "NaN", "Infinity", "-Infinity"."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


class Fields:
    """A JSON object of a file whose members are checked as they are taken.

    Args:
        node: What should be the object.
        path: The file, for messages.
        at: Where the object stands in the file, for messages.

    Raises:
        CorruptError: A member is missing or has the wrong type.
    """

    def __init__(self, node: Json, path: Path, at: str = "") -> None:
        """Check that it is an object."""
        self._path = path
        self._at = at
        if type(node) is not dict:
            self.fail("it is no object")
        self._node: dict[str, Json] = node

    def fail(self, problem: str) -> NoReturn:
        """Refuse the file.

        Raises:
            CorruptError: Always.
        """
        raise corrupt(self._path, f"{self._at[:100] or 'the document'}: {problem}")

    def take(self, name: str, kind: type[T]) -> T:
        """Return the member `name`, which is exactly a `kind`."""
        found = self._node.get(name, _MISSING)
        if type(found) is not kind:
            self.fail(f"{name!r} is {'missing' if found is _MISSING else f'{found!r:.40}'}")
        return found

    def take_or_none(self, name: str, kind: type[T]) -> T | None:
        """Return the member `name`, which may be null."""
        return None if self._node.get(name, _MISSING) is None else self.take(name, kind)

    def count(self, name: str) -> int:
        """Return a whole number, 0 or more, that fits any file system."""
        found = self.take(name, int)
        if not 0 <= found < _INT_LIMIT:
            self.fail(f"{name!r} is {found!r:.40}")
        return found

    def count_or_none(self, name: str) -> int | None:
        """Return a whole number, 0 or more, or null."""
        return None if self._node.get(name, _MISSING) is None else self.count(name)

    def number(self, name: str) -> float:
        """Return a number, or what its name says: "NaN", "Infinity", "-Infinity"."""
        found = self._node.get(name, _MISSING)
        if type(found) is str and found in _NON_FINITE:
            return _NON_FINITE[found]
        is_whole = type(found) is int and abs(found) < _INT_LIMIT
        if not is_whole and not (type(found) is float and math.isfinite(found)):
            self.fail(f"{name!r} is no number: {found!r:.40}")
        return float(found)

    def number_or_none(self, name: str) -> float | None:
        """Return a number or null."""
        return None if self._node.get(name, _MISSING) is None else self.number(name)

    def time(self, name: str) -> float:
        """Return Unix seconds that a calendar can say."""
        found = self.number(name)
        if not is_time(found):
            self.fail(f"{name!r} is no time: {found!r}")
        return found

    def inner(self, name: str) -> "Fields":
        """Return the object `name`."""
        return Fields(self.take(name, dict), self._path, f"{self._at}.{name}".lstrip("."))

    def names(self) -> list[str]:
        """Return the names of the members, in the file's order."""
        return list(self._node)


_MISSING: Final = object()
_ZEROS: Final = b"0" * 64
_TAIL: Final = b'"\n}\n'
_LABEL: Final = b'\n"digest":"'


def _digest(data: bytes) -> str:
    from blake3 import blake3

    return blake3(data).hexdigest()
