"""Children of a process that has imported everything: an attempt costs milliseconds."""

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np

from evertrain import Run
from evertrain.core.fs import LocalFs


def warm_up(path: Path) -> None:
    """Train once, so that no child has to import what a training needs."""
    for total in (1, 2):
        with redirect_stdout(StringIO()), Run(path, total=total, seed=0) as run:
            run.attach(chance=np.random.default_rng(0))
            for _ in run:
                run.log(nothing=0.0)
        run.store.verify()


def forked(act: Callable[[], object], log: Path) -> int:
    """Start `act` in a child whose words go to `log`; return its pid. 0 if it came through."""
    pid = os.fork()
    if pid:
        return pid
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    code = 1
    try:
        act()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def code_of(pid: int) -> int:
    """Wait for a child; return its exit code, or the negated number of its signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def completed(act: Callable[[], object], log: Path) -> None:
    """Let a child do it, and wait until it is done."""
    code = code_of(forked(act, log))
    assert code == 0, f"exit code {code}: {log.read_text()[-3000:]}"


_SYNCS = {each: getattr(LocalFs, each) for each in ("sync_file", "sync_dir")}


def wait_for_no_medium() -> None:
    """Let syncs return at once from here on: the machine lives on, whatever is killed."""
    for name in _SYNCS:
        setattr(LocalFs, name, lambda *_: None)


def wait_for_the_medium() -> None:
    """Let syncs do again what they are for."""
    for name, sync in _SYNCS.items():
        setattr(LocalFs, name, sync)
