"""Saves that are written beside the loop: what waits for them, and who hears of their failure."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evertrain import Run, Stage, Store, auto, every, keep_last
from evertrain.checkpoint.store import Pending
from evertrain.core.errors import FencedError, SaveError
from evertrain.core.fs import LocalFs
from evertrain.core.journal import Journal
from evertrain.core.request import pending, post
from evertrain.core.rundir import RunDir
from evertrain.run.background import Background
from evertrain.run.failure import MAX_FAILURES
from evertrain.testing import FakeClock
from support import OpenRun, Tally, walk

WRITER = "evertrain-writer"
LIMIT_S = 60.0  # of a test that is broken
RARELY = every(steps=1000)


class HeldDisk:
    """Lets no save beside the loop go on until somebody waits for it, or the test lets it.

    Attributes:
        told: What happened, in order.
        refused: Steps whose saves fail.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.told: list[str] = []
        self.refused: set[int] = set()
        self._may_go_on = threading.Event()
        self._has_begun = threading.Event()
        commit, begin = Store.commit, Store.begin
        take, join = Background.take, Background.join

        def held_commit(store: Store, pending: Pending) -> Any:
            if is_writer():
                self._has_begun.set()
                assert self._may_go_on.wait(LIMIT_S)
                self._may_go_on.clear()
            if pending.step in self.refused:
                self.told.append(f"refused {pending.step}")
                raise SaveError(f"no room for {pending.step}", "the disk is full", "free some")
            info = commit(store, pending)
            self.told.append(f"saved {pending.step}" + (" beside" if is_writer() else ""))
            return info

        def told_begin(store: Store, step: int, *args: Any, **more: Any) -> Pending:
            self.told.append(f"begun {step}")
            return begin(store, step, *args, **more)

        def letting_take(back: Background[Any], timeout_s: float | None = 0.0) -> Any:
            if timeout_s is None and back.is_busy:
                self.let()
            return take(back, timeout_s)

        def letting_join(back: Background[Any], limit_s: float) -> None:
            self.let()
            join(back, limit_s)

        patch.setattr(Store, "commit", held_commit)
        patch.setattr(Store, "begin", told_begin)
        patch.setattr(Background, "take", letting_take)
        patch.setattr(Background, "join", letting_join)

    def wait_until_held(self) -> None:
        """Wait until a save beside the loop stands at the disk's door."""
        assert self._has_begun.wait(LIMIT_S)
        self._has_begun.clear()

    def let(self) -> None:
        """Let the save go on."""
        self._may_go_on.set()

    def land(self) -> None:
        """Let the save go on, and wait until it is over."""
        self.let()
        for each in threading.enumerate():
            if each.name == WRITER:
                each.join(LIMIT_S)


def is_writer() -> bool:
    """Say whether this is the thread of a save beside the loop."""
    return threading.current_thread().name == WRITER


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldDisk]:
    """Provide a disk that holds every save beside the loop."""
    held = HeldDisk(monkeypatch)
    yield held
    held.let()


@pytest.fixture
def clock() -> FakeClock:
    """Provide a clock that the test turns."""
    return FakeClock()


def saved(run: Run) -> list[int]:
    """Return the steps whose checkpoints are on the disk now; `run.store` would wait."""
    return [info.step for info in Store(run.path / "checkpoints").list()]


def told(run: Run, event: str) -> list[Any]:
    """Return the steps of the events of one name."""
    return [row["step"] for row in Journal(run.path / "journal.jsonl").events(event)]


def begin(run: Run) -> Run:
    """Make the run ready for `tick`, with something to save."""
    run.attach(weights=np.zeros(3))
    run.restore()
    return run


def test_the_loop_goes_on_while_a_save_is_written(open_run: OpenRun, disk: HeldDisk) -> None:
    """Steps are taken while the first checkpoint is on its way."""
    run = begin(open_run(save=RARELY, total=None))
    for _ in range(5):
        run.tick()
    disk.wait_until_held()

    assert (run.step, saved(run), disk.told) == (5, [], ["begun 1"])
    disk.land()
    assert saved(run) == [1]


