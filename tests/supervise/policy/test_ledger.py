"""The ledgers through `decide`: histories, and what becomes of them."""

import pytest

from evertrain.supervise.decide import Restart, Stop, decide
from evertrain.supervise.end import End
from evertrain.supervise.options import SuperviseOptions
from supervise.policy.attempts import crash, of_kind, preempted, spread

OK, STUCK, UNKNOWN = crash("some"), crash("none"), crash("unknown")
RESTORING = crash("none", died_restoring=True)
SIGTERM = preempted()
LEDGERS = SuperviseOptions()
HOUR_S = 3600.0


def stops(ends: list[End], options: SuperviseOptions = LEDGERS) -> str | None:
    """Return why the history ends the run, or None."""
    verdict = decide(ends, options)
    assert isinstance(verdict, Restart) or verdict.kind == "gave up"
    return verdict.why if isinstance(verdict, Stop) else None


@pytest.mark.parametrize(
    ("ends", "why"),
    [
        pytest.param([STUCK] * 2, None, id="two without progress"),
        pytest.param([STUCK] * 3, "3 attempts in a row crashed without", id="three without"),
        pytest.param([STUCK, STUCK, OK, STUCK, STUCK], None, id="progress resets the count"),
        pytest.param([STUCK, UNKNOWN, STUCK, UNKNOWN], None, id="unknown counts as nothing"),
        pytest.param([STUCK, UNKNOWN, STUCK, STUCK], "3 attempts", id="and resets nothing"),
        pytest.param([UNKNOWN] * 9, None, id="nine unknown"),
        pytest.param([UNKNOWN] * 10, "10 crashes within 1 h, the limit", id="ten unknown"),
        pytest.param([OK] * 10, "10 crashes within 1 h", id="ten with progress, too fast"),
        pytest.param([STUCK, SIGTERM, STUCK, SIGTERM], None, id="preemptions are no crashes"),
        pytest.param([STUCK, SIGTERM, STUCK, STUCK], "3 attempts", id="and reset nothing"),
        pytest.param([OK, *[RESTORING] * 3], None, id="a checkpoint that kills is passed over"),
        pytest.param([OK, *[RESTORING] * 5], None, id="the older one gets its chance"),
        pytest.param([OK, *[RESTORING] * 6], "6 attempts", id="and no more than that"),
        pytest.param([SIGTERM] * 4, None, id="four preemptions"),
        pytest.param([SIGTERM] * 5, "5 interruptions from outside", id="five preemptions"),
        pytest.param(
            [SIGTERM] * 4 + [preempted("some")] + [SIGTERM] * 4, None, id="progress between them"
        ),
        pytest.param(
            [preempted("unknown", seconds=700.0)] * 9,
            None,
            id="where unknown, a long life is health",
        ),
        pytest.param(
            [preempted("unknown")] * 5, "5 interruptions", id="where unknown, a short one is not"
        ),
    ],
)
def test_the_default_ledgers(ends: list[End], why: str | None) -> None:
    """No progress, intensity and the budget of preemptions, each alone."""
    found = stops(ends)
    assert found is None if why is None else why in str(found)


def test_old_crashes_fall_out_of_the_window() -> None:
    """Ten crashes in an hour are too many; in two they are not, nor are those of the future."""
    assert stops(spread([OK] * 10, 400.0)) is not None
    assert stops(spread([OK] * 10, 401.0)) is None
    assert stops(spread([OK] * 30, 500.0)) is None
    assert stops(spread([OK] * 10, -2 * HOUR_S)) is None, "the clock was set back"
    short = SuperviseOptions(window_s=60.0)
    assert stops(spread([OK] * 10, 10.0), short) is None
    assert stops(spread([OK] * 10, 5.0), short) == "10 crashes within 1 m, the limit"


@pytest.mark.parametrize("stuck", [STUCK, RESTORING, crash("none", step=7)])
def test_an_explicit_number_is_the_guides_rule(stuck: End) -> None:
    """It stops at that crash, whenever they were, and for no other count."""
    explicit = SuperviseOptions(max_crashes=20)
    assert stops(spread([stuck] * 19, HOUR_S), explicit) is None
    assert stops(spread([stuck] * 20, HOUR_S), explicit) == "20 crashes, the limit"
    assert stops([stuck] * 500, SuperviseOptions(max_crashes=0)) is None
    within = SuperviseOptions(max_crashes=20, window_s=HOUR_S)
    assert stops(spread([stuck] * 40, 200.0), within) is None
    assert stops([stuck] * 20, within) == "20 crashes within 1 h, the limit"


def test_a_ladder_is_not_climbed_in_the_dark() -> None:
    """No count ends a run whose steps are seen; one that shows none ends when all were tried."""
    ladder = SuperviseOptions(ladder="ladder.yaml")
    assert stops([OK] * 100, ladder) is None
    assert stops([UNKNOWN] * 29, ladder) is None
    assert "no step of any rung was seen" in str(stops([UNKNOWN] * 30, ladder))
    assert stops(spread([UNKNOWN] * 100, 200.0), ladder) is None, "it lives long enough"
    healthy = crash("unknown", seconds=700.0)
    assert stops([*[UNKNOWN] * 20, healthy, *[UNKNOWN] * 20], ladder) is None
    assert stops([UNKNOWN] * 99, SuperviseOptions(ladder="ladder.yaml", max_crashes=0)) is None


def test_an_explicit_number_leaves_the_budget_of_preemptions() -> None:
    """They are no crashes: unlimited crashes are not unlimited interruptions."""
    assert stops([SIGTERM] * 5, SuperviseOptions(max_crashes=0)) is not None
    assert stops([STUCK, *[SIGTERM] * 4], SuperviseOptions(max_crashes=2)) is None


def _slow(useful_s: float | None, *, count: int = 6) -> list[End]:
    return spread([crash("some", seconds=900.0, useful_s=useful_s)] * count, 900.0)


def test_a_crash_behind_each_checkpoint_is_no_training() -> None:
    """Below the floor for an hour, over six attempts, all of them known; each made progress."""
    found = stops(_slow(45.0))
    assert found == "only 5 % of the last 1 h 30 m was useful work, below the floor of 10 %"
    assert stops(_slow(95.0)) is None
    assert stops(_slow(45.0, count=5)) is None, "too few"
    assert stops([*_slow(45.0)[:5], *_slow(None)[:1]]) is None, "not known"
    assert stops(spread([crash("some", seconds=90.0, useful_s=0.0)] * 6, 900.0)) is None, (
        "too short"
    )
    assert stops(_slow(45.0), SuperviseOptions(min_goodput=0.04)) is None
    assert stops(_slow(45.0), SuperviseOptions(max_crashes=20)) is None
    assert stops(_slow(45.0), SuperviseOptions(max_crashes=20, min_goodput=0.5)) is not None


@pytest.mark.parametrize("kind", ["config", "exit"])
def test_what_cannot_get_better_is_final_whatever_the_ledgers_say(kind: str) -> None:
    """A fault of the program ends it, also where crashes are unlimited."""
    unlimited = SuperviseOptions(max_crashes=0)
    code = 78 if kind == "config" else 93
    assert "starting again cannot help" in str(stops([End(code=code)], unlimited))
    fatal = End(code=1, fatal="ImportError: x")
    assert "ImportError" in str(stops([OK, fatal], unlimited))


def test_a_hang_counts_as_any_crash() -> None:
    """Only preemptions have a budget of their own."""
    assert stops([of_kind("hang", STUCK)] * 3) is not None
    assert stops([of_kind("lost", STUCK)] * 3) is not None
