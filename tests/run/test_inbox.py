"""Requests: obeyed once, kept until they are acted on, and not by a run they were not meant for."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from evertrain.checkpoint import Store
from evertrain.core import lock
from evertrain.core.fs import LocalFs
from evertrain.core.journal import Journal
from evertrain.core.request import Verb, is_waiting, pending, post
from evertrain.core.rundir import RunDir
from evertrain.run.inbox import Inbox, addressed_since_s
from evertrain.testing import FakeClock, PowerDisk


class FullJournal(LocalFs):
    """A disk that has no room for the journal."""

    def append(self, path: Path, data: bytes) -> None:
        """Refuse."""
        del data
        raise OSError(errno.ENOSPC, "no space left on device", str(path))


class StickyFs(LocalFs):
    """A disk that deletes nothing."""

    def unlink(self, path: Path) -> None:
        """Refuse."""
        raise OSError(errno.EROFS, "read-only file system", str(path))


class Desk:
    """An inbox with everything around it."""

    def __init__(
        self, path: Path, *, fs: LocalFs | None = None, disk: LocalFs | None = None
    ) -> None:
        path.mkdir(exist_ok=True)
        self.run_dir = RunDir(path)
        self.clock = FakeClock()
        self.store = Store(self.run_dir.checkpoints)
        self.journal = Journal(self.run_dir.journal, fs=fs or LocalFs(), clock=self.clock)
        self._disk = disk or LocalFs()
        self.open()

    def open(self, *, is_supervised: bool = False) -> None:
        """Begin an attempt."""
        with lock.take(self.run_dir.lock, clock=self.clock) as lease:
            environ = {"EVERTRAIN_SUPERVISED": "1"} if is_supervised else {}
            since_s = addressed_since_s(self.journal, lease.owner, environ)
        self.inbox = Inbox(
            self.run_dir, self.store, self.journal, self.clock, since_s=since_s, fs=self._disk
        )

    def post(self, verb: Verb, step: int | None = None) -> None:
        """Leave a request."""
        post(self.run_dir, verb, step=step, clock=self.clock)

    def look(self) -> list[str]:
        """Return what a boundary one second later is asked to do."""
        self.clock.advance(1)
        return [each.verb for each in self.inbox.take()]

    @property
    def waiting(self) -> list[str]:
        """Verbs of the files that are there."""
        return [each.verb for each in pending(self.run_dir)]


def test_a_stop_stays_until_it_has_been_acted_on(tmp_path: Path) -> None:
    """A supervised owner that is killed during the save that it was asked for leaves it behind."""
    desk = Desk(tmp_path / "run")
    desk.journal.record("supervisor_started")
    desk.post("stop")
    assert desk.look() == ["stop"]
    assert desk.waiting == ["stop"]

    desk.open(is_supervised=True)
    assert desk.look() == ["stop"]
    desk.inbox.done()
    assert desk.waiting == []


def test_a_loop_that_comes_back_has_acted(tmp_path: Path) -> None:
    """A save that was taken at one boundary is deleted, and not taken again, at the next."""
    desk = Desk(tmp_path / "run")
    desk.post("save")
    assert desk.look() == ["save"]
    assert desk.look() == []
    assert desk.waiting == []
    assert len(desk.journal.events("save_requested")) == 1


def test_a_pin_is_done_at_once(tmp_path: Path) -> None:
    """Pins are the inbox's own work; the loop does not see them."""
    desk = Desk(tmp_path / "run")
    desk.store.save(3, {"a": {"x": np.zeros(1)}})
    desk.post("pin", 3)
    assert desk.look() == []
    assert desk.waiting == []
    assert desk.store.get(3).is_pinned
    assert len(desk.journal.events("pinned")) == 1


@pytest.mark.parametrize("end", ["finished", "stopped", "failed", None])
def test_a_request_to_an_attempt_that_is_gone_is_not_for_the_next_one(
    tmp_path: Path, end: str | None
) -> None:
    """However the last attempt ended, what it was asked for is void; pins are not."""
    desk = Desk(tmp_path / "run")
    desk.post("stop")
    desk.post("save")
    desk.post("pin", 3)
    desk.clock.advance(1)
    if end is not None:
        desk.journal.record(end)
    desk.open()
    assert desk.waiting == ["pin"]
    stale = desk.journal.events("stop_requested", "save_requested")
    assert [row["is_stale"] for row in stale] == [True, True]

    desk.clock.advance(1)
    desk.post("stop")
    assert desk.look() == ["stop"]


