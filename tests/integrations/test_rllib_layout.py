"""Another Ray: what is known of this one, and what is refused before a training begins."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.utils.metrics import metrics_logger
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

from evertrain.core.errors import StateError
from evertrain.integrations.rllib import layout, probe, stats
from evertrain.integrations.rllib.adapter import room_of
from evertrain.integrations.rllib.compare import first_difference
from evertrain.testing.plugin_contract import loaded

pytestmark = pytest.mark.filterwarnings("ignore")


_logger: Any = MetricsLogger


@pytest.fixture(autouse=True)
def _look_again() -> Iterator[None]:
    layout.metrics.cache_clear()
    yield
    layout.metrics.cache_clear()


class LaterEnvRunner:
    """A runner as RLlib might have one."""

    __module__ = EnvRunner.__module__

    def sample(self) -> Any:
        """Name what it plays."""
        return [each for each in self._open_games]  # type: ignore[attr-defined] # noqa: C416


class MyEnvRunner(LaterEnvRunner):
    """A runner of the program's own."""

    def sample(self) -> Any:
        """Keep a note."""
        return self._notes  # type: ignore[attr-defined]


def runner_with(kind: type = LaterEnvRunner, **more: object) -> Any:
    """Return a runner with all that is known of one, and more."""
    runner = kind()
    known = ("_ongoing_episodes", *probe.OF_RUNNER)
    vars(runner).update(dict.fromkeys(known), **more)
    return runner


def algorithm_of(runner: Any) -> Any:
    """Return as much of an algorithm as is looked at before its state is."""
    config = SimpleNamespace(enable_env_runner_and_connector_v2=True)
    return SimpleNamespace(config=config, env_runner_group=SimpleNamespace(local_env_runner=runner))


def test_all_of_this_ray_is_known() -> None:
    """Its episodes, its buffers, its metrics."""
    assert probe.strangers(None) == []
    assert room_of(algorithm_of(runner_with())).__name__.endswith("newstack")


def test_state_in_a_new_place_is_refused() -> None:
    """By its name, and with a Ray that is known."""
    with pytest.raises(StateError, match="a LaterEnvRunner has _open_games") as caught:
        room_of(algorithm_of(runner_with(_open_games=[])))

    assert "pip install 'ray[rllib]==" in str(caught.value)


def test_state_that_is_gone_is_refused() -> None:
    """It has moved, nobody knows where."""
    runner = runner_with()
    del runner._cached_to_module

    with pytest.raises(StateError, match="a LaterEnvRunner has no _cached_to_module"):
        room_of(algorithm_of(runner))


def test_what_the_program_has_put_there_is_its_own() -> None:
    """By a callback, or in a class of its own; what RLlib needs below it is looked at."""
    assert probe.strangers(runner_with(seen_by_a_callback=3)) == []
    assert probe.strangers(runner_with(MyEnvRunner, _notes=[])) == []
    (found,) = probe.strangers(runner_with(MyEnvRunner, _open_games=[]))
    assert found == "a MyEnvRunner has _open_games"


def test_a_new_class_of_metrics_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it sums up would not come back."""

    class MedianStats:
        def __init__(self, *, is_root: bool = False, is_leaf: bool = True) -> None:
            self.is_root, self.is_leaf = is_root, is_leaf
            self.latest_merged = None
            self.middle = 0.0

    monkeypatch.setattr(
        metrics_logger, "DEFAULT_STATS_CLS_LOOKUP", {"median": MedianStats}, raising=False
    )
    with pytest.raises(StateError, match="a MedianStats has middle"):
        room_of(algorithm_of(None))


def test_no_known_metrics_at_all_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the one class nor the many are where they were."""
    for name in ("DEFAULT_STATS_CLS_LOOKUP", "Stats"):
        monkeypatch.delattr(metrics_logger, name, raising=False)
    with pytest.raises(StateError, match="'Stats'"):
        room_of(algorithm_of(None))


def test_a_metric_of_the_programs_own_is_refused() -> None:
    """It is not passed over."""

    class Own:
        pass

    logger = _logger()
    logger.stats = {"own": Own()}
    with pytest.raises(StateError, match="a metric is a Own"):
        stats.take(logger, [])


def test_no_directory_is_left_of_loggers_that_are_gone(tmp_path: Path) -> None:
    """One for each restart would pile up in the user's home; what is in one is kept."""
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "log").touch()

    def build_algo() -> Any:
        (tmp_path / "made").mkdir()
        return SimpleNamespace(logdir=str(tmp_path / "made"))

    layout.build_quietly(SimpleNamespace(build_algo=build_algo))
    used = SimpleNamespace(logdir=str(tmp_path / "used"))
    layout.build_quietly(SimpleNamespace(build_algo=lambda: used))

    assert [each.name for each in tmp_path.iterdir()] == ["used"]


@pytest.mark.parametrize("name", sorted(layout.metrics()))
def test_a_metric_goes_on(name: str) -> None:
    """Each class, as it is logged to, and as it sums up others."""
    kind = layout.metrics()[name].kind
    window: dict[str, Any] = {"window": 3} if "window" in layout.metrics()[name].settings else {}
    leaf = kind(**window)
    for value in (3.0, 1.0, 2.0, 4.0):
        leaf.push(value)
    logger, other = _logger(), _logger()
    logger.stats = {"leaf": leaf}
    if "is_leaf" in layout.metrics()[name].settings:
        logger.stats["sum"] = {"root": kind(**window, is_root=True, is_leaf=False)}
        logger.stats["sum"]["root"].merge([leaf])
    tree = loaded(stats.take(logger, []))

    stats.put(other, tree)

    assert first_difference(tree, loaded(stats.take(other, []))) is None
    for each in (logger, other):
        each.stats["leaf"].push(9.0)
        if "sum" in each.stats:
            each.stats["sum"]["root"].merge([each.stats["leaf"]])
    found, expected = ([each.stats[key].peek() for key in ("leaf",)] for each in (other, logger))
    assert found == expected
    assert first_difference(stats.take(logger, []), stats.take(other, []), {"id_"}) is None
