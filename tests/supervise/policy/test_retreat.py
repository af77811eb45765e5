"""Deaths at the same step: an older checkpoint once, then other numbers, then the diagnosis."""

from dataclasses import replace

import pytest

from evertrain.supervise.decide import Restart, Stop, decide
from evertrain.supervise.end import End, Move
from evertrain.supervise.options import SuperviseOptions
from evertrain.supervise.policy.retreat import Chances
from supervise.policy.attempts import crash, preempted

SAME = crash("none", step=4312)
ALL = Chances(older="4200", may_reseed=True)
LEDGERS = SuperviseOptions()


def begun(end: End, move: Move | None) -> End:
    """Return the same end of an attempt that was begun by `move`."""
    return replace(end, gain=replace(end.gain, move=move))


def moves(end: End, chances: Chances, options: SuperviseOptions = LEDGERS) -> list[str]:
    """Let each attempt die like `end`; return what was tried, and the last word."""
    ends: list[End] = []
    found: list[str] = []
    move: Move | None = None
    while len(ends) < 9:
        ends.append(begun(end, move))
        verdict = decide(ends, options, chances)
        if isinstance(verdict, Stop):
            return [*found, verdict.why]
        assert (verdict.from_ == "4200") is (verdict.move == "older")
        move = verdict.move
        found.append(move or "again")
    return found


def test_each_way_out_is_tried_once() -> None:
    """Three deaths, one checkpoint earlier, other random numbers, and then the diagnosis."""
    *tried, why = moves(SAME, ALL)
    assert tried == ["again", "again", "older", "reseed"]
    assert why == (
        "crashed 5 times at step 4,312 in the same way, also from an older checkpoint and with "
        "other random numbers: same state; try another seed, or resume further back"
    )


@pytest.mark.parametrize(
    ("chances", "tried", "words"),
    [
        (Chances(), ["again", "again"], "crashed 3 times at step 4,312 in the same way: same"),
        (Chances(older="4200"), ["again", "again", "older"], "also from an older checkpoint: same"),
        (Chances(may_reseed=True), ["again", "again", "reseed"], "also with other random numbers"),
    ],
)
def test_what_is_not_there_or_not_allowed_is_not_tried(
    chances: Chances, tried: list[str], words: str
) -> None:
    """Without an older checkpoint or leave to reseed, it ends sooner."""
    *found, why = moves(SAME, chances)
    assert found == tried
    assert words in why


def test_an_explicit_number_still_tries_but_does_not_end() -> None:
    """The guide's rule counts crashes; what gets a training past them is as good there."""
    found = moves(SAME, ALL, SuperviseOptions(max_crashes=8))
    assert found == [*["again"] * 2, "older", "reseed", *["again"] * 3, "8 crashes, the limit"]


def test_other_places_are_no_same_step() -> None:
    """Another step, another frame, or no step at all: a flaky simulator throws it anywhere."""
    elsewhere = [crash("some", step=step) for step in (4311, 4312, 4313)]
    assert decide(elsewhere, LEDGERS, ALL) == Restart(5.0)
    assert decide([crash("some")] * 9, LEDGERS, ALL) == Restart(5.0)
    assert decide([SAME, crash("some", step=1), SAME, SAME], LEDGERS, ALL) == Restart(5.0)


def test_an_interruption_in_between_changes_nothing() -> None:
    """It says nothing about the step."""
    verdict = decide([SAME, SAME, preempted(), SAME], LEDGERS, ALL)
    assert isinstance(verdict, Restart)
    assert verdict.move == "older"
    assert decide([SAME, SAME, SAME, preempted()], LEDGERS, ALL) == Restart(5.0)


def test_a_checkpoint_that_kills_is_left_to_the_run() -> None:
    """A `Run` passes over it by itself, and demotes it."""
    killed = replace(SAME, gain=replace(SAME.gain, died_restoring=True))
    assert decide([SAME, killed, killed, killed], LEDGERS, ALL) == Restart(5.0)


def test_people_are_told_what_is_tried() -> None:
    """Which checkpoint, and why."""
    verdict = decide([SAME] * 3, LEDGERS, ALL)
    assert isinstance(verdict, Restart)
    assert verdict.why == (
        "crashed 3 times in the same way at the same step: going back to an older checkpoint (4200)"
    )
