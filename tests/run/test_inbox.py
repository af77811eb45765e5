"""Requests: obeyed once, kept until they are acted on, and not by a run they were not meant for."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from evertrain.checkpoint import Store
from evertrain.core.fs import LocalFs
from evertrain.core.journal import Journal
from evertrain.core.rundir import RunDir
from evertrain.run.inbox import Inbox, pending, post
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

    def open(self) -> None:
        """Begin an attempt."""
        self.inbox = Inbox(self.run_dir, self.store, self.journal, self.clock, fs=self._disk)

    def post(self, verb: str, step: int | None = None) -> None:
        """Leave a request."""
        post(self.run_dir, verb, step=step, clock=self.clock)  # type: ignore[arg-type]

    def look(self) -> list[str]:
        """Return what a boundary one second later is asked to do."""
        self.clock.advance(1)
        return [each.verb for each in self.inbox.take()]

    @property
    def waiting(self) -> list[str]:
        """Verbs of the files that are there."""
        return [each.verb for each in pending(self.run_dir)]


def test_a_stop_stays_until_it_has_been_acted_on(tmp_path: Path) -> None:
    """An owner that is killed during the save that it was asked for leaves the stop to the next."""
    desk = Desk(tmp_path / "run")
    desk.post("stop")
    assert desk.look() == ["stop"]
    assert desk.waiting == ["stop"]

    desk.open()
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


@pytest.mark.parametrize("end", ["finished", "stopped"])
def test_a_stop_that_came_while_the_run_ended_does_not_stop_the_next_start(
    tmp_path: Path, end: str
) -> None:
    """What the last attempt was asked after its last step is void; later requests are not."""
    desk = Desk(tmp_path / "run")
    desk.post("stop")
    desk.post("save")
    desk.post("pin", 3)
    desk.clock.advance(1)
    desk.journal.record(end)
    desk.open()
    assert desk.waiting == ["pin"]

    desk.clock.advance(1)
    desk.post("stop")
    desk.open()
    assert desk.look() == ["stop"]


def test_a_stop_that_came_before_a_crash_is_obeyed(tmp_path: Path) -> None:
    """An attempt that died did not act on it."""
    desk = Desk(tmp_path / "run")
    desk.journal.record("stopped")
    desk.clock.advance(1)
    desk.post("stop")
    desk.clock.advance(1)
    desk.journal.record("failed")
    desk.open()

    assert desk.look() == ["stop"]


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
