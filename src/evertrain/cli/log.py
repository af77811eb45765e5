"""`evertrain log RUN`: what the attempts wrote, also while they write it.

Layer: cli.
"""

import json
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from evertrain.cli.render import SCHEMA_VERSION, json_option, print_json
from evertrain.core import lock
from evertrain.core.clock import SYSTEM_CLOCK, Clock
from evertrain.core.errors import NotFoundError
from evertrain.core.regular import open_regular
from evertrain.core.rundir import RunDir, open_run_dir

_POLL_S: Final = 0.5
_BLOCK_BYTES: Final = 65_536
_MAX_TAIL_BYTES: Final = 16 << 20  # of lines that never end, the end must do
_NAME: Final = re.compile(r"attempt-(\d+)\.log")
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
    number = attempt or _newest(run_dir)
    path = run_dir.log(number)
    if not path.is_file():
        raise _missing(run_dir, number)
    if as_json and not follow:
        body = {"run": str(run_dir.path), "attempt": number, "path": str(path)}
        print_json(body | {"lines": last_lines(path, lines)[0]})
        return
    tail, end = last_lines(path, lines)
    for line in tail:
        _print(line, number, as_json=as_json)
    if follow:
        for at, line in followed(run_dir, number, end, stays=attempt is not None):
            _print(line, at, as_json=as_json)


def last_lines(path: Path, count: int) -> tuple[list[str], int]:
    """Return the last `count` lines of a file that may be huge, and the offset of its end."""
    with open_regular(path) as file:
        end = start = file.seek(0, 2)
        data = b""
        while start > 0 and data.count(b"\n") <= count and end - start < _MAX_TAIL_BYTES:
            size_bytes = min(start, _BLOCK_BYTES)
            start -= size_bytes
            file.seek(start)
            data = file.read(size_bytes) + data
    lines = data.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    return [readable(line) for line in lines[len(lines) - min(count, len(lines)) :]], end


def followed(
    run_dir: RunDir, number: int, offset: int, *, stays: bool, clock: Clock = SYSTEM_CLOCK
) -> Iterator[tuple[int, str]]:
    """Yield the attempt and each line that it writes from now on, until the run is over.

    Args:
        run_dir: The run.
        number: Attempt to begin with.
        offset: Bytes of its log that were printed already.
        stays: Whether to end with that attempt instead of going on to the next.
        clock: What to wait with.
    """
    never, rest = threading.Event(), b""
    while True:
        is_over = not _is_alive(run_dir)  # before reading: what was written last still counts
        data = _read_from(run_dir.log(number), offset)
        offset += len(data)
        *whole, rest = (rest + data).split(b"\n")
        yield from ((number, readable(line)) for line in whole)
        is_behind = _newest(run_dir) > number
        if data:
            continue
        if rest and (is_over or is_behind):
            yield number, readable(rest)
            rest = b""
        if is_behind and not stays:
            number, offset = number + 1, 0
        elif is_over or is_behind:
            return
        else:
            clock.wait(never, _POLL_S)


def readable(line: bytes) -> str:
    """Return a line as a terminal would leave it: of a progress bar, its last state."""
    return line.rstrip(b"\r").rsplit(b"\r", 1)[-1].decode(errors="replace")


def _print(line: str, attempt: int, *, as_json: bool) -> None:
    text = line if sys.stdout.isatty() and not as_json else _ESCAPES.sub("", line)
    if as_json:
        row = {"schema_version": SCHEMA_VERSION, "type": "line", "attempt": attempt, "text": text}
        text = json.dumps(row)
    print(text, flush=True)


def _newest(run_dir: RunDir) -> int:
    """Return the number of the newest attempt with a log, or 0."""
    try:
        names = [each.name for each in run_dir.logs.iterdir()]
    except OSError:
        return 0
    found = [int(match[1]) for name in names if (match := _NAME.fullmatch(name))]
    return max(found, default=0)


def _is_alive(run_dir: RunDir) -> bool:
    leases = (run_dir.lock, run_dir.supervisor_lock)
    return any(lock.live_owner(each) is not None for each in leases)


def _read_from(path: Path, offset: int) -> bytes:
    try:
        with open_regular(path) as file:
            file.seek(offset)
            return file.read(16 * _BLOCK_BYTES)
    except OSError:
        return b""


def _missing(run_dir: RunDir, number: int) -> NotFoundError:
    newest = _newest(run_dir)
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
