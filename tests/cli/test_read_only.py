"""Reading changes nothing: not a byte, not a name, not a time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evertrain.core.rundir import RunDir
from runs import trained_run, tree_of

Invoke = Callable[..., Any]

COMMANDS = [
    ("ls",),
    ("ls", "-d"),
    ("ls", "trading"),
    ("ls", "trading", "-d"),
    ("show", "trading"),
    ("show", "trading@best"),
    ("status", "trading"),
    ("log", "trading"),
    ("log", "trading", "-f"),
    ("verify", "trading"),
    ("recipes",),
    ("config", "show", "structure"),
    ("config", "check", "structure"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("as_json", [False, True])
def test_the_tree_is_unchanged(
    place: Path, trading: RunDir, invoke: Invoke, command: tuple[str, ...], *, as_json: bool
) -> None:
    """Every file and directory has the bytes, mode, inode and mtime that it had."""
    trading.logs.mkdir()
    trading.log(1).write_bytes(b"hello\n")
    trained_run(place / "runs" / "crashed", is_finished=False)
    (trading.checkpoints / ".tmp-40-999").mkdir()  # what a crash leaves is not tidied up either
    with trading.journal.open("ab") as file:
        file.write(b'{"torn')
    before = tree_of(place)

    invoke(*command, *(["--json"] if as_json else []))

    assert tree_of(place) == before
