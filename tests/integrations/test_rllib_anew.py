"""Where nobody can look into the environments, episodes begin anew, in every attempt alike."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from evertrain import Run, every
from evertrain.core.errors import StateError, UsageError
from evertrain.integrations.rllib import iterations, oldstack, world
from evertrain.integrations.rllib.adapter import AlgorithmAdapter
from evertrain.run import rng
from evertrain.testing.plugin_contract import loaded
from integrations import herds, liars
from integrations.worlds import digest, rows

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
ADAPTER = AlgorithmAdapter()


class CrashError(Exception):
    """The training dies."""


class Sealed(herds.Walk):
    """Its drift comes from an iterator, which nobody can copy."""

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        answer = super().reset(seed=seed, options=options)
        self.drift = iter(self.np_random.normal(size=herds.EPISODE).tolist())
        return answer

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.at = self.at + 0.1 * next(self.drift)
        return super().step(action)


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def test_every_environment_of_a_runner_is_looked_at() -> None:
    """The second one may hold what the first one does not; then none of them is kept."""
    other: Any = liars.Plain()
    other.counter = iter([1.0])

    found = world.choose(SimpleNamespace(envs=[liars.Plain(), other]), "attributes")

    assert found.method == "barrier"
    assert found.reasons[-1][1].startswith(".counter is a builtins.list_iterator, which cannot")


def train(path: Path, crash_at: int | None = None, env_state: str = "barrier") -> None:
    """Train four iterations, unless the training dies."""
    with Run(path, total=4, unit="iteration", seed=3, save=every(steps=1)) as run:
        algorithm = herds.build(herds.config(Sealed))
        for result in iterations(run, algorithm, env_state=env_state):
            run.log(reward=result["env_runners"]["episode_return_mean"])
            if algorithm.iteration == crash_at:
                raise CrashError
        algorithm.stop()


def test_a_sealed_environment_resumes_exactly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its episodes begin anew behind each iteration, in every attempt alike."""
    train(tmp_path / "whole")
    with pytest.raises(CrashError):
        train(tmp_path / "cut", crash_at=3)
    train(tmp_path / "cut")

    assert "environment state: not kept, episodes begin anew" in capsys.readouterr().out
    assert digest(tmp_path / "cut") == digest(tmp_path / "whole")
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


def test_a_way_that_is_named_and_fails_is_an_error(tmp_path: Path) -> None:
    """Nobody gets barriers who asked for another way; nothing is saved by then."""
    with pytest.raises(StateError, match=r"env_state='attributes'.*iterator, which cannot"):
        train(tmp_path, env_state="attributes")
    assert not rows(tmp_path)


def test_a_way_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    """Before anything is asked or attached."""
    with (
        Run(tmp_path, total=4) as run,
        pytest.raises(UsageError, match="env_state='by attributes'"),
    ):
        next(iterations(run, None, watchdog=object(), env_state="by attributes"))  # type: ignore[arg-type]


def train_old(algorithm: Any, iterations: range) -> list[Any]:
    """Train as `iterations` does, and return what is deterministic of each result."""
    found = []
    for iteration in iterations:
        oldstack.reset(algorithm, 100 + iteration)
        found.append(herds.numbers(algorithm.train()))
    return found


def test_the_old_stack_goes_on_exactly() -> None:
    """Adam's moments, KL coefficients, schedules, counters, the mean over the last episodes."""
    config = herds.old(herds.config(num_envs_per_env_runner=2))
    whole = herds.build(config)
    train_old(whole, range(2))
    state = deepcopy(loaded({"algorithm": ADAPTER.capture(whole), "rng": rng.capture()}))
    expected = train_old(whole, range(2, 4))

    other = herds.build(config)
    ADAPTER.restore(other, deepcopy(state["algorithm"]))
    rng.restore(state["rng"], "memory")
    found = train_old(other, range(2, 4))

    assert found == expected
    whole.stop()
    other.stop()


def test_the_exploration_of_the_old_stack_comes_back() -> None:
    """Its schedule goes on by the steps that it has counted."""
    made = herds.old(herds.config(herds.Walk)).env_runners(
        exploration_config={"type": "EpsilonGreedy", "epsilon_timesteps": 100}
    )
    first, other = herds.build(made), herds.build(made)
    first.get_policy().exploration.last_timestep = 55

    ADAPTER.restore(other, deepcopy(loaded(ADAPTER.capture(first))))

    assert other.get_policy().exploration.last_timestep == 55
    for each in (first, other):
        each.stop()


def test_the_other_stack_is_refused() -> None:
    """Their states have nothing in common."""
    algorithm = herds.build(herds.old(herds.config()))
    tree = ADAPTER.capture(algorithm)

    found = ADAPTER.mismatches(algorithm, {**tree, "stack": "new"})

    assert [str(each.path) for each in found] == ["stack"]
    algorithm.stop()


def test_batches_in_any_order_are_refused_on_the_old_stack_too() -> None:
    """APPO is an IMPALA."""

    class IMPALA:
        config = SimpleNamespace(framework_str="torch", observation_filter="NoFilter")
        local_replay_buffer = None

    class APPO(IMPALA):
        pass

    with pytest.raises(StateError, match="whatever order"):
        oldstack.refuse_unknown(APPO())


def test_a_filter_is_refused() -> None:
    """What it has counted is not taken, so it is not passed over."""
    made = herds.old(herds.config(herds.Walk)).env_runners(observation_filter="MeanStdFilter")
    algorithm = herds.build(made)

    with pytest.raises(StateError, match="MeanStdFilter"):
        ADAPTER.capture(algorithm)
    algorithm.stop()
