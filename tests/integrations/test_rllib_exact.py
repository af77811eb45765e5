"""RLlib goes on where it was: what is captured, restored and checked, in one process."""

import random
import warnings
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import ray
import torch
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.impala import IMPALAConfig
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.connectors.connector_v2 import ConnectorV2
from ray.rllib.connectors.env_to_module import MeanStdFilter

from evertrain.core.errors import StateError
from evertrain.integrations.rllib import environments, newstack
from evertrain.integrations.rllib.adapter import AlgorithmAdapter
from evertrain.integrations.rllib.compare import first_difference
from evertrain.run import rng
from evertrain.testing.plugin_contract import loaded
from integrations import herds

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
ADAPTER = AlgorithmAdapter()


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def shake() -> None:
    """Let the generators be where nobody expects them."""
    random.seed()
    np.random.seed()  # noqa: NPY002
    torch.seed()


def saved(algorithm: Any) -> Any:
    """Return what a checkpoint holds of an algorithm and of the generators."""
    return deepcopy(loaded({"algorithm": ADAPTER.capture(algorithm), "rng": rng.capture()}))


def resumed(config: Any, state: Any) -> Any:
    """Return a new algorithm that goes on from there."""
    algorithm = herds.build(config)
    shake()
    ADAPTER.restore(algorithm, deepcopy(state["algorithm"]))
    rng.restore(state["rng"], "memory")
    return algorithm


def train(algorithm: Any, iterations: int) -> list[Any]:
    """Train, and return what is deterministic of each result."""
    return [herds.numbers(algorithm.train()) for _ in range(iterations)]


