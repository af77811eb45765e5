"""Hostile settings: YAML that runs, grows, nests, repeats itself, or only looks like a value."""

from collections.abc import Callable
from typing import Final


def laughs(levels: int = 30) -> str:
    """Return aliases of aliases: a few hundred bytes that mean billions of values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(lines)


def merges(levels: int = 30) -> str:
    """Return merges of merges, nine of each."""
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, levels)]
    return "\n".join(lines)


def chain(length: int = 400) -> str:
    """Return merges one behind the other: each table takes all of the one before."""
    lines = ["a0: &a0 {x0: 1}"]
    lines += [f"a{i}: &a{i} {{<<: *a{i - 1}, x{i}: 1}}" for i in range(1, length)]
    return "\n".join(lines)


YAML: Final[dict[str, str]] = {
    "a command": "a: !!python/object/apply:os.system ['touch evil']",
    "a module": "a: !!python/module:os ''",
    "a name": "!!python/name:os.system ''",
    "a new object": "a: !!python/object/new:os.system {args: [id]}",
    "a tagged table": "!evil {a: 1}",
    "a tagged list": "a: !evil [1]",
    "aliases that laugh": laughs(),
    "merges that laugh": merges(),
    "merges in a chain": chain(),
    "a merge of itself": "a: &a {<<: *a}",
    "a merge of what holds it": "a: &a {b: {<<: *a}}",
    "a merge in a merge of itself": "a: &a {<<: {<<: *a}}",
    "a merge of a number": "a: {<<: 5}",
    "a merge of texts": "a: {<<: [x, y]}",
    "an alias of itself": "a: &a [*a]",
    "lists 20,000 deep": "a: " + "[" * 20_000,
    "lists 20,000 deep and back": "a: " + "[" * 20_000 + "]" * 20_000,
    "tables 5,000 deep": "{a: " * 5_000 + "1" + "}" * 5_000,
    "lists 60 deep": "a: " + "[" * 60 + "]" * 60,
    "dashes 10,000 deep": "- " * 10_000 + "x",
    "lines 500 deep": "\n".join(" " * i + f"a{i}:" for i in range(500)),
    "6,000 keys": "\n".join(f"k{i}: {i}" for i in range(6_000)),
    "6,000 keys in a line": "{" + ",".join(f"k{i}" for i in range(6_000)) + "}",
    "1,000 keys twice": "\n".join(f"k{i % 1000}: {i}" for i in range(2_000)),
    "a key of a million letters": "k" * 1_000_000 + ": 1",
    "a megabyte of spaces": " " * 1_000_000,
    "10,000 digits": "seed: " + "9" * 10_000,
    "10,000 digits of hex": "seed: 0x" + "f" * 10_000,
    "a float beyond all": "seed: 1e999",
    "not a number": "seed: .nan",
    "no end": "seed: -.inf",
    "an int that is none": "seed: !!int abc",
    "a float that is none": "seed: !!float abc",
    "a bool that is none": "seed: !!bool maybe",
    "a null that is none": "seed: !!null x",
    "a time that is none": "seed: !!timestamp abc",
    "the 99th of the 99th": "seed: 2001-99-99",
    "a time in no zone": "seed: 2001-01-01T00:00:00+99:99",
    "bytes that are none": "seed: !!binary '!!!'",
    "hex that is none": "seed: 0x",
    "octal that is none": "seed: 0o9",
    "underscores": "seed: ____",
    "keys twice": "seed: 1\nseed: 2",
    "a table as a key": "? {a: 1}\n: 2",
    "a null as a key": "? \n: 2",
    "numbers as keys": "1: 2\n1.5: 3\ntrue: 4",
    "a tab": "a:\n\t- 1",
    "a NUL": "a: \0",
    "a bell": "a: \x07",
    "a byte order mark": "\ufeffseed: 1",
    "two marks": "\ufeff\ufeffseed: 1",
    "half a surrogate": 'seed: "\\ud800"',
    "an escape code": 'seed: "\\x1b[2J"',
    "an escape code as a key": '"\\x1b[2J\\r\\nx": 1',
    "two documents": "--- {seed: 1}\n--- {seed: 2}",
    "directives": "%YAML 9.9\n%TAG ! tag:evil,2000:\n---\nseed: !x 1",
    "a broken string": 'a: "x',
    "an anchor without a value": "a: &a",
    "an anchor of a million letters": "a: &" + "a" * 100_000 + " 1",
    "only an alias": "*a",
    "only dots": "...",
    "a list": "- seed",
    "a pickle": "\x80\x04\x95.",
}

BYTES: Final[dict[str, Callable[[], bytes]]] = {
    "UTF-16": lambda: "seed: 1".encode("utf-16"),
    "no UTF-8": lambda: b"seed: \xff\xfe",
    "an encoded surrogate": lambda: b"seed: \xed\xa0\x80",
    "zeros": lambda: bytes(10_000),
    "a megabyte": lambda: b"a: b\n" * 200_000,
}