def test_what_is_saved_is_the_state_of_its_step(open_run: OpenRun, disk: HeldDisk) -> None:
    """The loop changes the state while it is written; the checkpoint does not hear of it."""
    run = open_run(save=RARELY, total=None)
    weights = np.zeros(3)
    run.attach(weights=weights)
    run.restore()
    for _ in range(4):
        weights += 1
        run.tick()
    disk.land()

    assert Store(run.path).load(1).state["weights"].tolist() == [1, 1, 1]


def test_a_second_save_waits_for_the_first(open_run: OpenRun, disk: HeldDisk) -> None:
    """There is one save at a time, in the order of their steps."""
    run = begin(open_run(save=every(steps=1), total=None))
    run.tick()
    run.tick()

    assert disk.told == ["begun 1", "saved 1 beside", "begun 2"]


def test_the_last_save_is_on_the_disk_before_the_loop_ends(
    open_run: OpenRun, disk: HeldDisk
) -> None:
    """Neither is it written beside anything, nor does the one in flight come after it."""
    run = open_run(save=RARELY, total=3)
    assert walk(run) == [1, 2, 3]

    assert saved(run) == [1, 3]
    assert disk.told == ["begun 1", "saved 1 beside", "begun 3", "saved 3"]


def test_a_stages_save_is_on_the_disk_before_the_next_begins(
    open_run: OpenRun, disk: HeldDisk
) -> None:
    """A stage never starts on what could still be lost."""
    run = open_run(save=RARELY, total=None)
    at_start = []
    for stage in run.stages([Stage("one", 3), Stage("two", 3)]):
        at_start.append(saved(run))
        for _ in stage:
            pass

    assert at_start == [[], [1, 3]]
    assert "saved 3" in disk.told


def test_a_stops_save_is_on_the_disk_before_the_loop_ends(
    open_run: OpenRun, disk: HeldDisk, clock: FakeClock
) -> None:
    """Whoever asked for the stop may switch the machine off."""
    run = begin(open_run(save=RARELY, total=None, clock=clock))
    run.tick()
    post(RunDir(run.path), "stop")
    clock.advance(1.0)
    run.tick()

    assert run.is_stopped
    assert saved(run) == [1, 2]
    assert disk.told[-1] == "saved 2"


