"""Words and values as a unit file says them. Pure.

systemd first takes quotes and backslashes away, then `%` specifiers, then (in a command
line, but not in the name of its program) `$` variables.

Layer: supervise. Imports core only.
Source: systemd.syntax(7), systemd.service(5) "COMMAND LINES", systemd.unit(5) "SPECIFIERS".
"""

import re
from collections.abc import Sequence
from typing import Final

from evertrain.core.errors import ConfigError
from evertrain.core.printable import printable

_SAFE: Final = re.compile(r"[A-Za-z0-9_@%$+=:,./-]+")
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
# What systemd does not take in the path of a program, however it is quoted.
_REFUSED: Final = frozenset("\"'\\")
_BEYOND_ASCII: Final = 0x80


def command_line(words: Sequence[str]) -> str:
    """Return a command line. The path of its program must be absolute."""
    program, *rest = words
    if set(program) & _REFUSED or not program.isprintable():
        # As an argument it may be anything.
        return " ".join(["/bin/sh", *map(argument, ["-c", 'exec "$0" "$@"', *words])])
    return " ".join([quoted(program.replace("%", "%%")), *map(argument, rest)])


def argument(text: str) -> str:
    """Return one argument of a command line; nothing in it is expanded."""
    return quoted(text.replace("%", "%%").replace("$", "$$"))


def assignment(name: str, value: str) -> str:
    """Return a variable for `Environment=`."""
    return quoted(f"{name}={value}".replace("%", "%%"))


def path_value(name: str, path: str) -> str:
    """Return a path for a setting that takes the rest of its line as it is.

    Raises:
        ConfigError: Such a line cannot say it.
    """
    if not path.isprintable() or path != path.strip() or path.endswith("\\"):
        raise ConfigError(
            f"{name}={path!r} cannot be said in a unit file.",
            "a control character, a space at its end or a backslash there is lost on the way.",
            "Rename that directory, or start from another one.",
        )
    return path.replace("%", "%%")


def remark(text: str) -> str:
    """Return text for people: in one line, which it does not continue on the next."""
    return printable(text).replace("\\", "?")


def quoted(text: str) -> str:
    """Return a word so that quotes, spaces, backslashes and control characters survive."""
    if _SAFE.fullmatch(text):
        return text
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    try:
        data = character.encode()
    except UnicodeEncodeError:  # a byte of a file name that is no UTF-8
        return "".join(f"\\x{byte:02x}" for byte in character.encode(errors="surrogateescape"))
    is_control = len(data) == 1 and (data[0] < ord(" ") or data[0] == _BEYOND_ASCII - 1)
    return f"\\x{data[0]:02x}" if is_control else character
