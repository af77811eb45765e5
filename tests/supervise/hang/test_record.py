"""What is kept of a hang comes back from a row, and nothing else does."""

from dataclasses import replace

import pytest

from evertrain.supervise.hang.record import Hang, decode_hang, encode_hang

HANG = Hang(
    kind="hang", phase="eval", step=250, silent_s=61.0, limit_s=60.0, evidence="idle",
    stacks=("a", "b"), moved=("c",), processes=("d",),
)  # fmt: skip
OVER = "exit hang: {}, and its processes did not end for 1 m 01 s; it does nothing"


def test_a_hang_survives_the_wire() -> None:
    """Field by field."""
    assert decode_hang(encode_hang(HANG)) == HANG
    assert decode_hang(encode_hang(replace(HANG, step=None, stacks=()))) is not None


@pytest.mark.parametrize(
    "change",
    [{"kind": "nap"}, {"step": -1}, {"silent_s": "1"}, {"stacks": [1]}, {"evidence": 5}, {"x": 1}],
)
def test_what_is_no_hang_is_none(change: dict[str, object]) -> None:
    """A row may hold anything."""
    assert decode_hang({**encode_hang(HANG), **change}) is None
    assert decode_hang(None) is None
    assert decode_hang({}) is None


@pytest.mark.parametrize(
    ("hang", "text"),
    [
        (HANG, "hang: no sign of life for 1 m 01 s in 'eval' after step 250; it does nothing"),
        (
            replace(HANG, phase="silence", step=None, evidence="busy"),
            "hang: nothing was heard for 1 m 01 s; it is busy",
        ),
        (
            replace(HANG, phase="launch", step=None, evidence="stopped"),
            "hang: no sign of life for 1 m 01 s in 'launch'; it is stopped (SIGSTOP)",
        ),
        (
            replace(HANG, kind="exit_hang", phase="finished"),
            OVER.format("the training was over"),
        ),
        (
            replace(HANG, kind="exit_hang", phase="silence"),
            OVER.format("the trainer has ended"),
        ),
    ],
)
def test_a_hang_in_one_line(hang: Hang, text: str) -> None:
    """People read it in the banner, and in the table of the journal."""
    assert hang.summary == text