def test_a_failure_is_told_at_the_next_boundary(
    open_run: OpenRun, disk: HeldDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    """The loop hears of it, and goes on."""
    disk.refused = {1}
    run = begin(open_run(save=RARELY, total=None))
    run.tick()
    disk.land()
    assert told(run, "save_failed") == []
    run.tick()

    assert told(run, "save_failed") == [1]
    assert "the save after step 1 failed: no room for 1" in capsys.readouterr().out


def test_the_fifth_failure_in_a_row_ends_the_training(
    open_run: OpenRun, disk: HeldDisk, clock: FakeClock
) -> None:
    """At the boundary after it, with what the disk said."""
    disk.refused = set(range(1000))
    run = begin(open_run(save=every(steps=1), total=None, clock=clock))
    with pytest.raises(SaveError, match=f"{MAX_FAILURES} saves in a row"):
        for _ in range(3 * MAX_FAILURES):
            run.tick()
            disk.land()
            clock.advance(1000.0)

    assert len(told(run, "save_failed")) == MAX_FAILURES


def test_a_run_that_was_taken_over_ends_at_the_next_boundary(
    open_run: OpenRun, disk: HeldDisk
) -> None:
    """A save in flight is not committed for a run that belongs to another attempt."""
    run = begin(open_run(save=RARELY, total=None))
    run.tick()
    (run.path / "lock").unlink()
    disk.land()
    with pytest.raises(FencedError):
        run.tick()

    assert saved(run) == []


class FreeClock(FakeClock):
    """A clock for threads that cost no processor time, however long they take."""

    def thread_cpu_s(self) -> float:
        """See `Clock.thread_cpu_s`."""
        return 0.0


def test_auto_does_not_ask_while_a_save_is_in_flight(open_run: OpenRun, disk: HeldDisk) -> None:
    """However late it gets: a slow disk is not given more to do. Then it asks again."""
    clock = FreeClock()
    run = begin(open_run(save=auto(), total=None, clock=clock))
    for _ in range(20):
        run.tick()
        clock.advance(1e6)
    assert disk.told == ["begun 1"]

    disk.land()
    run.tick()
    assert disk.told[-1] == "begun 21"


@pytest.mark.parametrize("refused", [set[int](), {1}])
def test_an_exception_lets_the_save_land_and_is_not_masked(
    open_run: OpenRun, disk: HeldDisk, refused: set[int]
) -> None:
    """What leaves the loop is what went wrong in it, whatever became of the save in flight."""
    disk.refused = refused
    run = open_run(save=RARELY)
    with pytest.raises(ZeroDivisionError), run:
        run.attach(weights=np.zeros(3))
        for step in run:
            assert 1 // (2 - step) >= 0

    assert saved(run) == ([] if refused else [1])
    assert told(run, "save_failed") == sorted(refused)
    assert told(run, "failed") == [1]


def test_close_waits(open_run: OpenRun, disk: HeldDisk) -> None:
    """After it nothing is written any more: the directory belongs to whoever comes next."""
    run = begin(open_run(save=RARELY))
    run.tick()
    run.close()

    assert saved(run) == [1]
    assert not [each for each in threading.enumerate() if each.name == WRITER]
    assert disk.told == ["begun 1", "saved 1 beside"]


def test_leaving_the_block_waits(open_run: OpenRun, disk: HeldDisk) -> None:
    """As `close`; and the last step is saved behind the one in flight."""
    with open_run(save=RARELY) as run:
        run.attach(weights=np.zeros(3))
        for step in run:
            if step == 2:
                break

    assert disk.told == ["begun 1", "saved 1 beside", "begun 2", "saved 2"]


@pytest.mark.parametrize("ask", [lambda run: run.store.list(), lambda run: run.wait()])
def test_whoever_asks_waits(open_run: OpenRun, disk: HeldDisk, ask: Any) -> None:
    """`run.store` and `run.wait()` are behind the save in flight."""
    run = begin(open_run(save=RARELY, total=None))
    run.tick()
    disk.wait_until_held()
    assert saved(run) == []
    ask(run)

    assert saved(run) == [1]


def test_without_memory_for_a_copy_the_save_holds_the_loop_up(
    open_run: OpenRun, disk: HeldDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slower, and as safe."""
    real = Store.begin

    def poor(store: Store, *args: Any, copy: bool = True, **more: Any) -> Pending:
        if copy:
            raise MemoryError
        return real(store, *args, copy=copy, **more)

    monkeypatch.setattr(Store, "begin", poor)
    run = begin(open_run(save=RARELY, total=None))
    run.tick()

    assert saved(run) == [1]
    assert disk.told[-1] == "saved 1"


@pytest.mark.parametrize("refused", [set[int](), {1}])
def test_without_a_thread_the_save_holds_the_loop_up(
    open_run: OpenRun, disk: HeldDisk, monkeypatch: pytest.MonkeyPatch, refused: set[int]
) -> None:
    """A system that has no thread costs time, not checkpoints; a failure is told at once."""
    real = threading.Thread.start

    def refusing(thread: threading.Thread) -> None:
        if thread.name == WRITER:
            raise RuntimeError("can't start new thread")
        real(thread)

    disk.refused = refused
    monkeypatch.setattr(threading.Thread, "start", refusing)
    run = begin(open_run(save=RARELY, total=None))
    run.tick()

    assert saved(run) == ([] if refused else [1])
    assert told(run, "save_failed") == sorted(refused)
    run.tick()
    assert saved(run) == ([] if refused else [1])


def test_a_system_without_threads_saves_all_the_same(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the copy, nor the digests, nor the check of what is read needs one."""
    run = open_run(save=every(steps=1), total=None)
    weights, still = np.zeros(2 << 20), np.ones(2 << 20)
    run.attach(weights=weights, still=still)
    run.restore()

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for _ in range(4):
        weights += 1
        run.tick()
    assert saved(run) == [1, 2, 3, 4]
    assert told(run, "save_failed") == []
    assert Store(run.path).load(3).state["weights"].max() == 3.0


def test_without_memory_the_rows_are_durable_before_their_checkpoint(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The save that holds the loop up keeps the same order."""
    run = begin(open_run(save=every(steps=1), total=None))
    monkeypatch.setattr(run._store._arena, "_available", lambda: 0)
    done: list[str] = []
    sync, replace = LocalFs.sync_file, LocalFs.replace

    def synced(fs: LocalFs, path: Path) -> None:
        sync(fs, path)
        done.append(f"synced {path.name}")

    def replaced(fs: LocalFs, src: Path, dst: Path) -> None:
        replace(fs, src, dst)
        done.append(f"named {dst.name}")

    monkeypatch.setattr(LocalFs, "sync_file", synced)
    monkeypatch.setattr(LocalFs, "replace", replaced)
    run.log(loss=1.0)
    run.tick()
    assert saved(run) == [1]
    assert done.index("synced metrics.jsonl") < done.index("named 000000001")


def test_an_odd_error_of_the_last_save_keeps_nothing_and_hides_nothing(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program's own error leaves the block, and the directory is free again."""

    def odd(*_: object) -> None:
        raise RuntimeError("a rule of the user's")

    run = open_run(save=every(steps=1), total=None, keep=odd)
    with pytest.raises(ZeroDivisionError), run:
        run.state.x = 1
        run.restore()
        run.tick()
        raise ZeroDivisionError
    assert "RuntimeError: a rule of the user's" in capsys.readouterr().out
    open_run(total=None).close()


@pytest.mark.slow
def test_an_interpreter_that_ends_waits_for_the_save_in_flight(tmp_path: Path) -> None:
    """A program that falls off its end, without a `with` block, loses no save."""
    program = """
import sys, time
import numpy as np
from evertrain import Run, every
from evertrain.core.fs import LocalFs
real = LocalFs.write
def slow(fs, path, chunks):
    time.sleep(0.5)
    return real(fs, path, chunks)
LocalFs.write = slow
run = Run(sys.argv[1], save=every(steps=1))
run.state.x = np.ones(1_000_000)
run.restore()
run.tick()
"""
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "run")],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    assert Store(tmp_path / "run").load(1).state["run.state"]["x"].sum() == 1_000_000


def test_a_request_waits_in_the_inbox_until_its_save_has_landed(
    open_run: OpenRun, disk: HeldDisk, clock: FakeClock
) -> None:
    """A process that is killed meanwhile leaves it to the next one."""
    run = begin(open_run(save=RARELY, total=None, clock=clock))
    run.tick()
    disk.land()
    run.tick()
    where = RunDir(run.path)
    post(where, "save")

    def tick() -> int:
        clock.advance(1.0)
        run.tick()
        return len(list(pending(where)))

    assert (tick(), disk.told[-1]) == (1, "begun 3")
    assert tick() == 1
    disk.land()
    assert tick() == 0
    assert saved(run) == [1, 3]


def test_a_request_whose_save_was_refused_is_tried_again(
    open_run: OpenRun, disk: HeldDisk, clock: FakeClock
) -> None:
    """It is served by a save that lands, and by nothing less."""
    run = begin(open_run(save=RARELY, total=None, clock=clock))
    run.tick()
    disk.land()
    run.tick()
    where = RunDir(run.path)
    post(where, "save")
    disk.refused = {3}
    clock.advance(1.0)
    run.tick()
    disk.land()
    for _ in range(4):  # the disk is left alone for a while
        clock.advance(1.0)
        run.tick()
    assert len(list(pending(where))) == 1

    clock.advance(100.0)
    run.tick()
    disk.land()
    clock.advance(1.0)
    run.tick()
    assert (saved(run), list(pending(where))) == ([1, 8], [])


def test_a_save_says_how_long_the_loop_waited(
    open_run: OpenRun, disk: HeldDisk, clock: FakeClock
) -> None:
    """What is written beside the loop takes its time, and blocks nobody."""
    run = begin(open_run(save=RARELY, total=None, clock=clock))
    run.tick()
    clock.advance(7.0)
    disk.land()
    run.wait()

    [row] = Journal(run.path / "journal.jsonl").events("saved")
    assert (row["seconds"], row["blocked"]) == (7.0, 0.0)


def test_the_state_of_a_step_is_not_kept_in_memory(open_run: OpenRun, disk: HeldDisk) -> None:
    """While it is written there is one copy of it, not the trees that it was taken from."""
    run = begin(open_run(save=RARELY, total=None))
    run.tick()

    flight = run._saver._flight
    assert flight is not None
    assert dict(flight.save.trees) == {}
    assert Path(run.path).is_dir()
    disk.land()


def test_a_save_that_fails_beside_the_loop_prunes_nothing(
    open_run: OpenRun, disk: HeldDisk
) -> None:
    """What was to make place for it stays until it is there."""
    disk.refused = {3}
    run = begin(open_run(save=every(steps=1), keep=keep_last(1), total=None))
    for _ in range(3):
        run.tick()
        disk.land()

    assert saved(run) == [2]
    run.tick()
    assert told(run, "save_failed") == [3]


def test_rows_are_durable_before_their_checkpoint(
    open_run: OpenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the background as well: the row is synced, then the checkpoint gets its name."""
    done: list[str] = []
    for name in ("append", "sync_file", "replace"):

        def act(fs: LocalFs, *args: Any, _name: str = name, _real: Any = None) -> Any:
            found = _real(fs, *args)
            done.append(f"{_name} {args[-1].name if _name == 'replace' else args[0].name}")
            return found

        real = getattr(LocalFs, name)
        monkeypatch.setattr(LocalFs, name, partialmethod(act, _real=real))
    run = begin(open_run(save=every(steps=1), total=None))
    for step in (1, 2):
        done.clear()
        run.log(loss=float(step))
        run.tick()
        run.wait()

        named = done.index(f"replace {step:09}")
        rows = "metrics.jsonl"
        assert done.index(f"append {rows}") < done.index(f"sync_file {rows}") < named


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_process_that_dies_anywhere_in_a_save_loses_nothing(tmp_path: Path, tally: Tally) -> None:
    """The next one goes on from the newest checkpoint or the one in flight, to the same end."""
    found = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("dying.py")), str(tmp_path)],
        stdout=subprocess.PIPE,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    whole, *deaths = [json.loads(line) for line in found.stdout.splitlines()]
    lost = sum(death["weights"] != whole["weights"] for death in deaths)
    tally("death at an operation of a save beside the loop", injected=len(deaths), lost=lost)

    assert len(deaths) > 80
    for death in deaths:
        before, in_flight = [0, *death["begun"]][-2:]
        assert death["from"] in {before, in_flight}, death
        assert death["from"] == max(death["committed"], default=0), death
        assert (death["rows"], death["weights"]) == (whole["rows"], whole["weights"]), death
        assert death["bad"] == [], death
    assert {death["from"] == death["begun"][-1] for death in deaths} == {True, False}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_hundred_kills_in_the_middle_of_a_save_lose_nothing(
    tmp_path: Path, tally: Tally
) -> None:
    """No checkpoint that was in place is gone but by the rule, and the end is the same."""
    deaths_wanted = 200
    found = subprocess.run(
        [
            *(sys.executable, str(Path(__file__).with_name("struck.py"))),
            *(str(tmp_path), str(deaths_wanted)),
        ],
        stdout=subprocess.PIPE,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    whole, *deaths, end = [json.loads(line) for line in found.stdout.splitlines()]
    tally("SIGKILL in the middle of a save", injected=deaths_wanted, lost=int(end != whole))

    assert sum(death["is_cut"] for death in deaths) == deaths_wanted
    newest = [death["there"][-1] for death in deaths]
    assert newest == sorted(newest)
    assert all(2 <= len(death["there"]) <= 5 for death in deaths[1:]), deaths
    assert end == whole
    assert end["bad"] == []
