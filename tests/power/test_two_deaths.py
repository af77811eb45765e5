"""Killed, and then without power, while the next process cleans up: nothing is half deleted."""

import shutil
from pathlib import Path

import pytest

from evertrain.checkpoint import Store
from evertrain.testing import CutFs, PowerCut, PowerDisk, everything_on
from evertrain.testing.medium import Operation
from evertrain.testing.power import UNPOWERED
from power.judge import check_newest
from power.scenarios import RUN, SCENARIOS, Scenario
from power.test_deaths import recorded
from support import FAST, another_process

FEW = 2**4  # worlds of a moment that are looked at
PRUNING = SCENARIOS["save that prunes"]
STARTING = SCENARIOS["first start"]


def test_what_a_dead_process_threw_away_is_whole_or_gone(tmp_path: Path) -> None:
    """It may show in its old place again, for its move was not synced: there it is whole."""
    whole = recorded(PRUNING, tmp_path / "whole")
    cuts = [at for at, done in enumerate(whole.operations, 1) if is_of_trash(done)]
    assert len(cuts) >= 6
    for cut in cuts:
        disk = killed(PRUNING, tmp_path / "disk", cut)
        before = len(disk.operations)
        with another_process(disk):
            Store(tmp_path / "disk" / RUN).recover()
        assert len(disk.operations) > before
        for left in disk.deaths(limit=FEW):
            if left.how == UNPOWERED and left.done >= before:
                left.plant(tmp_path / "after")
                with everything_on(FAST):
                    assert Store(tmp_path / "after" / RUN).verify() == [], (cut, str(left))
                    assert check_newest(tmp_path / "after" / RUN) in PRUNING.wanted
                shutil.rmtree(tmp_path / "after")
        shutil.rmtree(tmp_path / "disk")


def test_what_follows_a_start_that_was_killed_lasts(tmp_path: Path) -> None:
    """The directories that it made were not synced: whoever goes on with them sees to that."""
    whole = recorded(STARTING, tmp_path / "whole")
    cuts = [at for at, done in enumerate(whole.operations, 1) if done.name == "mkdir"]
    assert len(cuts) >= 2
    for cut in cuts:
        disk = killed(STARTING, tmp_path / "disk", cut)
        with another_process(disk):
            STARTING.act(tmp_path / "disk")
        for world in disk.worlds(limit=FEW):
            disk.reboot(tmp_path / "after", world)
            with everything_on(FAST):
                assert check_newest(tmp_path / "after" / RUN) == STARTING.ends_at, (cut, world)
            shutil.rmtree(tmp_path / "after")
        shutil.rmtree(tmp_path / "disk")


def is_of_trash(done: Operation) -> bool:
    """Say whether it moves something there, or deletes it."""
    return done.name in {"replace", "rmtree"} and "trash" in str(done)


def killed(scenario: Scenario, root: Path, cut: int) -> PowerDisk:
    """Return the disk of a process that was killed after so many operations."""
    root.mkdir()
    with another_process(FAST):
        scenario.prepare(root)
    disk = PowerDisk(root, FAST)
    with pytest.raises(PowerCut), another_process(CutFs(disk, cut_before=cut)):
        scenario.act(root)
    return disk
