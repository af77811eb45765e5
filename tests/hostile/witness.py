"""What nobody may do: run code from a file, or write outside. Seen by the interpreter itself.

The audit hook hears of every file that is opened for writing, every process, every class
that a pickle asks for, whoever does it and however deep inside a library.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

from runs import tree_of

CANARY: Final = "EVERTRAIN_TEST_CANARY"

_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_RUNNING: Final = frozenset(
    {
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.spawn",
        "os.fork",
        "os.forkpty",
        "subprocess.Popen",
        "pickle.find_class",
        "socket.connect",
    }
)
# Event -> which of its arguments are paths that change.
_CHANGING: Final = {
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.link": (1,),
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.rmdir": (0,),
    "os.symlink": (1,),
    "shutil.rmtree": (0,),
    "os.truncate": (0,),
}
_DEEDS: list[str] = []
_ALLOWED: list[str] = []


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if not _ALLOWED:
        return
    if event in _RUNNING:
        _DEEDS.append(f"{event} {args!r:.200}")
    elif event == "open" and isinstance(args[2], int) and args[2] & _WRITING:
        if isinstance(args[0], (str, bytes)):
            path = Path(os.fsdecode(args[0]))
            stays = args[2] & os.O_NOFOLLOW  # a link is refused, and what it means not opened
            _judge(event, path.parent.resolve() / path.name if stays else path.resolve())
    elif event in _CHANGING and args[-1] in {-1, None}:  # else below one that was heard before
        names = [args[index] for index in _CHANGING[event]]
        for path in [Path(os.fsdecode(name)) for name in names if not isinstance(name, int)]:
            _judge(event, path.parent.resolve() / path.name)


def _judge(event: str, path: Path) -> None:
    place = str(path)
    if "__pycache__" in place or place == os.devnull:
        return
    if not any(place == root or place.startswith(f"{root}/") for root in _ALLOWED):
        _DEEDS.append(f"{event} {place}")


@cache
def _listen() -> None:
    # No hook can be taken back. While Python code hears of `sys.settrace`, CPython 3.11 may
    # switch threads, and refuses the second one that sets a tracer: it dies before it ran.
    threading.settrace(None)
    sys.addaudithook(_hear)


@contextmanager
def harmless(outside: Path, *inside: Path) -> Iterator[None]:
    """Fail if anything runs, or is changed anywhere but below `inside`.

    Args:
        outside: A directory that must be left as it is, whatever links lead there.
        *inside: Where files may change.
    """
    _listen()
    before, variables = tree_of(outside), dict(os.environ)
    _ALLOWED[:], _DEEDS[:] = [str(each.resolve()) for each in inside] or ["/nowhere"], []
    try:
        yield
    finally:
        _ALLOWED.clear()
    assert not _DEEDS, "; ".join(_DEEDS[:9])
    assert tree_of(outside) == before
    assert CANARY not in os.environ
    assert dict(os.environ) == variables


class Payload:
    """Pickled, it sets the canary wherever it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """Return what an unpickler would call."""
        return exec, (f"import os; os.environ[{CANARY!r}] = '1'",)
