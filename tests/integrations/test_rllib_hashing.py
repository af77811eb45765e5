"""Programs that begin again so that strings hash alike, and those that cannot."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
sys.path[:0] = {paths}
from evertrain.integrations.rllib.hashing import hashing, settle_hashing
settle_hashing()
print("began", hashing())
"""


def start(*options: str, program: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run the program, from the command line or from standard input."""
    text = PROGRAM.format(paths=list(filter(None, sys.path)))
    words = [sys.executable, *options, *(("-c", text) if program is None else (program,))]
    kept = {key: each for key, each in os.environ.items() if key != "PYTHONHASHSEED"}
    return subprocess.run(
        words,
        input=None if program is None else text,
        env=kept,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_two_processes_hash_alike() -> None:
    """Whatever Python would have drawn."""
    first, second = start(), start()

    assert first.stdout == second.stdout
    assert first.stdout.startswith("began ")


@pytest.mark.parametrize(
    ("options", "program", "why"),
    [
        (["-I"], None, "ignores PYTHONHASHSEED"),
        (["-E"], None, "ignores PYTHONHASHSEED"),
        (["-R"], None, "ignores PYTHONHASHSEED"),
        ([], "-", "standard input"),
    ],
)
def test_who_cannot_begin_again_is_told(options: list[str], program: str | None, why: str) -> None:
    """No program ends without a word, and none goes on as if all were well."""
    done = start(*options, program=program)

    assert done.returncode == 1
    assert done.stdout == ""
    assert why in done.stderr
