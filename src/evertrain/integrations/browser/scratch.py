"""A directory for all that a browser leaves lying about, called after who is to remove it.

Whoever starts a host removes its directory; where that died first, and the host with it, the
next one to start a host on this machine does.

Layer: integrations. Imports core only.
"""

import os
import re
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from evertrain.core import proc
from evertrain.core.fs import LOCAL_FS

_PRIVATE: Final = 0o700
_NAME: Final = "evertrain-game-{space}-{pid}-{start}-{token}"
_PATTERN: Final = re.compile(r"evertrain-game-(\d*)-(\d{1,10})-(\d{1,20})-[0-9a-f]{8}")


def make_scratch() -> Path:
    """Return a new directory of this process, and remove those of dead ones."""
    place = Path(tempfile.gettempdir())
    for each in place.glob("evertrain-game-*"):
        if is_abandoned(each.name):
            remove(each)
    me = os.getpid()
    named = {"pid": me, "start": proc.start_time(me) or 0, "token": secrets.token_hex(4)}
    path = place / _NAME.format(space=_space(), **named)
    LOCAL_FS.mkdir(path)
    LOCAL_FS.chmod(path, _PRIVATE)
    return path


def is_abandoned(name: str) -> bool:
    """Say whether a directory of that name is one of ours, and whoever made it is dead.

    Processes of another container that shares this directory are not seen: theirs stay.
    """
    found = _PATTERN.fullmatch(name)
    if found is None or found[1] != _space():
        return False
    return not proc.is_alive(int(found[2]), int(found[3]))


def remove(path: Path) -> None:
    """Remove a directory; what a dying browser still writes there may keep it."""
    with suppress(OSError):
        LOCAL_FS.rmtree(path)


def _space() -> str:
    return "".join(letter for letter in proc.pid_space() if letter.isdigit())
