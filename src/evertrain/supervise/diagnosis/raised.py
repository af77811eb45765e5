"""An exception, as its traceback or the hook in the program tells it.

Layer: supervise. Imports core only.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

_FRAME: Final = re.compile(r'^\s*File "(.+?)", line (\d+)(?:,)? in (.+)$', re.MULTILINE)
# Whose frames say little about where a program went wrong.
_LIBRARY: Final = re.compile(
    r"/site-packages/|/dist-packages/|/lib(?:64)?/python3|^<frozen|^<string>|/evertrain/(?!recipes/)"
)
# Patterns are searched for in it, and some take the square of its length.
_MAX_TYPE: Final = 400
_MAX_MESSAGE: Final = 4000
_HEADER: Final = "Traceback (most recent call last):"


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """One exception.

    Attributes:
        type: Its class, with its module where that is known: "torch.OutOfMemoryError".
        message: What it says, all lines.
        frame: Innermost frame of the program itself, "train.py:9 in step"; "" if unknown.
        traceback: All of it, as Python prints it.
        by: Who left it: "run" (it left the run's block), "main", "thread", "child", or "log".
        step: Last finished step, or None.
        at_s: When, Unix seconds, or None.
    """

    type: str
    message: str = ""
    frame: str = ""
    traceback: str = ""
    by: str = "log"
    step: int | None = None
    at_s: float | None = None

    @property
    def name(self) -> str:
        """The class without its module."""
        return self.type.rpartition(".")[2]

    @property
    def line(self) -> str:
        """Class and first line of the message, as Python shows it."""
        first = self.message.strip().partition("\n")[0]
        return f"{self.type}: {first}" if first else self.type

    @property
    def text(self) -> str:
        """Class and the whole message."""
        return f"{self.type}: {self.message}"


def parse_traceback(text: str) -> Raised | None:
    """Return the exception that a traceback of a log ends with, or None if it is torn."""
    lines = text.splitlines()
    last = next((i for i in range(len(lines) - 1, -1, -1) if not lines[i][:1].isspace()), 0)
    if not lines or _HEADER in lines[last]:
        return None
    kind, _, message = lines[last].strip().partition(":")
    return Raised(
        type=kind[:_MAX_TYPE],
        message=message.strip()[:_MAX_MESSAGE],
        frame=project_frame(frames_of(text)),
        traceback=text,
    )


def frames_of(traceback: str) -> list[tuple[str, int, str]]:
    """Return file, line and function of each frame of a traceback, outermost first."""
    return [(file, int(line), name) for file, line, name in _FRAME.findall(traceback)]


def project_frame(frames: Sequence[tuple[str, int, str]]) -> str:
    """Return the innermost frame that is no library's, else the innermost; "" without any."""
    own = [each for each in frames if not _LIBRARY.search(each[0])]
    shown = (own or list(frames))[-1:]
    return next((f"{PurePath(file).name}:{line} in {name}" for file, line, name in shown), "")
