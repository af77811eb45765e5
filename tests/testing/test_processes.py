"""Processes that do as they are told."""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from evertrain.testing.processes import (
    Act,
    Die,
    Exit,
    Ignore,
    Say,
    Start,
    Wait,
    living,
    program,
    turns,
    wait_until,
)

pytestmark = pytest.mark.slow


def played(command: list[str]) -> tuple[int, str]:
    """Return how a program ended, and what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("acts", "code", "said"),
    [
        ([], 0, ""),
        ([Say("one"), Say("two")], 0, "one\ntwo\n"),
        ([Say("one"), Exit(3), Say("two")], 3, "one\n"),
        ([Die()], -9, ""),
        ([Ignore(signal.SIGTERM), Die(signal.SIGTERM), Say("deaf")], 0, "deaf\n"),
    ],
)
def test_a_program_plays_its_acts(acts: list[Act], code: int, said: str) -> None:
    """In their order, to the one that ends it."""
    assert played(program(*acts)) == (code, said)


def test_turns(tmp_path: Path) -> None:
    """Each start plays the next program, and the last one for ever."""
    command = turns(tmp_path / "turns", [Say("one"), Exit(1)], (Say("two"),))

    assert [played(command) for _ in range(3)] == [(1, "one\n"), (0, "two\n"), (0, "two\n")]


def test_a_supervisor_starts_the_next_turn(tmp_path: Path) -> None:
    """A command that crashes and then comes through is what a supervisor is there for."""
    command = turns(tmp_path / "turns", [Say("one"), Exit(1)], [Say("two")])
    evertrain = [sys.executable, "-m", "evertrain", "run", "--run", str(tmp_path / "run")]
    code, said = played([*evertrain, "--delay", "0", "--", *command])

    assert code == 0
    assert "Training crashed!" in said
    assert said.index("one") < said.index("two")


def test_what_lives_on_is_seen() -> None:
    """A daemon that its parent left behind is found by the mark in its environment."""
    mark = uuid.uuid4().hex
    command = program(Start((Ignore(signal.SIGHUP), Wait(60)), is_daemon=True))
    env = {**os.environ, "MARK_OF_A_TEST": mark}
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    found = living(mark)
    for pid in found:
        os.kill(pid, signal.SIGKILL)

    assert len(found) == 1
    wait_until(lambda: not living(mark), "the daemon to end")


def test_waiting_in_vain_says_for_what() -> None:
    """The name of what never came stands in the failure."""
    with pytest.raises(AssertionError, match="still waiting: the end of time"):
        wait_until(lambda: False, "the end of time", limit_s=0.0)
