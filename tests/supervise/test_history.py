"""`evertrain.supervise.history`: attempts as the journal tells them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evertrain.core import lock, proc
from evertrain.core.heartbeat import Heart
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir
from evertrain.supervise.history import (
    Story,
    furthest,
    is_complete,
    next_attempt,
    reached,
    read_story,
    second_newest,
    stray_leader,
)

Tell = Callable[..., None]


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    """An empty run."""
    return RunDir(tmp_path)


@pytest.fixture
def tell(run_dir: RunDir) -> Tell:
    """Record an event."""

    def record(event: str, **fields: Any) -> None:
        Journal(run_dir.journal).record(event, sync=False, **fields)

    return record


def test_numbers_go_on_whoever_gave_them(run_dir: RunDir, tell: Tell) -> None:
    """The next attempt is one more than journal and locks know."""
    assert next_attempt(run_dir) == 1
    tell("launched", attempt=4)
    assert next_attempt(run_dir) == 5
    lock.take(run_dir.lock, attempt=8).release()
    assert next_attempt(run_dir) == 9


def test_the_story_of_a_run(run_dir: RunDir, tell: Tell) -> None:
    """Only its own attempt counts: begun at 20, saved at 30, finished."""
    tell("attempt_started", attempt=1)
    tell("finished", attempt=1, step=99)
    tell("launched", attempt=2)
    tell("attempt_started", attempt=2)
    tell("resumed", attempt=2, step=20, **{"from": "000000020"})
    tell("saved", attempt=2, step=30)
    found = read_story(run_dir, 2)
    assert found == Story(
        is_run=True,
        step_from=20,
        step_to=30,
        resumed_from="000000020",
        saved=30,
        useful_s=found.useful_s,
    )
    tell("finished", attempt=2, step=30)
    assert read_story(run_dir, 2).is_finished
    with Heart(run_dir.heartbeat, pid=1) as heart:
        heart.beat(34, "step")
    assert read_story(run_dir, 2).step_to == 34


def test_the_supervisor_is_no_witness(run_dir: RunDir, tell: Tell) -> None:
    """What supervisor and shim record does not make a foreign command a `Run`."""
    tell("launched", attempt=1)
    tell("ended", attempt=1, by="shim")
    tell("finished", attempt=1, by="supervisor")
    assert read_story(run_dir, 1) == Story()


def test_a_foreign_run_is_complete_until_something_begins(run_dir: RunDir, tell: Tell) -> None:
    """The same command after its `finished`; not another one, not after a new launch."""
    tell("launched", attempt=1)
    assert not is_complete(run_dir, ["a", "b"])
    tell("finished", attempt=1, by="supervisor", command=["a", "b"])
    assert is_complete(run_dir, ["a", "b"])
    assert not is_complete(run_dir, ["a", "c"])
    tell("launched", attempt=2)
    assert not is_complete(run_dir, ["a", "b"])


def test_the_end_of_a_run_is_its_own_business(run_dir: RunDir, tell: Tell) -> None:
    """A `Run` that finished is started again: it may have a raised total."""
    tell("attempt_started", attempt=1)
    tell("finished", attempt=1, step=9)
    assert not is_complete(run_dir, ["a"])


def test_a_stray_leader_is_that_very_process(run_dir: RunDir, tell: Tell) -> None:
    """Same pid, start time and boot; a reused pid or another boot is none."""
    me = proc.children(1)[0]
    boot = proc.boot_id()
    tell("launched", attempt=1, pid=me.pid, start_time=me.start_time - 1, boot_id=boot)
    assert stray_leader(run_dir) is None
    tell("launched", attempt=1, pid=me.pid, start_time=me.start_time, boot_id="another boot")
    assert stray_leader(run_dir) is None
    tell("launched", attempt=1, pid=me.pid, start_time=me.start_time, boot_id=boot)
    assert stray_leader(run_dir) == me


def _begin(tell: Tell, attempt: int, step: int) -> None:
    tell("attempt_started", attempt=attempt)
    tell("restoring", attempt=attempt, step=step)


def test_how_far_a_run_had_come_before_an_attempt(run_dir: RunDir, tell: Tell) -> None:
    """Its checkpoints and its start count; wrecks and what the attempt itself saves do not."""
    assert reached(run_dir, 1) is None
    tell("attempt_started", attempt=1)
    assert reached(run_dir, 1) == 0
    tell("saved", attempt=1, step=30, path="000000030")
    tell("saved", attempt=1, step=33, path="emergency/000000033-ERROR")
    assert reached(run_dir, 1) == 0
    assert reached(run_dir, 2) == 30
    _begin(tell, 2, 20)
    tell("saved", attempt=2, step=25, path="000000025")
    assert reached(run_dir, 2) == 30, "sent back, it makes no progress before 30"
    tell("gave_up", why="x")
    _begin(tell, 3, 20)
    tell("saved", attempt=3, step=25, path="000000025")
    assert reached(run_dir, 3) == 20, "somebody has looked, and sent it back"


def test_how_far_a_command_had_come_before_an_attempt(run_dir: RunDir, tell: Tell) -> None:
    """The furthest of all before it, since somebody last looked at the run."""
    assert furthest(run_dir, 1) is None
    for attempt, step in ((1, 500), (2, 300), (3, None), (4, 900)):
        tell("ended", attempt=attempt, step_to=step)
    assert furthest(run_dir, 1) is None
    assert furthest(run_dir, 4) == 500
    tell("gave_up", why="x")
    tell("ended", attempt=5, step_to=100)
    assert furthest(run_dir, 6) == 100


def test_whether_an_attempt_died_of_what_it_restored(run_dir: RunDir, tell: Tell) -> None:
    """Behind a first step, or a checkpoint of its own, it did not; a wreck is none."""
    _begin(tell, 1, 20)
    tell("saved", attempt=1, step=20, path="emergency/000000020-ERROR")
    assert read_story(run_dir, 1).died_restoring
    assert read_story(run_dir, 1).saved is None
    tell("stepped", attempt=1, step=21)
    assert not read_story(run_dir, 1).died_restoring
    tell("attempt_started", attempt=2)
    assert not read_story(run_dir, 2).died_restoring, "a fresh start restores nothing"


def test_who_stopped_an_attempt(run_dir: RunDir, tell: Tell) -> None:
    """The name of the signal, as the run says it."""
    tell("attempt_started", attempt=1)
    assert read_story(run_dir, 1).stopped_by is None
    tell("stopped", attempt=1, step=3, why="SIGTERM")
    assert read_story(run_dir, 1).stopped_by == "SIGTERM"


def test_the_checkpoint_before_the_newest(run_dir: RunDir) -> None:
    """By step; other names do not count."""
    assert second_newest(run_dir) is None
    for name in ("000000010", "latest", "emergency"):
        (run_dir.checkpoints / name).mkdir(parents=True)
    assert second_newest(run_dir) is None
    (run_dir.checkpoints / "000000009").mkdir()
    (run_dir.checkpoints / "000000030").mkdir()
    assert second_newest(run_dir) == "10"
