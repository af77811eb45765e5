"""A soak in small: each fault is done, seen through, and judged."""

from pathlib import Path

import pytest

from soak import faults
from soak.faults import ROT, undergo
from soak.victim import Victim

KILL = "SIGKILL of the trainer"
PID = "trainer (pid 7) killed"
STATE = "bits [7] of checkpoints/000000020/net.safetensors flipped"
NOTES = "bits [7] of checkpoints/000000020/metadata.json flipped"


@pytest.mark.parametrize(
    ("label", "what", "starts", "damaged", "problem"),
    [
        (KILL, PID, [20], 0, None),
        (KILL, PID, [30], 0, None),
        (KILL, PID, [19], 0, "it went on from [19], and there was a checkpoint of 20"),
        (KILL, PID, [20, 0], 0, "it went on from [20, 0], and there was a checkpoint of 20"),
        (KILL, PID, [10], 1, "1 whole checkpoints were set aside"),
        (ROT, STATE, [10], 1, None),
        (ROT, STATE, [20], 0, "the flipped bit was not noticed"),
        (ROT, NOTES, [20], 0, None),
        (ROT, NOTES, [10], 0, "it went on from [10], and there was a checkpoint of 20"),
        (ROT, NOTES, [10], 1, "1 whole checkpoints were set aside"),
    ],
)
def test_what_a_fault_must_not_cost(
    label: str, what: str, starts: list[int], damaged: int, problem: str | None
) -> None:
    """A resume from less than the newest checkpoint is a loss, unless that was damaged."""
    assert faults._problem(label, what, starts, 20, damaged) == problem


@pytest.mark.slow
def test_a_real_victim_survives(tmp_path: Path) -> None:
    """A kill, rot and a rival, done to a real training under a real supervisor."""
    victim = Victim(tmp_path / "run", 1_000_000, seed=1)
    try:
        assert victim.comes_further(120), "the training does not begin"
        cases = [undergo(victim, label) for label in (KILL, ROT, "second trainer")]
        starts = [row["step"] for row in victim.events("resumed")]
    finally:
        victim.end()

    assert [each.problem for each in cases if each is not None] == [None] * 3
    assert victim.surprises == []
    assert starts[0] == 0
    assert len(starts) == 3
    assert starts[1] > 0  # what was rotten may be a part that every checkpoint shares
    assert not victim.is_training
