"""Kills a training at one system call after another: strace sends SIGKILL before it happens.

    python -m storm.traced DIRECTORY WINDOW EVERY

A child that is forked for each kill trains up to the door of the window, a piece of its
life: the opening of a run, a save beside the loop, ... There strace takes hold of the
thread that stands before the door, lets it go on, and kills the process as that thread
enters its N-th `fsync`, `rename`, `write`, ... A second child goes on from what is left.
Prints one JSON object for a training that is left alone, one with what the thread calls
in the window, then one for each death. Of writes, changes of modes and what empties the
trash, only every EVERY-th is cut.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storm.forking import code_of, completed, forked, wait_for_no_medium, warm_up
from storm.outcome import committed, end_of, resumed_at
from storm.windows import WINDOWS, Door, Window, train

CALLS = (
    *("write", "pwrite64", "writev", "fsync", "fdatasync", "rename", "renameat", "renameat2"),
    *("link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "symlink"),
    *("symlinkat", "chmod", "fchmod", "fchmodat", "ftruncate", "truncate", "utimensat"),
)
# They come often, and mostly fill what nobody refers to yet, or empty the trash.
PLAIN = {"write", "chmod", "unlinkat"}
TRACED = "trace=" + ",".join(f"?{each}" for each in CALLS)
ATTACHED = "attached"
_SET_PTRACER = 0x59616D61  # prctl: who but the parent may trace (Yama)


def may_be_traced() -> None:
    """Let a process that is no parent of this one trace it."""
    import ctypes

    ctypes.CDLL(None).prctl(_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)


class Trace:
    """strace, holding one thread."""

    def __init__(self, thread: int, *options: str) -> None:
        """Take hold of it.

        Raises:
            RuntimeError: This machine does not let it.
        """
        command = ["strace", "-e", TRACED, *options, "-p", str(thread)]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        said = self._process.stderr.readline()
        if ATTACHED not in said:
            self.let_go()
            raise RuntimeError(f"strace cannot trace here: {said.strip()}")

    def let_go(self) -> None:
        """Leave the thread to itself, if it still lives."""
        self._process.terminate()
        self._process.communicate()


@dataclass
class Kills:
    """All the kills of one window.

    Attributes:
        root: Where the runs lie.
        window: What they hit.
    """

    root: Path
    window: Window

    def live(self, path: Path, *options: str) -> bool:
        """Live through the window under strace; say whether it was survived."""
        door = Door()

        def act() -> None:
            may_be_traced()
            self.window.live(path, door)

        pid = forked(act, self.root / "child.log")
        door.forget()
        thread = door.wait()
        assert thread is not None, (self.root / "child.log").read_text()
        try:
            trace = Trace(thread, *options)
            door.open()
            survived = door.wait() is not None
            trace.let_go()
        finally:
            os.kill(pid, signal.SIGKILL)
            code = code_of(pid)
            door.close()
        assert code == -signal.SIGKILL, (self.root / "child.log").read_text()
        return survived

    def count(self) -> Counter[str]:
        """Return how often the thread makes each call in the window."""
        path, log = self.root / "counted", self.root / "calls.log"
        self.window.prepare(path)
        assert self.live(path, "-o", str(log))
        shutil.rmtree(path)
        calls = (re.match(r"(\w+)\(", line) for line in log.read_text().splitlines())
        return Counter(each[1] for each in calls if each)

    def kill(self, call: str, at: int) -> dict[str, Any]:
        """Kill one training, and go on; return what became of it."""
        path = self.root / "killed"
        self.window.prepare(path)
        inject = f"inject={call}:signal=KILL:when={at}"
        survived = self.live(path, "-o", os.devnull, "-e", inject)
        newest = max(committed(path), default=0)

        def go_on() -> None:
            wait_for_no_medium()
            train(path)

        completed(go_on, self.root / "again.log")
        found = {"call": call, "at": at, "survived": survived, "newest": newest}
        found |= {"from": resumed_at(path)[-1], "end": end_of(path)}
        shutil.rmtree(path)
        return found


def sample(counts: Counter[str], step: int) -> Iterator[tuple[str, int]]:
    """Yield which call to cut, and which time: each one, of the plain ones every `step`-th."""
    for call, count in sorted(counts.items()):
        stride = step if call in PLAIN else 1
        yield from ((call, at) for at in range(1, count + 1) if (count - at) % stride == 0)


def main(root: Path, name: str, step: int) -> None:
    """Die at the calls of one window, one after the other."""
    twin = root / "twin"
    warm_up(root / "warm")

    def live() -> None:
        wait_for_no_medium()
        train(twin)

    completed(live, root / "twin.log")
    print(json.dumps(end_of(twin)))
    kills = Kills(root, WINDOWS[name])
    try:
        counts = kills.count()
    except RuntimeError as error:
        print(json.dumps(str(error)))
        return
    print(json.dumps(counts))
    for call, at in sample(counts, step):
        print(json.dumps(kills.kill(call, at)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
