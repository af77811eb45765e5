"""Killed or without power before any operation, whatever was being done: nothing is lost."""

import shutil
from pathlib import Path

import pytest

from evertrain.checkpoint import Store
from evertrain.testing import PowerDisk, Remains, everything_on
from evertrain.testing.worlds import EXHAUSTIVE
from power.judge import check_goes_on, check_newest
from power.scenarios import RUN, SCENARIOS, Scenario
from support import FAST, another_process

SAMPLED = 2**5  # worlds of a moment that are looked at in every test run; more are sampled
READ_ONLY = {"archive", "unarchive"}  # most of what they do is nowhere to be seen


def recorded(scenario: Scenario, root: Path) -> PowerDisk:
    """Return the disk after the scenario; it knows what each death in it would have left."""
    root.mkdir()
    with another_process(FAST):
        scenario.prepare(root)
    disk = PowerDisk(root, FAST)
    with another_process(disk):
        scenario.act(root)
    return disk


def judge(
    scenario: Scenario, disk: PowerDisk, place: Path, limit: int, each: int
) -> tuple[set[int], int]:
    """Go on after every `each`-th death, and only look after the others.

    Returns:
        Where it went on from, and how many deaths there were.
    """
    begun, count = set(), 0
    for left in disk.deaths(limit=limit):
        left.plant(place)
        try:
            with everything_on(FAST):
                began = judge_one(scenario, place, left, is_resumed=count % each == 0)
        except BaseException as error:
            error.add_note(str(left))
            raise
        begun.add(began)
        count += 1
        shutil.rmtree(place)
    return begun, count


def judge_one(scenario: Scenario, place: Path, left: Remains, *, is_resumed: bool) -> int:
    """Judge what one death left; return where a resume goes on from."""
    run = place / RUN
    assert left.before is not None or scenario.lasts(place)
    scenario.look(place)
    assert {fault.step for fault in Store(run / "checkpoints").verify()} <= set(scenario.rotten)
    allowed = scenario.allowed(place)
    until = max(scenario.wanted) + 1
    began = check_goes_on(run, until) if is_resumed else check_newest(run)
    assert began in allowed
    assert left.before is not None or began == scenario.ends_at
    return began


def check(name: str, tmp_path: Path, limit: int, each: int) -> None:
    """Judge one scenario."""
    scenario = SCENARIOS[name]
    disk = recorded(scenario, tmp_path / "disk")
    begun, count = judge(scenario, disk, tmp_path / "after", limit, each)
    assert begun == set(scenario.wanted)
    assert count >= len(disk.operations) / 4 or name in READ_ONLY


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_death_at_any_operation(name: str, tmp_path: Path) -> None:
    """Whatever a disk may show, all that was told is there; resumes are exact, and tidy."""
    check(name, tmp_path, SAMPLED, each=20)


@pytest.mark.soak
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_resume_after_every_death(name: str, tmp_path: Path) -> None:
    """The same in every world of up to twelve pending operations, with a resume after each."""
    check(name, tmp_path, EXHAUSTIVE, each=1)
