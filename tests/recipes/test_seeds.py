"""The episodes of examinations."""

from itertools import pairwise

from evertrain.recipes.seeds import MOST_EPISODES, of_exams, of_report


def test_no_two_examinations_share_an_episode() -> None:
    """Of any two seeds, report and exams alike, however many episodes each has."""
    firsts = sorted(first(seed) for seed in (0, 1, 2, 3) for first in (of_report, of_exams))

    assert [b - a >= MOST_EPISODES for a, b in pairwise(firsts)] == [True] * 7


def test_the_first_seed_begins_at_zero() -> None:
    """So what was measured with it can be measured again."""
    assert of_report(0) == 0
