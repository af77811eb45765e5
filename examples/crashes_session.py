"""Play the session of docs/sessions/crashes.md on a terminal of its own, and show it.

python examples/crashes_session.py [--quick] [DIRECTORY]

It lets crashing_training.py crash under `evertrain run`, presses Ctrl+C once, starts it
again, and presses Ctrl+C twice. With --quick all pauses are short, and so is the training.
"""

import argparse
import os
import pty
import re
import select
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

TRAINING: Final = Path(__file__).with_name("crashing_training.py")
CTRL_C: Final = b"\x03"
LIMIT_S: Final = 300.0
_CONTROL: Final = re.compile(r"\x1b\[[0-9;]*[mK]")

# What shows on the screen, one after another, before Ctrl+C is pressed.
Cue = Sequence[str]
ONCE: Final[Sequence[Cue]] = [("training run #4", "generations/s")]
TWICE: Final[Sequence[Cue]] = [("training run #5", "generations/s"), ("Press Ctrl+C again",)]


def main() -> None:
    """Play both parts and what `evertrain status` says then."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path, nargs="?", help="where to train")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    place = (args.directory or Path(tempfile.mkdtemp(prefix="evertrain-session-"))).resolve()
    shutil.copy(TRAINING, place)
    for words, cues in commands(is_quick=args.quick):
        print("$ evertrain " + " ".join(words))
        code, text = play(words, cues, place)
        print(as_seen(text).replace(f"{place}{os.sep}", ""))
        print(f"(exit code {code})\n", flush=True)


def commands(*, is_quick: bool) -> list[tuple[Sequence[str], Sequence[Cue]]]:
    """Return what is typed behind `evertrain`, and when Ctrl+C is pressed."""
    limits = ("--max-crashes", "10", "--delay", "5", "--hang-timeout", "10")
    training = ("--timewarp", "40", "--luck", "1224")
    if is_quick:
        limits = ("--max-crashes", "10", "--delay", "0.2", "--hang-timeout", "2")
        training = ("--timewarp", "100", "--luck", "3934")
    train = ("run", *limits, "--", "python", TRAINING.name, *training)
    return [(train, ONCE), (train, TWICE), (("status", "crashing_training"), ())]


def play(
    words: Sequence[str], cues: Sequence[Cue], place: Path, limit_s: float = LIMIT_S
) -> tuple[int, str]:
    """Run one command of evertrain as a person would.

    Args:
        words: Behind `evertrain`.
        cues: When to press Ctrl+C.
        place: Where.
        limit_s: Longest time that it may take, seconds.

    Returns:
        Its exit code, and all that it wrote to the terminal.

    Raises:
        TimeoutError: It did not end.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(place)
        folder = Path(sys.executable).parent
        path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        command = [sys.executable, "-m", "evertrain", *words]
        os.execve(sys.executable, command, {**os.environ, "PATH": path})  # noqa: S606
    until_s = time.monotonic() + limit_s
    waiting, text, seen = list(cues), "", 0
    while time.monotonic() < until_s:
        select.select([terminal], [], [], 1.0)
        try:
            text += os.read(terminal, 65536).decode(errors="replace")
        except OSError:  # nobody has it open any more
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text
        while waiting and (end := behind(text, seen, waiting[0])) is not None:
            seen = end
            os.write(terminal, CTRL_C)
            waiting.pop(0)
    raise TimeoutError(f"no end after {limit_s:g} s:\n{text}")


def behind(text: str, start: int, cue: Cue) -> int | None:
    """Return where the last part of a cue ends in `text`, all in their order; None if not yet."""
    for part in cue:
        found = text.find(part, start)
        if found < 0:
            return None
        start = found + len(part)
    return start


def as_seen(text: str) -> str:
    """Return what was written to a terminal as lines; of one drawn over and over, the last."""
    plain = _CONTROL.sub("", text).replace("\r\n", "\n")
    lines = [next(filter(None, reversed(line.split("\r"))), "") for line in plain.splitlines()]
    return "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    main()
