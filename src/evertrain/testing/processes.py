"""Processes that do as they are told, for tests of what supervises them.

A program is a few acts, and a command that any supervisor can start; it imports
nothing of evertrain, so it is there in a moment.

    crash_then_end = turns(tmp_path / "turns", [Say("one"), Exit(1)], [Say("two")])
    supervise(crash_then_end, tmp_path / "run", SuperviseOptions(delay_s=0))

Layer: testing. Imports core only.
"""

import inspect
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

LIMIT_S: Final = 20.0
_BEGIN: Final = "import json, sys; _play(*json.loads(sys.argv[1]))"


@dataclass(frozen=True, slots=True)
class Say:
    """Print a line."""

    text: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for so many seconds, whatever signal arrives that it ignores."""

    duration_s: float


@dataclass(frozen=True, slots=True)
class Ignore:
    """Be deaf to a signal from now on."""

    number: signal.Signals


@dataclass(frozen=True, slots=True)
class Start:
    """Start a process of its own that plays these acts, and go on at once.

    Attributes:
        acts: What it plays.
        is_daemon: Whether it flees into a session of its own, as a daemon does.
    """

    acts: "tuple[Act, ...]"
    is_daemon: bool = False


@dataclass(frozen=True, slots=True)
class Die:
    """End by a signal."""

    number: signal.Signals = signal.SIGKILL


@dataclass(frozen=True, slots=True)
class Exit:
    """End with an exit code."""

    code: int


Act = Say | Wait | Ignore | Start | Die | Exit


def program(*acts: Act) -> list[str]:
    """Return a command that plays `acts` in their order and ends with 0, unless they say else."""
    return _command([[_row(each) for each in acts]], None)


def turns(count_at: Path, *programs: "list[Act] | tuple[Act, ...]") -> list[str]:
    """Return a command that plays another program at each start; the last one from then on.

    Args:
        count_at: File that counts the starts.
        *programs: The acts of each start.
    """
    return _command([[_row(each) for each in acts] for acts in programs], str(count_at.absolute()))


def living(mark: str) -> dict[int, str]:
    """Return the live processes that carry `mark` in their environment: pid -> command line.

    Give what you start a variable of its own, with a value that nothing else has, and you
    see all that it left, however deep, and in whatever session. Linux only.
    """
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            if mark.encode() in (entry / "environ").read_bytes() and state not in "ZX":
                found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        except (OSError, ValueError):  # it ended meanwhile, or is somebody else's
            continue
    return found


def wait_until(holds: Callable[[], object], what: str, limit_s: float = LIMIT_S) -> None:
    """Return as soon as `holds`.

    Raises:
        AssertionError: It still does not after `limit_s` seconds; `what` was waited for.
    """
    deadline_s = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline_s, f"still waiting: {what}"
        time.sleep(0.01)


def _row(act: Act) -> list[Any]:
    match act:
        case Say(text):
            return ["say", text]
        case Wait(duration_s):
            return ["wait", duration_s]
        case Ignore(number):
            return ["ignore", int(number)]
        case Start(acts, is_daemon):
            return ["start", _command([[_row(each) for each in acts]], None), is_daemon]
        case Die(number):
            return ["die", int(number)]
        case Exit(code):
            return ["exit", code]


def _command(programs: list[list[list[Any]]], count_at: str | None) -> list[str]:
    lines = ("from __future__ import annotations", inspect.getsource(_play), _BEGIN)
    return [sys.executable, "-S", "-c", "\n".join(lines), json.dumps([programs, count_at])]


def _play(programs: list[list[list[Any]]], count_at: str | None) -> None:
    """Play the turn that has come. Runs alone in the process that was told so."""
    import os
    import signal
    import subprocess
    import sys
    import time

    turn = 0
    if count_at is not None:
        with open(count_at, "ab+") as file:  # noqa: PTH123  (pathlib is slow to import)
            turn = file.tell()
            file.write(b".")
    for name, *told in programs[min(turn, len(programs) - 1)]:
        if name == "say":
            print(told[0], flush=True)
        elif name == "wait":
            until_s = time.monotonic() + told[0]
            while (left_s := until_s - time.monotonic()) > 0:
                time.sleep(left_s)
        elif name == "ignore":
            signal.signal(told[0], signal.SIG_IGN)
        elif name == "start":
            subprocess.Popen(told[0], start_new_session=told[1])  # noqa: S603  (it was told so)
        elif name == "die":
            os.kill(os.getpid(), told[0])
        else:
            sys.exit(told[0])
