"""Telling people, and the journal of a run, that an environment was restarted.

Layer: integrations. Imports its siblings, run and core.
"""

import sys
from typing import TYPE_CHECKING, Final

from evertrain.core.journal import Journal
from evertrain.core.printable import printable
from evertrain.core.rundir import RunDir
from evertrain.integrations.sb3.resilient.restart import EnvRestart

if TYPE_CHECKING:
    from evertrain.run.run import Run

_TRACEBACK_CHARS: Final = 8000  # of a recursion that was too deep, the end is enough


class RunReport:
    """Tells of restarts through a run: on its terminal, in its log, in its journal.

    Args:
        run: Whose environments they are.
    """

    def __init__(self, run: "Run") -> None:
        """Tell nothing yet."""
        self._run = run
        self._journal = Journal(RunDir(run.path).journal)

    def __call__(self, restart: EnvRestart) -> None:
        """Tell of one."""
        self._run.say(line_of(restart))
        print_traceback(restart)
        self._journal.record(
            "env_restarted",
            sync=False,
            must=False,
            attempt=self._run.attempt,
            index=restart.index,
            phase=restart.phase,
            cause=restart.cause,
            message=restart.summary,
            traceback=restart.traceback[-_TRACEBACK_CHARS:] or None,
            code=restart.code,
            signal=restart.signal,
            restarts=restart.restarts,
            quarantined=restart.is_quarantined or None,
            killed=list(restart.killed) or None,
        )


def line_of(restart: EnvRestart) -> str:
    """Return one line for people."""
    notes = [f"killed with it: {', '.join(restart.killed)}"] if restart.killed else []
    notes += [f"{restart.restarts} times now"] if restart.restarts > 1 else []
    notes += ["the spare serves its place"] if restart.is_quarantined else []
    more = f" ({'; '.join(notes)})" if notes else ""
    return f"evertrain: environment {restart.index} died: {restart.summary}{more}"


def print_restart(restart: EnvRestart) -> None:
    """Print one line and the traceback where errors go."""
    print(printable(line_of(restart)), file=sys.stderr)
    print_traceback(restart)


def print_traceback(restart: EnvRestart) -> None:
    """Print the traceback where errors go."""
    if restart.traceback:
        print(printable(restart.traceback, keep="\n\t"), file=sys.stderr, flush=True)
