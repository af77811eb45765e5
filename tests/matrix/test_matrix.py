"""The kill matrix: whatever befalls a training, and whoever ends it, nothing of it is left.

Each row is a misfortune, each column a way to the end: it happens out of the blue, while the
training is asked to stop, when that is forced, or after the supervisor was killed.
"""

import json
import signal
import sys

import pytest

from evertrain.core.errors import EXIT_FORCED, EXIT_GAVE_UP, EXIT_STOPPED
from matrix.misfortunes import MISFORTUNES, Misfortune
from supervise.play import Play, Stage

PYTHON = sys.executable
pytestmark = pytest.mark.slow
# One of each column runs with every test run: the others are for `make soak`.
_QUICK = {
    "crash": {"OOM", "double-forked child"},
    "graceful": {"SIGSEGV", "child that holds the terminal"},
    "forced": {"exception"},
    "supervisor": {"stopped child", "SIGKILL"},
}
# Its own last save may take that long when a stop is forced, and then all get SIGTERM.
_LIMIT_S = 40.0


def column(name: str) -> pytest.MarkDecorator:
    """Return the parameters of a column."""
    return pytest.mark.parametrize(
        "row",
        [
            each if each.name in _QUICK[name] else pytest.param(each, marks=pytest.mark.soak)
            for each in MISFORTUNES
        ],
        ids=lambda each: each.name.replace(" ", "-"),
    )


def begin(stage: Stage, row: Misfortune, *, asked: int, words: tuple[str, ...] = ()) -> Play:
    """Start a training that dies at its `asked`-th SIGINT, and wait until it trains."""
    stage.script(*row.script)
    options = ("--max-crashes", "1", "--grace", "2", *words)
    play = stage.run(*options, "--", PYTHON, "train.py", str(asked), on_terminal=row.on_terminal)
    play.wait_for("TRAINING")
    return play


def check_saved(stage: Stage, row: Misfortune, asked: int) -> None:
    """One that can save has done so, after it was asked as often as it should be."""
    saved = stage.folder / "saved"
    assert saved.exists() is row.saves
    assert not row.saves or saved.read_text() == f"{asked} SIGINT"


@column("crash")
def test_out_of_the_blue(stage: Stage, row: Misfortune) -> None:
    """The tree is gone, and the post-mortem names the cause."""
    play = begin(stage, row, asked=0, words=("--hang-timeout", "1.5"))
    assert play.end(_LIMIT_S) == EXIT_GAVE_UP
    assert play.orphans() == {}
    crash = json.loads(play.run_dir.crash(1).read_text())
    assert crash["kind"] == row.kind
    assert row.says in json.dumps(crash)
    assert len(crash["killed"]) >= 1, "the deaf one at least"


@column("graceful")
def test_while_it_is_asked_to_stop(stage: Stage, row: Misfortune) -> None:
    """The leader alone is asked, once; whatever it makes of that, it is over after the grace."""
    play = begin(stage, row, asked=1)
    play.send(signal.SIGTERM)
    assert play.end(_LIMIT_S) == EXIT_STOPPED
    assert play.orphans() == {}
    check_saved(stage, row, 1)
    assert not play.events("crashed")


@column("forced")
def test_when_that_is_forced(stage: Stage, row: Misfortune) -> None:
    """A second Ctrl+C reaches the leader, too; it is over soon after."""
    play = begin(stage, row, asked=2, words=("--grace", "60"))
    play.send(signal.SIGINT)
    play.wait_for("Sent SIGINT")
    play.send(signal.SIGINT)
    assert play.end(_LIMIT_S) == (EXIT_STOPPED if row.saves else EXIT_FORCED)
    assert play.orphans() == {}
    check_saved(stage, row, 2)


@column("supervisor")
def test_after_the_supervisor_was_killed(stage: Stage, row: Misfortune) -> None:
    """The shim asks the leader, buries the rest, and leaves word of the end."""
    play = begin(stage, row, asked=1)
    play.send(signal.SIGKILL)
    play.end()
    stage.wait_until(lambda: not play.orphans(), f"nobody: {play.orphans()}", _LIMIT_S)
    (ended,) = play.events("ended")
    assert ended["by"] == "shim"
    assert play.events("supervisor_lost")
    check_saved(stage, row, 1)
