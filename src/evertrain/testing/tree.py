"""A directory tree as a value: to be compared, kept, and built again elsewhere.

Layer: testing. Imports nothing from evertrain.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Held:
    """What a file holds.

    Attributes:
        inode: What two names of one file have in common.
        data: Its bytes.
    """

    inode: int
    data: bytes


# A file, the target of a symbolic link, or a directory (None), by path from the root.
Tree = Mapping[str, Held | str | None]


def scan(root: Path) -> Tree:
    """Return what is below a directory."""
    found: dict[str, Held | str | None] = {}
    for path in sorted(root.rglob("*")):
        at = str(path.relative_to(root))
        if path.is_symlink():
            found[at] = str(path.readlink())
        elif path.is_dir():
            found[at] = None
        else:
            found[at] = Held(path.stat().st_ino, path.read_bytes())
    return found


def plant(tree: Tree, into: Path) -> None:
    """Build a tree in the new directory `into`; the names of one file are linked."""
    into.mkdir()
    first: dict[int, Path] = {}
    for name, held in sorted(tree.items()):
        path = into / name
        if held is None:
            path.mkdir()
        elif isinstance(held, str):
            path.symlink_to(held)
        elif held.inode in first:
            os.link(first[held.inode], path)
        else:
            path.write_bytes(held.data)
            first[held.inode] = path