class Forgetful(ConnectorV2):
    """Counts how often it was called, and says so, but takes no count back."""

    calls = 0

    def __call__(self, *, batch: Any, **_: Any) -> Any:
        self.calls += 1
        return batch

    def get_state(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {"calls": self.calls}


class Curriculum(RLlibCallback):
    """Counts episodes, and says how many."""

    def __init__(self) -> None:
        self.episodes = 0

    def on_episode_end(self, **_: Any) -> None:
        self.episodes += 1

    def get_state(self) -> dict[str, Any]:
        return {"episodes": self.episodes}

    def set_state(self, state: dict[str, Any]) -> None:
        self.episodes = state["episodes"]


class Dumb(RLlibCallback):
    """Counts results, and cannot say how many."""

    count = 0

    def on_train_result(self, **_: Any) -> None:
        self.count += 1


_filter: Any = MeanStdFilter


def filtered(made: Any) -> Any:
    """Return a configuration whose observations are normalized."""
    return made.env_runners(env_to_module_connector=lambda *_, **__: _filter())


CASES = {
    "two environments and a filter": lambda: filtered(
        herds.config(herds.Walk, num_envs_per_env_runner=2)
    ),
    "whole episodes": lambda: herds.config(herds.Walk, batch_mode="complete_episodes").debugging(
        seed=None
    ),
    "two policies": lambda: herds.config(herds.Herd),
}


@pytest.mark.parametrize("case", CASES)
def test_it_goes_on_exactly(case: str) -> None:
    """Four iterations, and two and two in a new algorithm: the same state, the same numbers."""
    config = CASES[case]()
    whole = herds.build(config)
    train(whole, 2)
    state = saved(whole)
    assert state["algorithm"]["environments"] == "attributes"
    expected = train(whole, 2)

    other = resumed(config, state)
    found = train(other, 2)

    assert found == expected
    assert first_difference(saved(whole), saved(other), {"seed"}) is None
    whole.stop()
    other.stop()


def test_no_name_is_drawn_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of an episode that ended with the last step, so that equal trainings save the same."""
    monkeypatch.setattr(herds, "EPISODE", herds.BATCH // 2)
    algorithm = herds.build(herds.config())
    train(algorithm, 1)

    state = saved(algorithm)
    play = state["algorithm"]["runners"][0][0]["play"]

    names = play["shared"]["vector_env_episodes_map"]
    assert names
    assert all(each.startswith("id-") for pair in names.items() for each in pair)
    assert all(each["id"].startswith("id-") for each in play["episodes"])
    assert first_difference(state, saved(algorithm)) is None  # taking it draws and changes nothing
    algorithm.stop()


def test_nothing_can_be_left_out() -> None:
    """Without any one of these parts, the resumed training is another one."""
    config = herds.config(herds.Walk)
    whole = herds.build(config)
    train(whole, 2)
    state = saved(whole)
    expected = train(whole, 2)
    harmless = []

    for part in ("optimizers", "own", "play", "generators"):
        other = herds.build(config)
        mixed, fresh = deepcopy(state["algorithm"]), deepcopy(ADAPTER.capture(other))
        if part == "play":
            mixed["runners"][0][0][part] = None
        elif part != "generators":
            mixed["learners"][0][part] = fresh["learners"][0][part]
        shake()
        newstack.put(other, mixed)
        if part != "generators":
            rng.restore(state["rng"], "memory")
        harmless += [part] if train(other, 2) == expected else []
        other.stop()

    assert harmless == []
    whole.stop()


def test_what_does_not_come_back_is_told() -> None:
    """A connector that forgets is found when it is restored, not in the curve."""
    made = herds.config(herds.Walk).env_runners(
        env_to_module_connector=lambda *_, **__: Forgetful()
    )
    first = herds.build(made)
    train(first, 1)
    state = saved(first)
    other = herds.build(made)

    with pytest.raises(StateError, match="Forgetful"):
        ADAPTER.restore(other, deepcopy(state["algorithm"]))
    for each in (first, other):
        each.stop()


def test_what_does_not_fit_is_refused() -> None:
    """Another Ray with the command that mends it, another network by its shape, another order."""
    algorithm = herds.build(herds.config())
    tree = saved(algorithm)["algorithm"]
    wide = herds.config().rl_module(model_config=herds.network(8))
    other = herds.build(wide)

    assert list(ADAPTER.mismatches(algorithm, tree)) == []
    (version,) = ADAPTER.mismatches(algorithm, {**tree, "ray": "2.49.0"})
    assert "pip install 'ray[rllib]==2.49.0'" in version.problem
    assert any("shape" in each.problem for each in ADAPTER.mismatches(other, tree))
    other_metrics = [[["steps"], {"class": "LaterStats", "settings": {}, "state": {}}]]
    (metrics,) = ADAPTER.mismatches(algorithm, {**tree, "metrics": other_metrics})
    assert "LaterStats" in metrics.problem
    tree["learners"][0]["order"].reverse()
    assert [each.path for each in ADAPTER.mismatches(algorithm, tree)] == ["order"]
    for each in (algorithm, other):
        each.stop()


def test_callbacks_go_on_if_they_say_how() -> None:
    """One that can goes on counting; one that cannot is told, once."""
    made = herds.config(herds.Walk).callbacks([Curriculum, Dumb])
    first = herds.build(made)
    train(first, 1)
    assert first.env_runner._callbacks[0].episodes > 0
    first.callbacks[0].episodes = 9

    with pytest.warns(RuntimeWarning, match=r"not kept: Dumb \(count\)"):
        state = saved(first)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        saved(first)
    other = resumed(made, state)

    assert other.callbacks[0].episodes == 9
    assert other.env_runner._callbacks[0].episodes == first.env_runner._callbacks[0].episodes
    bare = herds.build(herds.config(herds.Walk))
    (problem,) = ADAPTER.mismatches(bare, state["algorithm"])
    assert problem.problem == "Curriculum with state there, none here"
    for each in (first, other, bare):
        each.stop()


def test_a_runner_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow or gone: when it is saved without it, and when it is resumed."""
    algorithm = herds.build(herds.config())
    with monkeypatch.context() as patch:
        patch.setattr(newstack, "ask", lambda *_: None)
        environments.decide(algorithm, environments.Keeping("attributes"))
        with pytest.warns(RuntimeWarning, match="1 of 1 runners are gone, or did not answer"):
            tree = saved(algorithm)["algorithm"]

    with pytest.warns(RuntimeWarning, match="lacks 1 runners"):
        ADAPTER.restore(algorithm, tree)
    algorithm.stop()


def test_an_episode_that_is_not_known_begins_anew() -> None:
    """Nobody saw how it began, so the checkpoint does without it, and says so; the next has all."""
    algorithm = herds.build(herds.config(herds.Walk))
    train(algorithm, 1)
    environments.decide(algorithm, environments.Keeping("replay"))

    with pytest.warns(RuntimeWarning, match="episodes that are open"):
        state = saved(algorithm)
    other = resumed(herds.config(herds.Walk), state)
    train(other, 1)  # episodes end in it
    for each in (algorithm, other):
        train(each, 1)
        assert saved(each)["algorithm"]["runners"][0][0]["play"] is not None
        each.stop()

    assert state["algorithm"]["runners"][0][0]["play"] is None


def test_another_hashing_is_told() -> None:
    """Agents would be batched in another order, and nothing else would say so."""
    algorithm = herds.build(herds.config())
    train(algorithm, 1)
    tree = saved(algorithm)["algorithm"]
    tree["runners"][0][0]["hashing"] += 1

    with pytest.warns(RuntimeWarning, match="PYTHONHASHSEED=0"):
        ADAPTER.restore(algorithm, tree)
    algorithm.stop()


@pytest.mark.parametrize(
    ("begin", "why"), [(DQNConfig, "replay buffer"), (IMPALAConfig, "whatever order")]
)
def test_what_is_not_known_is_refused(begin: Any, why: str) -> None:
    """It is not passed over."""
    made = begin().environment(herds.Walk).env_runners(num_env_runners=0)
    algorithm = herds.build(made.learners(num_learners=0))

    with pytest.raises(StateError, match=why):
        ADAPTER.capture(algorithm)
    algorithm.stop()
