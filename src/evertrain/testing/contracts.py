"""Test suites that every implementation of a protocol must pass.

Subclass one in your own tests, provide the fixture, and inherit the tests.

Layer: testing. Imports checkpoint and core only.
"""

from dataclasses import replace
from typing import Final

import pytest

from evertrain.checkpoint.info import CheckpointInfo
from evertrain.checkpoint.keep import Keep, verdicts
from evertrain.checkpoint.when import Moment, When

_SCORES: Final = (None, 0.25, float("nan"), -1.0, 0.5, float("inf"), None)


class KeepContract:
    """What evertrain relies on in any `Keep` rule."""

    found = tuple(
        CheckpointInfo(
            step=10 * number,
            saved_at_s=1_700_000_000.0 + number,
            kind="stage" if number == 3 else "step",  # noqa: PLR2004
            score=score,
        )
        for number, score in enumerate(_SCORES)
    )

    @pytest.fixture
    def keep(self) -> Keep:
        """Provide the rule under test. Override it."""
        raise NotImplementedError

    def test_only_names_what_exists(self, keep: Keep) -> None:
        """A rule never keeps a step that is not there."""
        assert keep(self.found) <= {info.step for info in self.found}

    def test_is_pure(self, keep: Keep) -> None:
        """The same question gets the same answer twice."""
        assert keep(self.found) == keep(self.found)

    def test_accepts_nothing(self, keep: Keep) -> None:
        """An empty run directory is not an error."""
        assert keep(()) == frozenset()

    def test_accepts_one(self, keep: Keep) -> None:
        """A run with one checkpoint is not an error, and keeps it."""
        assert [each.is_kept for each in verdicts(self.found[:1], keep)] == [True]

    def test_is_stable(self, keep: Keep) -> None:
        """What was kept is kept again once the rest is gone: pruning twice deletes nothing more."""
        kept = keep(self.found)
        left = tuple(info for info in self.found if info.step in kept)
        assert keep(left) == kept


class WhenContract:
    """What evertrain relies on in any `When` rule."""

    moments = tuple(
        Moment(
            step=step,
            previous_step=step - stride,
            last_save_step=0,
            since_save_s=since_s,
            cost_s=cost_s,
            mtbf_s=mtbf_s,
        )
        for step, stride in ((1, 1), (10, 1), (4096, 2048), (10**12, 1))
        for since_s in (0.0, 60.0, 1e6)
        for cost_s in (None, 0.0, 0.5, 1e4)
        for mtbf_s in (None, 0.0, 3600.0)
    )

    @pytest.fixture
    def when(self) -> When:
        """Provide the rule under test. Override it."""
        raise NotImplementedError

    def test_gives_a_reason_or_none(self, when: When) -> None:
        """The answer is a sentence for the journal, or None; never an empty string."""
        for moment in self.moments:
            answer = when(moment)
            assert answer is None or answer.strip()

    def test_is_pure(self, when: When) -> None:
        """The same moment gets the same answer twice."""
        for moment in self.moments:
            assert when(moment) == when(moment)

    def test_the_unit_changes_only_the_words(self, when: When) -> None:
        """Whether it is due does not depend on what a step is called."""
        for moment in self.moments:
            renamed = replace(moment, unit="episode")
            assert (when(moment) is None) == (when(renamed) is None)