def test_a_supervised_training_is_asked_as_a_whole(tmp_path: Path) -> None:
    """A request to a crashed attempt is for its successor, unless the supervisor is newer."""
    desk = Desk(tmp_path / "run")
    desk.post("stop")
    desk.clock.advance(1)
    desk.journal.record("supervisor_started")
    desk.clock.advance(1)
    desk.post("save")
    desk.clock.advance(1)
    desk.open(is_supervised=True)

    assert desk.look() == ["save"]
    assert desk.waiting == ["save"]


def test_a_trainer_without_its_supervisor_is_on_its_own(tmp_path: Path) -> None:
    """A supervisor of the past says nothing about an attempt that nobody supervises."""
    desk = Desk(tmp_path / "run")
    desk.journal.record("supervisor_started")
    desk.clock.advance(1)
    desk.post("stop")
    desk.clock.advance(1)
    desk.open()

    assert desk.look() == []


def test_a_waiting_stop_is_seen_by_who_looks(tmp_path: Path) -> None:
    """A supervisor asks for what was not there when it began, of one kind, whatever the clock."""
    desk = Desk(tmp_path / "run")
    desk.post("save")
    desk.post("stop")
    before = {each.id for each in pending(desk.run_dir)}
    assert not is_waiting(desk.run_dir, "pin")
    assert not is_waiting(desk.run_dir, "stop", besides=before)

    desk.clock.jump(-86_400)
    desk.post("stop")
    assert is_waiting(desk.run_dir, "stop", besides=before)


def test_a_request_from_the_future_was_meant_for_another(tmp_path: Path) -> None:
    """It was there before, under a clock that was ahead: nobody is stopped by it for a year."""
    desk = Desk(tmp_path / "run")
    desk.clock.jump(365 * 86_400)
    desk.post("stop")
    desk.clock.jump(-365 * 86_400)
    desk.open()

    assert desk.look() == []
    assert desk.waiting == []


def test_a_full_disk_does_not_keep_a_stop_from_being_obeyed(tmp_path: Path) -> None:
    """The acknowledgement waits; the request is carried out."""
    desk = Desk(tmp_path / "run", fs=FullJournal())
    desk.post("stop")

    assert desk.look() == ["stop"]


def test_a_request_that_cannot_be_deleted_is_obeyed_once(tmp_path: Path) -> None:
    """A read-only inbox does not make a run save at every boundary."""
    desk = Desk(tmp_path / "run", disk=StickyFs())
    desk.post("save")

    assert [desk.look() for _ in range(3)] == [["save"], [], []]


@pytest.mark.parametrize("verb", [[], {}, 1, None, "format", True])
def test_a_verb_that_is_none_is_left_alone(tmp_path: Path, verb: object) -> None:
    """Files may hold anything."""
    desk = Desk(tmp_path / "run")
    desk.run_dir.inbox.mkdir()
    (desk.run_dir.inbox / "a.json").write_text(json.dumps({"verb": verb}))

    assert desk.look() == []


def test_a_request_survives_a_power_cut(tmp_path: Path) -> None:
    """Its file is there in every world, and so is the directory that was made for it."""
    root = tmp_path / "disk"
    (root / "run").mkdir(parents=True)
    disk = PowerDisk(root)
    post(RunDir(root / "run"), "stop", fs=disk)

    for number, world in enumerate(disk.worlds()):
        after = tmp_path / f"after-{number}"
        disk.reboot(after, world)
        assert [each.verb for each in pending(RunDir(after / "run"))] == ["stop"]


def test_an_inbox_that_cannot_be_read_ends_no_training(tmp_path: Path) -> None:
    """Whoever put it there may not even know of the training; nobody has asked for anything."""
    desk = Desk(tmp_path)
    desk.post("stop")
    (tmp_path / "inbox").rename(tmp_path / "away")
    (tmp_path / "inbox").symlink_to("inbox")  # listing a loop fails, as a foreign directory does
    desk.clock.advance(1)
    assert desk.inbox.take() == []

    (tmp_path / "inbox").unlink()
    (tmp_path / "away").rename(tmp_path / "inbox")
    desk.clock.advance(1)
    assert [each.verb for each in desk.inbox.take()] == ["stop"]
