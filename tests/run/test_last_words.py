"""What a dying process writes for its supervisor."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from evertrain.core.journal import read_lines
from evertrain.run.last_words import LastWords, listen


def rows(path: Path) -> list[dict[str, Any]]:
    """Return what was written."""
    return list(read_lines(path.with_name(f"{path.name}.errors.jsonl")).rows)


def caught(error: BaseException) -> BaseException:
    """Return `error` as one that was raised."""
    try:
        raise error
    except BaseException as found:
        return found


def test_an_exception_is_told_once_with_its_step(tmp_path: Path) -> None:
    """Class with module, message, traceback and step; the same one is not told twice."""
    step = 41
    words = LastWords(tmp_path / "crashes" / "attempt-0001", lambda: step)
    error = caught(json.JSONDecodeError("bad", "x", 0))
    words.tell(error, "run")
    words.tell(error, "main")
    step = 42
    words.tell(caught(ValueError("a\nb")), "thread")

    first, second = rows(tmp_path / "crashes" / "attempt-0001")
    assert (first["by"], first["step"], first["type"]) == (
        "run",
        41,
        "json.decoder.JSONDecodeError",
    )
    assert "in caught" in first["traceback"]
    assert (second["type"], second["message"], second["step"]) == ("ValueError", "a\nb", 42)


class UnprintableError(Exception):
    """Whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no")


def test_nothing_here_hides_the_error(tmp_path: Path) -> None:
    """A full disk, an error without a text, too many of them, and Ctrl+C: silence."""
    (tmp_path / "file").write_text("")
    LastWords(tmp_path / "file" / "attempt-0001", lambda: 0).tell(caught(ValueError()), "run")
    words = LastWords(tmp_path / "attempt-0001", lambda: 0)
    words.tell(caught(UnprintableError()), "run")
    words.tell(caught(KeyboardInterrupt()), "run")
    assert rows(tmp_path / "attempt-0001") == []
    kept = [caught(ValueError(str(number))) for number in range(50)]
    for each in kept:
        words.tell(each, "thread")
    assert len(rows(tmp_path / "attempt-0001")) == 19


def test_a_huge_message_is_cut(tmp_path: Path) -> None:
    """The post-mortem stays small; the end of a traceback says most."""
    words = LastWords(tmp_path / "attempt-0001", lambda: 0)
    words.tell(caught(ValueError("x" * 10**6)), "run")
    (row,) = rows(tmp_path / "attempt-0001")
    assert len(row["message"]) == 4000
    assert len(row["traceback"]) == 64_000


def test_without_a_supervisor_nothing_is_touched() -> None:
    """A program by hand keeps its hooks."""
    before = (sys.excepthook, threading.excepthook)
    assert listen({}, lambda: 0) is None
    assert (sys.excepthook, threading.excepthook) == before


PROGRAM = """
import os, sys, threading
from evertrain.run.last_words import listen
words = listen(os.environ, lambda: 7)
assert listen(os.environ, lambda: 8) is words
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
if os.fork() == 0:
    raise KeyError("of the child")
os.wait()
raise RuntimeError("the end")
"""


@pytest.mark.slow
def test_every_way_out_is_heard(tmp_path: Path) -> None:
    """Main thread, another thread and a forked child; each still reaches the terminal."""
    path = tmp_path / "crashes" / "attempt-0003"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"EVERTRAIN_LAST_WORDS": str(path), "PATH": "/bin", "PYTHONPATH": ":".join(sys.path)},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    found = [(row["by"], row["type"], row["step"]) for row in rows(path)]
    assert found == [
        ("thread", "ZeroDivisionError", 8),
        ("child", "KeyError", 8),
        ("main", "RuntimeError", 8),
    ]
    assert done.stderr.count("Traceback") == 3
    assert path.with_name("attempt-0003.fault.txt").read_bytes() == b""


SEGFAULT = """
import ctypes, faulthandler, os, signal
from evertrain.run.last_words import listen
faulthandler.enable()
signal.signal(signal.SIGSEGV, signal.SIG_DFL)  # as Ray does, with a handler of its own
listen(os.environ, lambda: 7)
ctypes.string_at(0)
"""


def test_a_crash_is_heard_where_a_library_took_the_signal_before(tmp_path: Path) -> None:
    """Behind an earlier `faulthandler.enable`: a second one would name the file, and no more."""
    path = tmp_path / "attempt-0001"
    done = subprocess.run(
        [sys.executable, "-c", SEGFAULT],
        env={"EVERTRAIN_LAST_WORDS": str(path), "PYTHONPATH": ":".join(sys.path)},
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGSEGV
    assert "in string_at" in path.with_name("attempt-0001.fault.txt").read_text()
