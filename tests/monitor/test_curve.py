"""What a learning curve shows, before it is drawn."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evertrain.monitor.curve import Marks, fitting, marks_of, smooth, step_label, thin


def test_the_average_of_a_constant_is_the_constant() -> None:
    """There is no start-up bias toward zero."""
    assert smooth([5.0] * 4, span=10) == pytest.approx([5.0] * 4)


def test_the_average_skips_what_is_not_finite() -> None:
    """A NaN neither spreads nor counts as zero; without any number there is none."""
    assert smooth([math.nan, 2.0, math.inf, 2.0], span=3) == pytest.approx([2.0] * 4)
    assert math.isnan(smooth([math.nan], span=3)[0])


def test_the_average_of_a_slope_does_not_lag() -> None:
    """In the middle of a straight line the average lies on the line."""
    values = [float(step) for step in range(101)]

    assert smooth(values, span=10)[50] == pytest.approx(50)


def test_the_last_value_does_not_pull_the_end_away() -> None:
    """An outlier at the very end counts like any other, about twice over the span."""
    values = [0.0] * 100 + [1.0]

    assert smooth(values, span=19)[-1] < 0.2


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.integers(2, 50))
def test_thinning_keeps_the_peaks(values: list[float], most: int) -> None:
    """However few points are left, the lowest and the highest are among them, in order."""
    steps = [float(index) for index in range(len(values))]
    kept_steps, kept = thin((steps, values), most)

    assert len(kept) <= max(most + 2, 2)
    assert (min(kept), max(kept)) == (min(values), max(values))
    assert kept_steps == sorted(kept_steps)
    assert all(values[int(step)] == value for step, value in zip(kept_steps, kept, strict=True))


def test_marks_are_the_live_ones() -> None:
    """A restart on an abandoned branch is not drawn, nor is a fresh start."""
    rows = [
        {"event": "resumed", "attempt": 1, "step": 0},
        {"event": "stage_started", "attempt": 1, "step": 0, "stage": "one"},
        {"event": "stage_started", "attempt": 1, "step": 40, "stage": "two"},
        {"event": "resumed", "attempt": 2, "step": 50},
        {"event": "resumed", "attempt": 3, "step": 45},
        {"event": "stage_started", "attempt": 3, "step": 45, "stage": "two"},
    ]

    assert marks_of(rows) == Marks((45,), ((0, "one"), (40, "two")))


def test_names_of_stages_fit_their_room() -> None:
    """A long name before a near neighbor is cut; with no room at all it is left out."""
    marks = Marks(stages=((0, "a long first name"), (50, "second"), (51, "third")))

    names = [name for _, name in fitting(marks, [0, 100]).stages]

    assert names == ["a long first name", "", "third"]
    short = [name for _, name in fitting(marks, [0, 400]).stages]
    assert short[0] == "a lo.."


def test_steps_are_labelled_for_people() -> None:
    """Large steps are shortened, small ones are not."""
    assert [step_label(x) for x in (0, 250, 5000, 25_000, 1_400_000)] == [
        "0",
        "250",
        "5000",
        "25 k",
        "1.4 M",
    ]
