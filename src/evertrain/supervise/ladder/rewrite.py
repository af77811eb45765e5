"""A configuration file of the command with some of its values replaced.

The file itself stays as it is: the command gets a copy, by the word that named the file. In
the copy only the text of those values differs, for another parser may read `yes` or `1e-4`
in another way than ours.

Layer: supervise. Imports core only.
"""

import copy
import difflib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from evertrain.core.errors import ConfigError
from evertrain.core.fs import LOCAL_FS, Fs, make_dir, write_atomic
from evertrain.core.regular import read_regular

# In the run directory: a directory for each rung.
FOLDER: Final = "ladder"
_SUFFIXES: Final = (".yaml", ".yml", ".json")
_MAX_BYTES: Final = 1 << 18


class MisfitError(ValueError):
    """A value that cannot be replaced.

    Attributes:
        meant: The key that was probably meant, or None.
    """

    def __init__(self, problem: str, meant: str | None = None) -> None:
        """Keep what was meant."""
        super().__init__(problem)
        self.meant = meant


def check(name: str, keys: Mapping[str, Any], command: Sequence[str]) -> dict[str, MisfitError]:
    """Return what is wrong with each of `keys` of the file `name`; "" is the file itself."""
    try:
        text = _read(name, command)
    except MisfitError as error:
        return {"": error}
    found: dict[str, MisfitError] = {}
    for key, value in keys.items():
        try:
            text = with_value(text, key, value)
        except MisfitError as error:
            found[key] = error
    return found


def replaced(
    command: Sequence[str],
    config: Mapping[str, Mapping[str, Any]],
    place: Path,
    *,
    fs: Fs = LOCAL_FS,
) -> list[str]:
    """Write changed copies of the files in `config` into `place`; return the command with them.

    What is there already is not written again: a disk that is full by then stops nothing.

    Raises:
        ConfigError: A file has changed since the ladder was read, and does not fit any more;
            or `place` is a link, and what it leads to is not the run's.

    Durability:
        As `write_atomic`.
    """
    words = list(command)
    if config and (place.is_symlink() or place.parent.is_symlink()):
        raise ConfigError(
            f"{place} is, or lies behind, a symbolic link.",
            "what the link leads to is not the run's to write to.",
            f"Remove it: rm {place.parent if place.parent.is_symlink() else place}",
        )
    for number, (name, keys) in enumerate(config.items()):
        try:
            text = _read(name, command)
            for key, value in keys.items():
                text = with_value(text, key, value)
        except MisfitError as error:
            raise ConfigError(
                f"{name} cannot be changed as the ladder wants: {error}.",
                "it was different when the ladder was read.",
                "Correct the file or the ladder, and start again.",
            ) from error
        made = place / f"{number}-{Path(name).name}"
        if not _holds(made, text.encode()):
            make_dir(place, fs=fs)
            write_atomic(made, text.encode(), fs=fs)
        words = [_renamed(word, name, str(made)) for word in words]
    return words


def _holds(path: Path, data: bytes) -> bool:
    with suppress(OSError):
        return read_regular(path, len(data) + 1) == data
    return False


def with_value(text: str, key: str, value: Any) -> str:
    """Return `text`, YAML or JSON, with `value` at the dotted `key`, where one must stand. Pure.

    Raises:
        MisfitError: There is none, or it cannot be replaced alone.
    """
    node, tree = _parsed(text)
    start, end = _place(text, node, key)
    gap = " " if start == end else ""  # `key:` without a value
    made = text[:start] + gap + _shown(value) + text[end:]
    wanted = copy.deepcopy(tree)
    _put(wanted, key, value)
    try:
        _, after = _parsed(made)
    except MisfitError:
        after = None
    if after != wanted:  # an anchor, a merge, a block: something else would change with it
        raise MisfitError(f"{key!r} cannot be replaced alone; write its value in one plain line")
    return made


def _read(name: str, command: Sequence[str]) -> str:
    if not any(_names(word, name) for word in command):
        raise MisfitError("the command does not name this file")
    if not name.endswith(_SUFFIXES):
        raise MisfitError(f"only {', '.join(_SUFFIXES)} can be changed")
    try:
        data = read_regular(Path(name), _MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise MisfitError(f"is longer than {_MAX_BYTES} bytes")
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise MisfitError(f"cannot be read: {error}") from error
    _parsed(text)
    return text


def _names(word: str, name: str) -> bool:
    """Say whether `word` is `name` or `--option=name`."""
    return word == name or word.endswith(f"={name}")


def _renamed(word: str, name: str, made: str) -> str:
    return word[: len(word) - len(name)] + made if _names(word, name) else word


def _parsed(text: str) -> tuple[Any, Any]:
    """Return the nodes of `text` and its values."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    from evertrain.config.document import parse_document

    layer, faults = parse_document(text, "it")
    if faults:
        raise MisfitError(str(faults[0]))
    try:
        return YAML(typ="safe", pure=True).compose(text), layer.values
    except YAMLError as error:
        raise MisfitError("it is not YAML") from error


def _place(text: str, node: Any, key: str) -> tuple[int, int]:
    """Return where in `text` the value at the dotted `key` begins and ends."""
    parts, here, name = key.split("."), node, None
    for depth, part in enumerate(parts):
        below = _members(here)
        if part not in below:
            near = difflib.get_close_matches(part, below, n=1)
            meant = ".".join([*parts[:depth], *near]) if near else None
            raise MisfitError(f"the file has no {key!r}", meant)
        name, here = below[part]
    start, end = here.start_mark.index, here.end_mark.index
    if start == end and name is not None:  # the parser puts nothing at the next word
        start = end = text.index(":", name.end_mark.index) + 1
    return start, end


def _members(node: Any) -> dict[str, tuple[Any, Any]]:
    """Return the names and values of a table or a list; items of a list have no name."""
    if getattr(node, "id", "") == "mapping":
        return {str(key.value): (key, value) for key, value in node.value}
    if getattr(node, "id", "") == "sequence":
        return {str(index): (None, each) for index, each in enumerate(node.value)}
    return {}


def _put(tree: Any, key: str, value: Any) -> None:
    *before, last = key.split(".")
    for part in before:
        tree = tree[int(part)] if isinstance(tree, list) else tree[part]
    tree[int(last) if isinstance(tree, list) else last] = value


def _shown(value: Any) -> str:
    """Return a value that YAML 1.1, YAML 1.2 and JSON read alike."""
    if isinstance(value, list):
        return "[" + ", ".join(_shown(each) for each in value) + "]"
    if isinstance(value, float):
        mantissa, mark, power = repr(value).partition("e")
        # YAML 1.1 takes 1e-05 for a word.
        return f"{mantissa}{'' if '.' in mantissa else '.0'}e{power}" if mark else mantissa
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise MisfitError(f"{value!r:.60} is nothing that a file can be given") from error
