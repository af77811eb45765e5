"""`evertrain log RUN`: what the attempts wrote, also while they write it.

Layer: cli.
"""

import json
import re
import select
import shutil
import sys
import threading
from collections.abc import Iterator
from itertools import zip_longest
from typing import Final, NamedTuple

import click

from evertrain.cli.render import SCHEMA_VERSION, json_option, print_json
from evertrain.core import lock
from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.errors import NotFoundError
from evertrain.core.printable import printable
from evertrain.core.rundir import RunDir, open_run_dir
from evertrain.monitor.follow import Follower, backward, last_lines
from evertrain.monitor.logs import list_pieces, newest_attempt, next_attempt

_POLL_S: Final = 0.5
_MAX_LINE_BYTES: Final = 16 << 20
_MAX_STATE_BYTES: Final = 65_536
_COLORS: Final = re.compile(r"(\x1b\[[0-9;:]*m)")
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


@click.command(epilog="Example: evertrain log runs/trading -f")
@click.argument("run")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option("--attempt", type=click.IntRange(min=1), help="Its number; default: the newest.")
@click.option(
    "-n", "--lines", default=40, show_default=True, type=click.IntRange(min=0), help="Last lines."
)
@json_option
def log(*, run: str, follow: bool, attempt: int | None, lines: int, as_json: bool) -> None:
    """Print what a run's attempts wrote.

    With -f, a new attempt's output follows the old one's; Ctrl+C ends the
    printing, not the run. With -f --json, one JSON object per line.
    """
    run_dir = open_run_dir(run)
    number = attempt or newest_attempt(run_dir.logs)
    pieces = list_pieces(run_dir.logs, number)
    if not any(each.path.is_file() for each in pieces):
        raise _missing(run_dir, number)
    if not follow and as_json:
        body = {"run": str(run_dir.path), "attempt": number, "path": str(run_dir.log(number))}
        found = [readable(each) for each in last_lines(backward(pieces), lines)]
        print_json(body | {"lines": found})
        return
    show = _Printer(as_json=as_json)
    if not follow:
        for each in last_lines(backward(pieces), lines):
            show(Line(number, readable(each)))
        return
    for line in followed(run_dir, number, lines, stays=attempt is not None):
        show(line)


class Line(NamedTuple):
    """One line of a log.

    Attributes:
        attempt: Who wrote it.
        text: What a terminal would show of it.
        is_whole: Whether it has its end; else it is a state of a line that goes on.
    """

    attempt: int
    text: str
    is_whole: bool = True


def followed(
    run_dir: RunDir, number: int, count: int, *, stays: bool, clock: Clock = SYSTEM_CLOCK
) -> Iterator[Line]:
    """Yield the last lines of an attempt and those that come, until all is over.

    Whenever nothing new is there, the line that has no end yet is yielded as it is then.

    Args:
        run_dir: The run.
        number: Attempt to begin with.
        count: How many of its last lines.
        stays: Whether to end with that attempt instead of going on to the next.
        clock: What to wait with.
    """
    never, rest = threading.Event(), _Rest()
    follower = Follower(run_dir.logs, number, run_dir.log(number))
    yield from (Line(number, readable(each)) for each in follower.tail(count))
    while True:
        is_over = not _is_alive(run_dir)  # before reading: what was written last still counts
        newer = next_attempt(run_dir.logs, number)
        data = follower.read()
        yield from (Line(number, readable(each)) for each in rest.lines(data))
        if data:
            continue
        if is_over or newer is not None:
            yield from (Line(number, readable(each)) for each in rest.end())
        if newer is not None and not stays:
            follower.close()
            number = newer
            follower = Follower(run_dir.logs, number, run_dir.log(number))
        elif is_over or newer is not None or not _has_reader():
            follower.close()
            return
        else:
            yield from (Line(number, readable(each), is_whole=False) for each in rest.state())
            clock.wait(never, _POLL_S)


class _Rest:
    """The line that is not finished yet, in the parts in which it came."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._is_new = False

    def lines(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` finishes; a huge one in parts."""
        *whole, rest = data.split(b"\n")
        if whole:
            whole[0] = b"".join(self._parts) + whole[0]
            self._parts, self._size_bytes = [], 0
        self._parts.append(rest)
        self._size_bytes += len(rest)
        self._is_new = self._is_new or bool(rest)
        return whole if self._size_bytes < _MAX_LINE_BYTES else [*whole, *self.end()]

    def state(self) -> list[bytes]:
        """Return the end of the line as it is now, if there is more of it than the last time."""
        is_new, self._is_new = self._is_new, False
        return [b"".join(self._parts)[-_MAX_STATE_BYTES:]] if is_new and self._parts else []

    def end(self) -> list[bytes]:
        """Return what is left, as a line if it is anything."""
        left = b"".join(self._parts)
        self._parts, self._size_bytes = [], 0
        return [left] if left else []


def readable(line: bytes) -> str:
    """Return a line as a terminal would leave it: of a progress bar, its last state."""
    return line.rstrip(b"\r").rsplit(b"\r", 1)[-1].decode(errors="replace")


class _Printer:
    """Prints lines as the place that they go to can show them."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._is_terminal = sys.stdout.isatty() and not as_json
        self._is_open = False

    def __call__(self, line: Line) -> None:
        """Print one line; of one that goes on, only a terminal shows its state."""
        if self._as_json and line.is_whole:
            row = {"type": "line", "attempt": line.attempt, "text": _ESCAPES.sub("", line.text)}
            print(json.dumps({"schema_version": SCHEMA_VERSION, **row}), flush=True)
        elif self._is_terminal:
            back = "\r\x1b[K" if self._is_open else ""
            self._is_open = not line.is_whole
            text = colored(line.text) if line.is_whole else self._fitting(line.text)
            print(back + text, end="\n" if line.is_whole else "", flush=True)
        elif line.is_whole:
            print(_ESCAPES.sub("", line.text), flush=True)

    def _fitting(self, text: str) -> str:
        """Return as much as one row takes: what is broken into two is not drawn over."""
        width = shutil.get_terminal_size().columns
        return printable(_ESCAPES.sub("", text))[: width - 1]


def colored(text: str) -> str:
    """Return a line for a terminal: with its colors, and nothing else that a terminal obeys."""
    parts = _COLORS.split(text)
    plain = [printable(_ESCAPES.sub("", part), keep="\t") for part in parts[::2]]
    return "".join(part + code for part, code in zip_longest(plain, parts[1::2], fillvalue=""))


def _has_reader() -> bool:
    """Say whether somebody may still read what is printed: `| head` leaves without a word."""
    poll = select.poll()
    try:
        poll.register(sys.stdout, 0)
    except (OSError, ValueError):  # no descriptor, in a test
        return True
    return not any(events & (select.POLLERR | select.POLLNVAL) for _, events in poll.poll(0))


def _is_alive(run_dir: RunDir) -> bool:
    leases = (run_dir.lock, run_dir.supervisor_lock, run_dir.shim_lock)
    return any(lock.live_owner(each) is not None for each in leases)


def _missing(run_dir: RunDir, number: int) -> NotFoundError:
    newest = newest_attempt(run_dir.logs)
    if newest:
        return NotFoundError(
            f"{run_dir.path} has no log of attempt {number}.",
            f"its newest log is that of attempt {newest}.",
            f"Look at: evertrain log {run_dir.path} --attempt {newest}",
        )
    return NotFoundError(
        f"{run_dir.path} has no log.",
        "the output of a training is kept only under the supervisor.",
        f"Start it with: evertrain run --run {run_dir.path} -- COMMAND",
    )
