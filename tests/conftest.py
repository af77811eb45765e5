"""Settings for every test: one thread per library, no color; and the account of faults."""

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

from support import Tally

# How long an example takes says something of the machine's other work, and nothing of ours.
settings.register_profile("evertrain", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("evertrain")

# Two cores are shared by whatever the tests start; threads that spin for each other cost minutes.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["NO_COLOR"] = "1"
CHROMIUM = "EVERTRAIN_CHROMIUM"  # where the tests of browser games find theirs
for name in [each for each in os.environ if each.startswith("EVERTRAIN_") and each != CHROMIUM]:
    del os.environ[name]

# Minutes each: with several workers, whoever gets one of these last keeps all others waiting.
LONG = (
    "exact/test_sigkill.py",
    "scenarios/test_quickstart.py",
    "run/test_background.py",
    "storm/test_random_kills.py",
    "storm/test_system_calls.py",
    "audit/test_faults.py",
    "recipes/hideseek/test_train.py",
    "integrations/test_three_lines.py",
    "integrations/test_sb3_matrix.py",
    "integrations/test_rllib_exact.py",
)
FAULTS = "faults"
SOAK_LIMIT_S = 3600.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let long suites take their time, and long files come first."""
    items.sort(key=lambda item: not item.path.as_posix().endswith(LONG))
    for item in items:
        if item.get_closest_marker("soak") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SOAK_LIMIT_S))


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """Count faults that this test injects; call it before the assertions."""

    def count(fault: str, *, injected: int, lost: int = 0) -> None:
        request.node.user_properties.append((FAULTS, (fault, injected, lost)))

    return count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many faults of each class were injected, and how many of them cost something."""
    injected: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for each in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        for name, value in each.user_properties if each.when == "call" else ():
            if name == FAULTS:
                injected[value[0]] += value[1]
                lost[value[0]] += value[2]
    if injected:
        terminalreporter.section("faults injected")
        terminalreporter.write_line("| fault | injected | survived | lost |")
        terminalreporter.write_line("|---|---|---|---|")
        for fault, count in sorted(injected.items()):
            survived = count - lost[fault]
            terminalreporter.write_line(f"| {fault} | {count:,} | {survived:,} | {lost[fault]:,} |")
