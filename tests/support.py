"""What several test modules share: types, a fast disk, and ways to take steps."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol
from unittest.mock import patch

import pytest

from evertrain import Run
from evertrain.core.fs import Fs, LocalFs
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir
from evertrain.testing import everything_on

OpenRun = Callable[..., Run]


class Tally(Protocol):
    """Counts faults for the table at the end of a test run."""

    def __call__(self, fault: str, *, injected: int, lost: int = 0) -> None:
        """Add so many of a class; `lost` are those that cost what they must not."""


class FastFs(LocalFs):
    """A disk that does not wait for the medium: nothing here outlives the test anyway."""

    def sync_file(self, path: Path) -> None:
        """Look that there is something to sync."""
        assert path.is_file()

    def sync_dir(self, path: Path) -> None:
        """Look that there is something to sync."""
        assert path.is_dir()


FAST: Final = FastFs()
_DEAD: Final = 2**22 + 1  # a pid above the largest that Linux gives


@contextmanager
def another_process(fs: Fs) -> Iterator[None]:
    """Act as a process that is dead afterwards, on a disk of its own."""
    with everything_on(fs), patch("os.getpid", lambda: _DEAD):
        yield


def walk(run: Run, until: int | None = None) -> list[int]:
    """Take steps of `run` up to and including `until`; return their numbers."""
    taken = []
    for step in run:
        taken.append(step)
        if step == until:
            run.end_step()
            break
    return taken


def resumed_from(run: Path) -> int:
    """Return the step that the last attempt of a run began behind; 0 is a fresh start."""
    step: int = Journal(RunDir(run).journal).events("resumed")[-1]["step"]
    return step


def sampled(cases: Iterable[Any], every: int) -> list[Any]:
    """Return cases for `parametrize`, of which each `every`-th runs in every test run.

    The others are for `make soak`.
    """
    return [
        case if index % every == 0 else pytest.param(case, marks=pytest.mark.soak)
        for index, case in enumerate(cases)
    ]
