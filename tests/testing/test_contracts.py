"""The contract suites catch the rules that they are there to catch."""

from collections.abc import Callable, Sequence

import pytest

from evertrain.checkpoint import CheckpointInfo, Moment
from evertrain.testing import KeepContract, WhenContract

Found = Sequence[CheckpointInfo]


def fails(suite: object, fixture: object) -> set[str]:
    """Return the tests of a suite that a rule fails."""
    failed = set()
    for name in dir(suite):
        if name.startswith("test_"):
            try:
                getattr(suite, name)(fixture)
            except (AssertionError, IndexError):
                failed.add(name)
    return failed


calls: list[int] = []


def forgetful(_: Found, /) -> frozenset[int]:
    """Answer differently each time."""
    calls.append(1)
    return frozenset({10}) if len(calls) % 2 else frozenset()


def moody(_: Moment, /) -> str | None:
    """Answer differently each time."""
    calls.append(1)
    return "due" if len(calls) % 2 else None


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (lambda found: frozenset({7}) if found else frozenset(), "test_only_names_what_exists"),
        (lambda found: frozenset({found[0].step}), "test_accepts_nothing"),
        (lambda found: frozenset(info.step for info in found[1:]), "test_is_stable"),
        (lambda found: frozenset({found[1].step}) if found else frozenset(), "test_accepts_one"),
        (forgetful, "test_is_pure"),
    ],
)
def test_keep_contract_bites(rule: Callable[[Found], frozenset[int]], name: str) -> None:
    """Each way to be wrong fails the test that is named after it."""
    assert name in fails(KeepContract(), rule)


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (lambda _: "", "test_gives_a_reason_or_none"),
        (
            lambda moment: "due" if moment.unit == "step" else None,
            "test_the_unit_changes_only_the_words",
        ),
        (moody, "test_is_pure"),
    ],
)
def test_when_contract_bites(rule: Callable[[Moment], str | None], name: str) -> None:
    """Each way to be wrong fails the test that is named after it."""
    assert name in fails(WhenContract(), rule)


def test_good_rules_pass() -> None:
    """A rule that does as it should passes everything."""
    assert fails(KeepContract(), lambda found: frozenset(i.step for i in found[-1:])) == set()
    assert fails(WhenContract(), lambda _: None) == set()
